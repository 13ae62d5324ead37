"""For good input the same JSON as MLflow's own scoring app; where not, on purpose and listed here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from shadowserve.errors import RequestError
from shadowserve.schema import Schema
from shadowserve.wire import answer, parse

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]

N = 40
TRAINING = pd.DataFrame(
    {
        "age": np.arange(N),
        "income": np.linspace(0.5, 90.25, N),
        "genre": ["drama", "comedy", "horror", "war"] * (N // 4),
    }
)
TARGET = TRAINING["age"] * 1.7 + TRAINING["income"] / 3 + 0.1


def encoder() -> Any:
    genres = OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer((genres, ["genre"]), remainder="passthrough")


def echo(model_input: Any) -> list[dict[str, str]]:
    """Answer what arrived: type, names, dtypes and values."""
    if isinstance(model_input, pd.DataFrame):
        columns = model_input.items()
        return [{str(k): f"{v.dtype} {v.tolist()!r}" for k, v in columns} | {"is": "frame"}]
    if isinstance(model_input, dict):
        return [{k: f"{v.dtype} {v.tolist()!r}" for k, v in model_input.items()} | {"is": "dict"}]
    return [{"is": "array", "values": f"{model_input.dtype} {model_input.tolist()!r}"}]


def summary(model_input: pd.DataFrame) -> pd.DataFrame:
    """Answer with a frame of several types, missing ones among them."""
    half = model_input["age"] / 2
    days = pd.Timestamp("2024-03-01") + pd.to_timedelta(model_input["age"], unit="D")
    small = (model_input["age"] > 5).to_numpy()
    return pd.DataFrame({"half": half, "genre": model_input["genre"], "day": days, "small": small})


class Pair:
    """One model behind MLflow's scoring app and behind shadowserve's wire."""

    def __init__(self, path: Path, predict: Callable[[Any], Any]) -> None:
        import mlflow
        from mlflow.pyfunc import scoring_server
        from starlette.testclient import TestClient

        self._model = mlflow.pyfunc.load_model(str(path))
        signature = self._model.metadata.signature
        self._schema = Schema.from_signature(signature.to_dict() if signature else None)
        self._app = TestClient(scoring_server.init(self._model))
        self._predict = predict

    def theirs(self, body: bytes, content_type: str) -> tuple[int, Any]:
        response = self._app.post(
            "/invocations", content=body, headers={"content-type": content_type}
        )
        predictions = response.json()["predictions"] if response.status_code == 200 else None
        return response.status_code, predictions

    def raw(self, body: bytes, content_type: str = "application/json") -> bytes:
        headers = {"content-type": content_type}
        return self._app.post("/invocations", content=body, headers=headers).content

    def ours(self, body: bytes, content_type: str) -> tuple[int, Any]:
        try:
            rows = parse(body, content_type, self._schema)
        except RequestError as error:
            return error.status, None
        return 200, json.loads(answer(self._predict(rows.model_input())))["predictions"]


def a_python_model(path: Path, function: Callable[[Any], Any], signature: Any) -> Pair:
    import mlflow

    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return function(model_input)

    mlflow.pyfunc.save_model(path, python_model=Model(), signature=signature, pip_requirements=[])
    return Pair(path, function)


def a_sklearn_model(path: Path, estimator: Any, target: Any) -> Pair:
    import mlflow

    model = make_pipeline(encoder(), estimator).fit(TRAINING, target)
    signature = mlflow.models.infer_signature(TRAINING, model.predict(TRAINING))
    mlflow.sklearn.save_model(
        model, path, signature=signature, pip_requirements=[], serialization_format="cloudpickle"
    )
    return Pair(path, model.predict)


def column_signature(*columns: tuple[str, str | int | None]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema

    return ModelSignature(MlflowSchema([ColSpec(type_, name) for type_, name in columns]))


def optional_signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema

    return ModelSignature(
        MlflowSchema([ColSpec("long", "a"), ColSpec("long", "b", required=False)])
    )


def tensor_signature(*tensors: tuple[str, tuple[int, ...], str | None]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types import TensorSpec

    specs = [TensorSpec(np.dtype(dtype), shape, name) for dtype, shape, name in tensors]
    return ModelSignature(MlflowSchema(specs))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> dict[str, Pair]:
    path = tmp_path_factory.mktemp("models")
    film = column_signature(("long", "age"), ("double", "income"), ("string", "genre"))
    every = [
        (t, t) for t in ("boolean", "integer", "long", "float", "double", "string", "datetime")
    ]
    return {
        "ridge": a_sklearn_model(path / "ridge", Ridge(), TARGET),
        "tree": a_sklearn_model(path / "tree", DecisionTreeClassifier(random_state=0), TARGET > 50),
        "frame": a_python_model(path / "frame", summary, film),
        "series": a_python_model(path / "series", lambda x: x["genre"], film),
        "types": a_python_model(path / "types", echo, column_signature(*every)),
        "binary": a_python_model(path / "binary", echo, column_signature(("binary", "x"))),
        "numbered": a_python_model(
            path / "numbered", echo, column_signature(("double", None), ("double", None))
        ),
        "zero": a_python_model(path / "zero", echo, column_signature(("long", 0), ("long", 1))),
        "text": a_python_model(path / "text", echo, column_signature(("string", None))),
        "lone": a_python_model(path / "lone", echo, column_signature(("double", "a"))),
        "tensor": a_python_model(
            path / "tensor", echo, tensor_signature(("float64", (-1, 3), None))
        ),
        "tensors": a_python_model(
            path / "tensors",
            echo,
            tensor_signature(("float32", (-1, 2), "u"), ("int64", (-1,), "v")),
        ),
        "missing": a_python_model(
            path / "missing", lambda _: pd.DataFrame({"a": [np.nan], "b": [pd.NaT]}), film
        ),
        "optional": a_python_model(path / "optional", echo, optional_signature()),
        "unsigned": a_python_model(path / "unsigned", echo, None),
    }


ROWS = [
    {"age": 3, "income": 12.75, "genre": "drama"},
    {"genre": "horror", "age": 39, "income": 90.25},
    {"age": 17, "income": 0.1, "genre": "unseen"},
]
ORDER = ["genre", "income", "age"]
SPLIT = {"columns": ORDER, "data": [[row[key] for key in ORDER] for row in ROWS]}
BY_COLUMN = {key: [row[key] for row in ROWS] for key in ORDER}
TABLE_BODIES = [
    {"dataframe_records": ROWS},
    {"dataframe_records": ROWS[:1]},
    {"dataframe_split": SPLIT},
    {"dataframe_split": SPLIT | {"index": [9, 9, 9]}},
    {"instances": ROWS},
    {"inputs": ROWS},
    {"inputs": BY_COLUMN},
    {"instances": BY_COLUMN},
    {"inputs": ROWS[0]},
    {"dataframe_records": [row | {"extra": "x"} for row in ROWS]},
    {"dataframe_records": ROWS, "params": {"t": 1}},
]
TYPED = {
    "boolean": True,
    "integer": -(2**31),
    "long": 2**63 - 1,
    "float": 0.1,
    "double": 0.1,
    "string": "02139",
    "datetime": "2024-03-01T12:30:15.123456",
}
GOOD = [
    (model, body) for model in ("ridge", "tree", "frame", "series") for body in TABLE_BODIES
] + [
    ("types", {"dataframe_records": [TYPED]}),
    ("types", {"instances": [TYPED, TYPED]}),
    ("types", {"inputs": {k: [v] for k, v in TYPED.items()}}),
    ("types", {"dataframe_records": [TYPED | {"integer": 1.0, "float": 3, "double": -7}]}),
    ("types", {"dataframe_records": [TYPED | {"double": None, "float": None, "datetime": None}]}),
    ("types", {"dataframe_records": [TYPED | {"datetime": "2024-03-01"}]}),
    ("types", {"dataframe_records": [TYPED | {"string": "", "double": 1e300}]}),
    ("binary", {"dataframe_records": [{"x": "aGk="}]}),
    ("numbered", {"inputs": [[1, 2.5], [3, 4]]}),
    ("numbered", {"instances": [[1, 2.5]]}),
    ("numbered", {"dataframe_split": {"data": [[1, 2.5]]}}),
    ("zero", {"dataframe_split": {"columns": [1, 0], "data": [[2, 1]]}}),
    ("zero", {"inputs": [[1, 2]]}),
    ("text", {"inputs": ["x", "y"]}),
    ("text", {"instances": ["x"]}),
    ("text", {"inputs": "x"}),
    ("lone", {"inputs": [1, 2]}),
    ("lone", {"instances": [1.5]}),
    ("lone", {"inputs": {"a": 1}}),
    ("tensor", {"inputs": [[1, 2, 3], [4, 5, 6.5]]}),
    ("tensor", {"instances": [[1, 2, None]]}),
    ("tensor", {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}),
    ("tensor", {"dataframe_records": [{"a": 1, "b": 2.5, "c": 3}]}),
    ("tensors", {"inputs": {"u": [[1, 2]], "v": [3]}}),
    ("tensors", {"instances": [{"u": [1, 2], "v": 3}]}),
    ("unsigned", {"dataframe_records": [{"b": "02139", "a": 1.5, "c": True}]}),
    ("unsigned", {"dataframe_split": {"columns": ["a"], "data": [[1], [None]]}}),
    ("unsigned", {"instances": [[1, 2.5]]}),
]


@pytest.mark.parametrize(("model", "document"), GOOD)
def test_good_input_is_answered_as_mlflow_answers_it(pairs, model, document):
    body = json.dumps(document).encode()
    wanted = pairs[model].theirs(body, "application/json")
    assert wanted[0] == 200
    assert pairs[model].ours(body, "application/json") == wanted


@pytest.mark.parametrize("model", ["ridge", "tree", "frame"])
def test_csv_is_answered_as_mlflow_answers_it(pairs, model):
    body = pd.DataFrame(ROWS).to_csv(index=False).encode()
    assert pairs[model].ours(body, "text/csv") == pairs[model].theirs(body, "text/csv")


BAD = [
    ("ridge", b""),
    ("ridge", b"null"),
    ("ridge", b"[]"),
    ("ridge", b"{}"),
    ("ridge", b'{"dataframe_records":[]}'),
    ("ridge", b'{"dataframe_records":[{}]}'),
    ("ridge", b'{"dataframe_records":[{"age":1}]}'),
    ("ridge", b'{"dataframe_records":[],"instances":[]}'),
    ("ridge", b'{"dataframe_split":{"data":[[1,2,"x"]]}}'),
    ("ridge", b'{"inputs":[[1,2,"x"]]}'),
    ("tensor", b'{"inputs":[[1,2]]}'),
    ("lone", b'{"inputs":[[1],[2]]}'),
    ("lone", b'{"inputs":1}'),
]


@pytest.mark.parametrize(("model", "body"), BAD)
def test_what_mlflow_refuses_is_refused(pairs, model, body):
    theirs = pairs[model].theirs(body, "application/json")
    assert (theirs[0], pairs[model].ours(body, "application/json")[0]) == (400, 400)


# What docs/protocol.md lists: model, what is changed in a good row, MLflow's reading of the field.
ALTERED = [
    ({"boolean": 1}, "boolean", "bool [True]"),
    ({"boolean": None}, "boolean", "bool [False]"),
    ({"boolean": "x"}, "boolean", "bool [True]"),
    ({"integer": 41.5}, "integer", "int32 [41]"),
    ({"integer": 2**31}, "integer", "int32 [-2147483648]"),
    ({"integer": True}, "integer", "int32 [1]"),
    ({"long": 41.5}, "long", "int64 [41]"),
    ({"long": 2**63}, "long", "int64 [-9223372036854775808]"),
    ({"long": "1"}, "long", "int64 [1]"),
    ({"float": 1e40}, "float", "float32 [inf]"),
    ({"double": 2**53 + 1}, "double", "float64 [9007199254740992.0]"),
    ({"double": "1"}, "double", "float64 [1.0]"),
    ({"double": True}, "double", "float64 [1.0]"),
    ({"string": 2139}, "string", "object [2139]"),
    ({"string": None}, "string", "object [None]"),
    (
        {"datetime": 1709251200000},
        "datetime",
        "datetime64[ns] [Timestamp('1970-01-01 00:28:29.251200')]",
    ),
]


@pytest.mark.parametrize(("changed", "column", "reading"), ALTERED)
def test_where_mlflow_alters_a_value_in_silence_the_request_is_refused(
    pairs, changed, column, reading
):
    body = json.dumps({"dataframe_records": [TYPED | changed]}).encode()
    status, ((predicted),) = pairs["types"].theirs(body, "application/json")
    assert (status, predicted[column]) == (200, reading)
    assert pairs["types"].ours(body, "application/json") == (400, None)


# model, body, MLflow's status, ours; each is explained in docs/protocol.md.
DIFFERENT = [
    ("types", {"dataframe_records": [TYPED | {"datetime": "2024-03-01T00:00:00+09:00"}]}, 400, 200),
    ("ridge", {"dataframe_records": ROWS, "parms": {}}, 200, 400),
    ("numbered", {"inputs": [[1, 2, 3]]}, 200, 400),
    ("zero", {"dataframe_records": [{"0": 1, "1": 2}]}, 400, 200),
    ("tensors", {"inputs": {"u": [[1, 2], [3, 4]], "v": [3]}}, 200, 400),
    ("tensors", {"inputs": {"u": [[1, 2]], "v": [3.5]}}, 200, 400),
    ("tensor", {"inputs": [["1", 2, 3]]}, 200, 400),
]


@pytest.mark.parametrize(("model", "document", "theirs", "ours"), DIFFERENT)
def test_the_other_differences_are_these(pairs, model, document, theirs, ours):
    body = json.dumps(document).encode()
    assert pairs[model].theirs(body, "application/json")[0] == theirs
    assert pairs[model].ours(body, "application/json")[0] == ours


@pytest.mark.parametrize("wrong", [b'{"inputs":[1],"inputs":[2]}', b'{"inputs":[NaN]}'])
def test_json_that_is_read_in_two_ways_is_refused_where_mlflow_picks_one(pairs, wrong):
    assert pairs["lone"].theirs(wrong, "application/json")[0] == 200
    assert pairs["lone"].ours(wrong, "application/json") == (400, None)


def test_binary_is_base64_in_every_form_where_mlflow_takes_the_text_itself(pairs):
    body = b'{"instances":[{"x":"aGk="}]}'
    assert pairs["binary"].theirs(body, "application/json")[1][0]["x"] == "object [b'aGk=']"
    assert pairs["binary"].ours(body, "application/json")[1][0]["x"] == "object [b'hi']"


def test_what_csv_calls_missing_is_text_here_and_lost_there(pairs):
    body = b"age,income,genre\n3,1.5,NA\n"
    assert b'{"genre": NaN}' in pairs["series"].raw(body, "text/csv")
    assert pairs["series"].ours(body, "text/csv")[1] == [{"genre": "NA"}]


def test_csv_without_a_signature_is_guessed_there_and_refused_here(pairs):
    body = b"zip\n02139\n"
    assert pairs["unsigned"].theirs(body, "text/csv")[1][0]["zip"] == "int64 [2139]"
    assert pairs["unsigned"].ours(body, "text/csv") == (415, None)


def test_nothing_leaves_as_bare_nan(pairs):
    body = json.dumps({"dataframe_records": [ROWS[0]]}).encode()
    assert b"NaN" in pairs["missing"].raw(body)
    assert pairs["missing"].ours(body, "application/json")[1] == [{"a": None, "b": None}]


def test_an_absent_optional_column_is_null_here_and_left_out_there(pairs):
    body = b'{"dataframe_records":[{"a":1}]}'
    assert pairs["optional"].theirs(body, "application/json")[1][0].keys() == {"a", "is"}
    assert pairs["optional"].ours(body, "application/json")[1][0]["b"] == "float64 [nan]"


def test_without_a_signature_whole_numbers_are_float64(pairs):
    body = b'{"dataframe_records":[{"a":1}]}'
    assert pairs["unsigned"].theirs(body, "application/json")[1][0]["a"] == "int64 [1]"
    assert pairs["unsigned"].ours(body, "application/json")[1][0]["a"] == "float64 [1.0]"


def test_numbered_columns_keep_their_numbers_whatever_the_client_calls_them(pairs):
    body = b'{"dataframe_split":{"columns":["p","q"],"data":[[1,2]]}}'
    assert set(pairs["numbered"].theirs(body, "application/json")[1][0]) == {"p", "q", "is"}
    assert set(pairs["numbered"].ours(body, "application/json")[1][0]) == {"0", "1", "is"}
