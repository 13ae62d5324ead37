"""What people reported of other servers, with its values; `tests/cases.md` lists all and who tests them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rig.asgi import calling
from rig.champion import watched
from rig.plane import Plane
from rig.scoring import native, opaque, pipeline
from shadowserve.records import PHASES, Times
from shadowserve.schema.schema import Schema


class Seen:
    """A model that keeps the frames it was handed and answers each row with a constant, or as told."""

    def __init__(self, answer: Any = None) -> None:
        self.frames: list[Any] = []
        self._answer = answer

    def __call__(self, frame: Any, _params: Any) -> Any:
        self.frames.append(frame)
        return [0] * len(frame) if self._answer is None else self._answer


def columns(**types: str) -> dict[str, Any]:
    return {"inputs": [{"name": name, "type": type_} for name, type_ in types.items()]}


def ask(plane: Plane, document: Any, **head: str) -> Any:
    sent = document if isinstance(document, bytes) else json.dumps(document).encode()
    return plane.post(sent, **head)


def is_refused(
    told: Any, *, column: str | None = None, says: str = "", row: int | None = 0
) -> None:
    assert told.status_code == 400, told.text
    error = told.json()["error"]
    if column is not None:
        assert (error["column"], error["row"]) == (column, row)
    assert says in error["message"]


def test_ss_039_numbers_are_never_cut_wrapped_or_rounded(tmp_path):
    model = Seen()
    with Plane(tmp_path, opaque(model, signature=columns(age="long", i32="integer"))) as plane:
        for name, value in (("age", 41.5), ("age", 2**63), ("i32", 2**31)):
            record = {"age": 1, "i32": 1, name: value}
            is_refused(ask(plane, {"dataframe_records": [record]}), column=name)
    assert model.frames == []


def test_ss_041_null_is_no_boolean(tmp_path):
    with Plane(tmp_path, opaque(Seen(), signature=columns(flag="boolean"))) as plane:
        is_refused(ask(plane, {"dataframe_records": [{"flag": None}]}), column="flag")


def test_ss_042_text_stays_text_and_only_iso_8601_is_a_moment(tmp_path):
    model = Seen()
    signature = columns(when="string", created_at="datetime")
    with Plane(tmp_path, opaque(model, signature=signature)) as plane:
        for value in (1709251200000, "2024-02-30"):
            sent = {"when": "2020-01-02", "created_at": value}
            is_refused(ask(plane, {"dataframe_records": [sent]}), column="created_at")
        sent = {"when": "2020-01-02", "created_at": "2024-03-01T00:00:00+09:00"}
        assert ask(plane, {"dataframe_records": [sent]}).status_code == 200
    (frame,) = model.frames
    assert frame["when"].tolist() == ["2020-01-02"]
    assert frame["created_at"].tolist() == [pd.Timestamp("2024-02-29T15:00:00")]


def test_ss_043_a_zip_code_keeps_its_zero_and_a_number_is_no_text(tmp_path):
    model = Seen()
    unsigned = opaque(model, batched=False)
    object.__setattr__(unsigned, "schema", Schema.open())
    with Plane(tmp_path / "open", unsigned) as plane:
        ask(plane, {"dataframe_split": {"columns": ["zip"], "data": [["02139"]]}})
    assert model.frames[0]["zip"].tolist() == ["02139"]
    with Plane(tmp_path / "signed", opaque(Seen(), signature=columns(zip="string"))) as plane:
        is_refused(ask(plane, {"dataframe_records": [{"zip": 2139}]}), column="zip")


@pytest.mark.parametrize("literal", ["Infinity", "-Infinity"])
def test_ss_051_infinity_is_refused_on_the_way_in(tmp_path, literal):
    with Plane(tmp_path, opaque(Seen(), signature=columns(score="double"))) as plane:
        sent = f'{{"dataframe_records":[{{"score":{literal}}}]}}'.encode()
        is_refused(ask(plane, sent), says="send null")


def test_ss_051_nan_is_read_as_null_on_the_way_in(tmp_path):
    """As MLflow's own client sends a frame with gaps; other columns refuse it as they refuse null."""
    model = Seen()
    with Plane(tmp_path, opaque(model, signature=columns(score="double"))) as plane:
        assert ask(plane, b'{"dataframe_records":[{"score":NaN}]}').status_code == 200
        (journaled,) = plane.serving.journaled()
        assert b"NaN" in journaled.body
    assert np.isnan(model.frames[0]["score"][0])
    with Plane(tmp_path / "text", opaque(Seen(), signature=columns(zip="string"))) as plane:
        sent = b'{"dataframe_records":[{"zip":NaN}]}'
        is_refused(ask(plane, sent), column="zip", says="NaN counts as null")


ANSWERS = [
    (np.array([np.nan, np.inf, 1.0]), [None, None, 1.0]),  # SS-051
    (np.array([np.int64(3)]), [3]),  # SS-053
    ([np.int64(3)], [3]),
    ({"a": np.array([1, 2])}, {"a": [1, 2]}),
    (pd.DataFrame({"a": [1], "b": ["x"]}), [{"a": 1, "b": "x"}]),
    ([Decimal("1.10")], [1.10]),
    (scipy.sparse.csr_matrix([[0, 2.5]]), [[0.0, 2.5]]),
    (pd.Series(["a", None]), [{"0": "a"}, {"0": None}]),  # SS-052
    (pd.Series([pd.NaT]), [{"0": None}]),
    ([pd.Timestamp("2024-03-01")], ["2024-03-01T00:00:00"]),
    ([b"hi"], ["aGk=\n"]),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS)
def test_ss_051_052_053_an_answer_is_valid_json_whatever_the_model_returns(
    tmp_path, answer, expected
):
    n_rows = len(expected) if isinstance(expected, list) else 1
    with Plane(tmp_path, opaque(Seen(answer), signature=columns(a="long"))) as plane:
        told = ask(plane, {"dataframe_records": [{"a": 1}] * n_rows})
    assert told.status_code == 200
    assert json.loads(told.content, parse_constant=pytest.fail)["predictions"] == expected


@pytest.mark.parametrize(
    ("answer", "n"), [([np.nan, None, 1.0], 1), ([np.inf] * 3, 3), ([1, 2, 3], 0)]
)
def test_ss_051_an_answer_says_how_many_of_its_values_were_no_numbers(tmp_path, answer, n):
    """In a header, so that the body stays as MLflow's."""
    with Plane(tmp_path, opaque(Seen(answer), signature=columns(a="long"))) as plane:
        told = ask(plane, {"inputs": {"a": [1, 2, 3]}})
        assert plane.counts.nonfinite == n
    assert told.headers.get("x-shadowserve-nonfinite") == (str(n) if n else None)


def test_ss_052_an_encoder_that_fails_is_a_500_with_the_requests_id(tmp_path):
    with Plane(tmp_path, opaque(Seen([object()]), signature=columns(a="long"))) as plane:
        told = ask(plane, {"dataframe_records": [{"a": 1}]}, x_request_id="mine")
        assert plane.counts.failed == 1
    assert (told.status_code, told.json()["error"]["request_id"]) == (500, "mine")


def test_ss_044_csv_and_json_have_one_outcome(tmp_path):
    model = Seen()
    with Plane(tmp_path, opaque(model, signature=columns(i32="integer", x="float"))) as plane:
        assert ask(plane, {"dataframe_records": [{"i32": 7, "x": 0.1}]}).status_code == 200
        assert ask(plane, b"x,i32\n0.1,7\n", content_type="text/csv").status_code == 200
        is_refused(ask(plane, b"x,i32\n0.1,7.5\n", content_type="text/csv"), column="i32")
    one, other = model.frames
    pd.testing.assert_frame_equal(one, other)
    assert str(one.dtypes["i32"]) == "int32"


@pytest.mark.parametrize(
    "document",
    [
        [{"a": 1}],
        {"columns": ["a"], "data": [[1]]},
        {"dataframe_records": [], "instances": []},
        {"dataframe_records": [{"a": 1}], "parms": {}},
    ],
)
def test_ss_045_another_form_is_told_the_accepted_keys(tmp_path, document):
    with Plane(tmp_path, opaque(Seen(), signature=columns(a="long"))) as plane:
        told = ask(plane, document)
    for key in ("dataframe_split", "dataframe_records", "instances", "inputs"):
        is_refused(told, says=key)


def test_ss_048_a_tensor_of_the_wrong_width_is_told_both_widths(tmp_path):
    model = Seen()
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    with Plane(tmp_path, opaque(model, signature={"inputs": [tensor]})) as plane:
        assert ask(plane, {"inputs": [[1, 2, 3, 4]]}).status_code == 200
        split = {"columns": list("abcd"), "data": [[1, 2, 3, 4]]}
        assert ask(plane, {"dataframe_split": split}).status_code == 200
        told = ask(plane, {"inputs": [[1, 2, 3]]})
    is_refused(told, says="4 features")
    is_refused(told, says="3 came")
    assert model.frames[0].tolist() == model.frames[1].tolist() == [[1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize(
    "body", [b"", b"null", b'{"dataframe_records":[]}', b"[]", b"{}", b'{"dataframe_records":[{}]}']
)
def test_ss_049_nothing_is_a_400_and_never_a_500(tmp_path, body):
    with Plane(tmp_path, opaque(Seen(), signature=columns(a="long"))) as plane:
        is_refused(ask(plane, body))


def test_ss_049_the_missing_property_is_named(tmp_path):
    nested = {"name": "o", "type": "object", "properties": {"x": {"type": "long"}}}
    with Plane(tmp_path, opaque(Seen(), signature={"inputs": [nested]})) as plane:
        is_refused(ask(plane, {"dataframe_records": [{"o": {}}]}), column="o", says="'x'")


@pytest.mark.parametrize("n_rows", [1, 75, 480, 100_000])
def test_ss_054_any_number_of_rows_below_the_limit_is_answered(tmp_path, n_rows):
    model = opaque(lambda frame, _: frame["a"].to_numpy(), signature=columns(a="long"))
    with Plane(tmp_path, model, max_body=2**24) as plane:
        told = ask(
            plane, {"dataframe_split": {"columns": ["a"], "data": [[i] for i in range(n_rows)]}}
        )
    assert told.json()["predictions"] == list(range(n_rows))


def test_ss_054_above_the_limit_the_limit_is_told(tmp_path):
    with Plane(tmp_path, opaque(Seen(), signature=columns(a="long")), max_body=2**24) as plane:
        told = ask(plane, {"inputs": {"a": [0] * 100_001}})
        assert told.status_code == 413
        assert "100000" in told.json()["error"]["message"]
        told = ask(plane, b"x" * (2**24 + 1))
    assert told.status_code == 413
    assert "16 MiB" in told.json()["error"]["message"]


def times_hundred(frame: pd.DataFrame) -> pd.DataFrame:
    frame["a"] = frame["a"] * 100
    return frame


def test_ss_008_a_step_that_writes_into_its_input_changes_no_later_answer():
    """Timed, untimed and again: each call has its own copy of the rows."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 5.0], "b": [20.0, 1.0, 3.0]})
    model = make_pipeline(FunctionTransformer(times_hundred), LinearRegression())
    model.fit(frame.copy(), frame["a"] + frame["b"])
    scorer = native(model)
    rows = Schema.from_names(["a", "b"]).type_records([{"a": 2.0, "b": 20.0}])
    own = model.predict(rows.frame())
    answers = [scorer.score(rows).output, scorer.score(rows).output, own]
    assert all(answer.tolist() == own.tolist() for answer in answers)
    assert rows.columns["a"].tolist() == [2.0]


def test_ss_010_a_trained_column_is_never_filled_in(tmp_path):
    unsigned = opaque(Seen())
    object.__setattr__(unsigned, "schema", Schema.from_names(["a", "b", "c"]))
    with Plane(tmp_path, unsigned) as plane:
        told = ask(plane, {"dataframe_records": [{"a": 1, "b": 2}]})
    is_refused(told, says="c")
    assert told.json()["error"]["code"] == "missing_column"


def test_ss_012_a_model_is_called_by_one_thread_at_a_time(tmp_path):
    """An object that keeps its input in itself gives everybody his own answer all the same."""

    class Forgetful:
        inside = threading.Lock()

        def __call__(self, frame: pd.DataFrame, _params: Any) -> Any:
            assert self.inside.acquire(blocking=False)
            self.tmp = frame["a"]
            time.sleep(0.01)
            doubled = (self.tmp * 2).to_numpy()
            self.inside.release()
            return doubled

    async def hammer(plane: Plane) -> list[Any]:
        async with calling(plane.plane) as client:
            sent = ({"inputs": {"a": [a]}} for a in range(1, 33))
            return await asyncio.gather(*(client.post("/invocations", json=one) for one in sent))

    model = opaque(Forgetful(), signature=columns(a="long"), batched=False)
    with Plane(tmp_path, model) as plane:
        told = asyncio.run(hammer(plane))
    assert [one.json()["predictions"] for one in told] == [[2 * a] for a in range(1, 33)]


def test_ss_013_the_order_of_keys_is_of_no_account(tmp_path):
    model = opaque(lambda frame, _: frame["a"] - frame["b"], signature=columns(a="long", b="long"))
    with Plane(tmp_path, model) as plane:
        one = ask(plane, {"dataframe_records": [{"b": 20, "a": 2}]})
        other = ask(plane, {"dataframe_records": [{"a": 2, "b": 20}]})
    assert one.content == other.content


def test_ss_014_values_without_names_are_refused_by_a_model_that_knows_names(tmp_path):
    known = opaque(Seen(), signature=columns(n0="double", n1="double"))
    with Plane(tmp_path, known) as plane:
        told = ask(plane, {"inputs": [[1.0, 2.0]]})
    is_refused(told, says="by name")
    assert told.json()["error"]["code"] == "unnamed_values"


def test_ss_009_a_body_in_pieces_reaches_both_sides_as_the_same_bytes(tmp_path):
    """The journal holds what the client sent, so champion and lanes parse equal bytes."""
    model, scorer = watched(lambda frame, _: frame["a"].to_numpy(), signature=columns(a="long"))
    sent = json.dumps({"inputs": {"a": list(range(600_000))[:90_000]}}).encode()

    async def pieces():
        step = len(sent) // 50 + 1
        for at in range(0, len(sent), step):
            yield sent[at : at + step]

    with Plane(tmp_path, scorer, max_body=2**24) as plane:
        told = plane.ask(
            "POST", "/invocations", content=pieces(), headers={"content-type": "application/json"}
        )
        (journaled,) = plane.serving.journaled()
    assert told.status_code == 200
    assert journaled.body == sent
    assert model.calls == [90_000]


def test_ss_119_no_refusal_holds_the_callers_data(tmp_path, caplog):
    with Plane(tmp_path, opaque(Seen(), signature=columns(ssn="long", name="string"))) as plane:
        for record in ({"ssn": "000-00-0000"}, {"ssn": "000-00-0000", "name": "x"}):
            told = ask(plane, {"dataframe_records": [record]})
            is_refused(told)
            assert "000-00-0000" not in told.text
    assert "000-00-0000" not in caplog.text


def test_ss_079_a_model_that_warns_leaves_pythons_filters_as_they_were(tmp_path):
    def warning(frame: pd.DataFrame, _params: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn("not fitted for this", UserWarning, stacklevel=1)
        return frame["a"].to_numpy()

    before = list(warnings.filters)
    with Plane(tmp_path, opaque(warning, signature=columns(a="long"))) as plane:
        for a in range(100):
            assert ask(plane, {"inputs": {"a": [a]}}).json()["predictions"] == [a]
    assert warnings.filters == before


def test_ss_095_scoring_changes_no_setting_of_scikit_learn(tmp_path):
    before = sklearn.get_config()
    with Plane(tmp_path, native(pipeline())) as plane:
        told = ask(plane, {"dataframe_records": [{"age": 1.0, "title": "red"}]})
        assert told.status_code == 200
        assert ThreadPoolExecutor(1).submit(sklearn.get_config).result() == before
    assert sklearn.get_config() == before


def test_ss_096_parsing_is_timed_apart_from_the_model(tmp_path):
    """A large body to a model that looks at nothing: what parsing takes is not the model's."""
    model = opaque(lambda frame, _: np.zeros(len(frame)), signature=columns(a="long"))
    with Plane(tmp_path, model, max_body=2**24) as plane:
        assert ask(plane, {"inputs": {"a": list(range(50_000))}}).status_code == 200
        (journaled,) = plane.serving.journaled()
    spent = dict(zip(PHASES, Times.unpack(journaled.times).phases_ns, strict=True))
    assert set(spent) == {"queue", "parse", "schema", "featurization", "inference", "encode"}
    assert spent["parse"] > 0
    assert spent["schema"] > 0
    assert spent["inference"] > 0
