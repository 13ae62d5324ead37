"""Steps that are spared scikit-learn's questions: same answers, same errors, same warnings, same settings."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from rig.model_shapes import (
    CATEGORIES,
    NUMBERS,
    OwnEncoder,
    OwnImputer,
    features,
    fitted,
    numbers,
    rows_of,
    table,
    tokens_by_setting,
)
from shadowserve.schema.rows import Rows
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization import difference
from shadowserve.scorer.featurization.asked_once import AskedOnce, asked_once
from shadowserve.scorer.featurization.inputs import Columns, Laid

STRICT = [
    ("numbers", numbers(), NUMBERS),
    ("years", make_pipeline(StandardScaler()), ["year", "runtime"]),
    ("genre", OneHotEncoder(), ["genre"]),
    ("warned", OneHotEncoder(handle_unknown="ignore", drop="first"), ["country"]),
    ("coded", OrdinalEncoder(), CATEGORIES),
    ("text", TfidfVectorizer(), "story"),
]


def model_of(*branches: Any, last: Any = None) -> Any:
    films, rating, _ = table()
    steps = [("features", ColumnTransformer(list(branches))), ("model", last or Ridge())]
    return Pipeline(steps).fit(films, rating)


@pytest.fixture(scope="module")
def strict() -> Any:
    return model_of(*STRICT)


def outcome(call: Callable[[], Any]) -> tuple[Any, str, list[str]]:
    """What a call gives or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            output, error = call(), ""
        except Exception as raised:
            output, error = None, f"{type(raised).__name__}: {raised}"
    # A call that raises is made again by the object itself, and warns again.
    return output, error, sorted({f"{each.category.__name__}: {each.message}" for each in heard})


def assert_alike(model: Any, rows: Rows) -> tuple[Any, str, list[str]]:
    plan = featurization.compile(model)
    stock = outcome(lambda: plan.stock(rows))
    walked = outcome(lambda: plan.run(rows).output)
    assert walked[1:] == stock[1:]
    assert difference(stock[0], walked[0]) == ""
    on_frame = outcome(lambda: plan.run_frame(rows.model_input()).output)
    assert on_frame[1:] == stock[1:]
    assert difference(stock[0], on_frame[0]) == ""
    return stock


def spared(model: Any) -> list[str]:
    """The steps whose questions are spared, in columns and elsewhere."""
    plan = featurization.compile(model)
    return [plan.steps[op.step].name for op in plan.ops if isinstance(op.call, AskedOnce)]


def changed(**columns: Any) -> Rows:
    rows = rows_of(3)
    return Rows(columns={**rows.columns, **columns}, n_rows=3)


def objects(*values: Any) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


# -- who is spared ----------------------------------------------------------------------------


def test_steps_of_reviewed_classes_are_spared(strict: Any) -> None:
    assert spared(strict) == [
        "features/numbers/impute",
        "features/numbers/scale",
        "features/years/standardscaler",
        "features/genre",
        "features/warned",
        "features/coded",
        "features/text",
        "model",
    ]


def test_nothing_is_spared_where_the_plan_is_to_do_as_scikit_learn_does(strict: Any) -> None:
    plan = featurization.compile(strict, exact=True)
    assert not any(isinstance(op.call, AskedOnce) for op in plan.ops)


def test_a_patched_library_is_asked_everything(
    strict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn.utils.validation

    monkeypatch.setattr(sklearn.utils.validation, "check_array", lambda X, **_: X)
    assert spared(strict) == []


def _invalid_norm() -> Any:
    made = TfidfVectorizer().fit(table()[0]["story"])
    made.norm = "l3"
    return made


def _own_method() -> Any:
    made = StandardScaler().fit(table()[0][["runtime"]])
    made.transform = lambda X: X
    return made


@pytest.mark.parametrize(
    "part",
    [
        OwnImputer().fit(table()[0][NUMBERS]),
        OwnEncoder().fit(table()[0][["genre"]]),
        type("StandardScaler", (StandardScaler,), {"__module__": StandardScaler.__module__})(),
        StandardScaler(copy=False).fit(table()[0][["runtime"]]),
        StandardScaler().set_output(transform="pandas").fit(table()[0][["runtime"]]),
        StandardScaler().set_output(transform="default").fit(table()[0][["runtime"]]),
        SimpleImputer(strategy="most_frequent").fit(table()[0][CATEGORIES]),
        SimpleImputer().fit(pd.DataFrame({"a": [1.0, 2.0], "empty": [np.nan, np.nan]})),
        CountVectorizer(tokenizer=tokens_by_setting, token_pattern=None).fit(["a b"]),
        SimpleImputer(),
        _invalid_norm(),
        _own_method(),
    ],
    ids=[
        "own imputer",
        "own encoder",
        "pretender",
        "writes",
        "gives frames",
        "output chosen",
        "objects",
        "tells of names",
        "calls a function",
        "not fitted",
        "invalid",
        "own method",
    ],
)
def test_whoever_may_look_at_names_or_run_other_code_is_asked_everything(part: Any) -> None:
    assert asked_once(part, part.transform) is None


def test_a_step_keeps_its_own_names_and_state(strict: Any) -> None:
    imputer = strict[0].named_transformers_["numbers"][0]
    before = dict(vars(imputer))
    featurization.compile(strict).run(rows_of(2))
    assert vars(imputer) == before
    assert list(imputer.feature_names_in_) == NUMBERS


# -- bad values -------------------------------------------------------------------------------

BAD: dict[str, Rows] = {
    "an unseen category": changed(genre=objects("drama", "opera", "war")),
    "an unseen category that is warned of": changed(country=objects("fr", "xx", "us")),
    "no category": changed(genre=objects("drama", None, "war")),
    "NaN for a category": changed(country=objects("fr", float("nan"), "us")),
    "a number for a category": changed(genre=objects("drama", 3, "war")),
    "numbers for categories": changed(genre=np.array([1, 2, 3])),
    "infinity": changed(budget=np.array([1.0, np.inf, 2.0])),
    "minus infinity behind the imputer": changed(runtime=np.array([1.0, -np.inf, 2.0])),
    "NaN where gaps are filled": changed(budget=np.array([1.0, np.nan, 2.0])),
    "NaN where they are kept": changed(runtime=np.array([1.0, np.nan, 2.0])),
    "nothing but NaN": changed(budget=np.full(3, np.nan), runtime=np.full(3, np.nan)),
    "the largest number": changed(budget=np.full(3, 1.7e308), runtime=np.full(3, -1.7e308)),
    "texts for numbers": changed(budget=objects("1", "2", "x")),
    "numerals for numbers": changed(budget=objects("1", "2", "3")),
    "booleans for numbers": changed(year=np.array([True, False, True])),
    "small numbers": changed(
        year=np.arange(3, dtype=np.int8), runtime=np.ones(3, dtype=np.float16)
    ),
    "single precision": changed(
        budget=np.ones(3, dtype=np.float32), runtime=np.full(3, 0.1, dtype=np.float32)
    ),
    "unsigned numbers": changed(year=np.array([1, 2, 2**63], dtype=np.uint64)),
    "huge numbers": changed(year=np.array([2**53 + 1, 1, -(2**62)])),
    "days for numbers": changed(year=np.array(["2020-01-01"] * 3, dtype="M8[s]")),
    "no text": changed(story=objects("egg", None, "war")),
    "NaN for a text": changed(story=objects("egg", float("nan"), "war")),
    "bytes for a text": changed(story=objects("egg", b"\xff", "war")),
    "a number for a text": changed(story=objects("egg", 1.5, "war")),
    "half a character": changed(story=objects("egg", "\ud800", "war")),
    "half a character for a category": changed(country=objects("fr", "\udfff", "us")),
    "empty texts": changed(story=objects("", " ", "\x00")),
    "NumPy's strings": changed(country=objects(*np.array(["fr", "us", "jp"]))),
    "untyped": Rows(columns=rows_of(3).columns, n_rows=3, untyped=frozenset(["genre", "story"])),
    "missing text": Rows(
        columns={**rows_of(1).columns, "country": objects(None)},
        n_rows=1,
        text=frozenset(["country"]),
    ),
    "no rows": Rows(columns={n: v[:0] for n, v in rows_of(1).columns.items()}, n_rows=0),
    "a column is missing": rows_of(2, [n for n in rows_of(1).columns if n != "year"]),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_values_are_answered_refused_and_warned_of_alike(bad: str, strict: Any) -> None:
    assert_alike(strict, BAD[bad])


def test_some_of_these_are_refused_some_warned_of_and_some_answered(strict: Any) -> None:
    found = {
        bad: outcome(lambda rows=rows: strict.predict(rows.frame())) for bad, rows in BAD.items()
    }
    assert "unknown categories" in found["an unseen category"][1]
    assert "unknown categories" in found["an unseen category that is warned of"][2][0]
    assert "infinity" in found["infinity"][1]
    assert found["NaN where gaps are filled"][0] is not None
    assert sum(1 for _, error, _ in found.values() if error) >= 12


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("shape", ["champion", "every layout", "known classes by other names"])
def test_so_they_are_by_other_models(bad: str, shape: str) -> None:
    if "half" in bad and shape.startswith("known"):
        pytest.skip("a column that no step reads is not laid out, so nobody complains about it")
    assert_alike(fitted(shape), BAD[bad])


@pytest.mark.parametrize("bad", ["infinity", "minus infinity behind the imputer"])
def test_infinity_is_refused_where_it_is_met_though_the_estimator_would_take_it(bad: str) -> None:
    last = HistGradientBoostingRegressor(max_iter=2)
    error = assert_alike(model_of(("n", numbers(), NUMBERS), last=last), BAD[bad])[1]
    assert "infinity" in error


def test_a_warning_that_is_an_error_is_the_objects_own(strict: Any) -> None:
    plan = featurization.compile(strict)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="unknown categories") as raised:
            plan.run(BAD["an unseen category that is warned of"])
    # What was tried first has left no trace in what is raised.
    assert raised.value.__context__ is None


def test_an_empty_column_is_warned_of_by_its_name() -> None:
    films, rating, _ = table()
    films["budget"] = np.nan
    model = make_pipeline(ColumnTransformer([("n", SimpleImputer(), NUMBERS)]), Ridge())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(films, rating)
    assert "budget" in assert_alike(model, rows_of(2))[2][0]


# -- what happens meanwhile -------------------------------------------------------------------


def _another_mean(model: Any) -> None:
    scaler = model[0].named_transformers_["years"][0]
    scaler.mean_ = scaler.mean_ + 1.0


def _written_into(model: Any) -> None:
    model[0].named_transformers_["numbers"][0].statistics_[:] = 7.0


def _invalid_within(model: Any) -> None:
    model[0].named_transformers_["text"]._tfidf.norm = "l3"


def _other_names(model: Any) -> None:
    model[0].named_transformers_["genre"].feature_names_in_ = np.array(["era"], dtype=object)


@pytest.mark.parametrize("change", [_another_mean, _written_into, _invalid_within, _other_names])
def test_what_somebody_changes_after_the_plan_was_made_counts(
    change: Callable[[Any], None],
) -> None:
    model = clone(model_of(*STRICT)).fit(table()[0], table()[1])
    plan = featurization.compile(model)
    before = plan.run(rows_of(3)).output
    change(model)
    stock, walked = (
        outcome(lambda call=call: call(rows_of(3)))
        for call in (plan.stock, lambda rows: plan.run(rows).output)
    )
    assert walked[1:] == stock[1:]
    assert difference(stock[0], walked[0]) == ""
    assert stock[1] or stock[2] or difference(before, walked[0])  # the change did something


def test_another_configuration_of_the_thread_counts(strict: Any) -> None:
    plan = featurization.compile(model_of(("n", SimpleImputer(), NUMBERS)))
    rows = rows_of(3)
    before = plan.run(rows).output
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        held = sklearn.get_config()
        assert difference(before, plan.run(rows).output) == ""
        assert sklearn.get_config() == held
    assert plan.columnar_ops is not None
    lay_out, impute = (op.call for op in plan.columnar_ops[1:3])
    with sklearn.config_context(transform_output="pandas"):
        assert list(impute(lay_out(Columns.of_rows(rows))).columns) == NUMBERS


def test_frames_that_are_asked_for_later_have_the_names_of_the_columns() -> None:
    model = model_of(("n", StandardScaler(), ["runtime", "year"]))
    plan, rows = featurization.compile(model), rows_of(2)
    assert plan.columnar_ops is not None
    lay_out, scale = (op.call for op in plan.columnar_ops[1:3])
    laid = lay_out(Columns.of_rows(rows))
    assert type(laid) is Laid
    assert type(scale(laid)) is np.ndarray
    model[0].named_transformers_["n"].set_output(transform="pandas")
    assert list(scale(laid).columns) == ["runtime", "year"]


@pytest.mark.parametrize("bad", ["untyped", "infinity", "an unseen category"])
def test_the_threads_configuration_is_as_it_was(bad: str, strict: Any) -> None:
    before = sklearn.get_config()
    outcome(lambda: featurization.compile(strict).run(BAD[bad]))
    assert sklearn.get_config() == before


def test_other_threads_see_their_own_configuration(strict: Any) -> None:
    plan, rows = featurization.compile(strict), rows_of(64)
    seen: list[bool] = []
    over = threading.Event()

    def look() -> None:
        before = sklearn.get_config()
        while not over.is_set():
            seen.append(sklearn.get_config() == before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(20):
            plan.run(rows)
    finally:
        over.set()
        thread.join()
    assert seen
    assert all(seen)


LOADED = """
import pickle, sys
from rig.model_shapes import rows_of
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization.asked_once import AskedOnce
model = pickle.load(open(sys.argv[1], "rb"))
plan = featurization.compile(model)
plan.stock(rows_of(1))
steps = {op.call for op in (*plan.ops, *plan.columnar_ops) if isinstance(op.call, AskedOnce)}
print(len(steps), all(step._is_as_it_was() for step in steps))
"""


def test_steps_are_spared_in_another_process_than_the_one_that_fitted_them(tmp_path: Path) -> None:
    """A vectorizer notes an address at its first call in each process."""
    film_words = TfidfVectorizer(stop_words=["the", "a"])
    model = model_of(*STRICT[:3], ("text", film_words, "story"))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    told = subprocess.run(
        [sys.executable, "-c", LOADED, str(tmp_path / "model.pkl")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert told.stdout.split()[1:] == ["True"], told.stderr
    assert int(told.stdout.split()[0]) >= 5


def test_what_a_signal_handler_raises_ends_the_call() -> None:
    class Interrupted(Exception):
        pass

    calls = []

    def interrupted(values: Any) -> Any:
        calls.append(values)
        raise Interrupted

    step = AskedOnce(interrupted, interrupted, layout="numbers", gaps=True, held=())
    before = sklearn.get_config()
    with pytest.raises(Interrupted):
        step(np.array([[1.0]]))
    assert len(calls) == 1
    assert sklearn.get_config() == before


def test_metadata_routing_changes_nothing() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        assert_alike(model_of(*STRICT), rows_of(4))


def test_classes_and_probabilities_are_the_objects_own() -> None:
    films, _, labels = table()
    model = Pipeline([("f", features()), ("m", LogisticRegression())]).fit(films, labels)
    for method in ("predict", "predict_proba", "decision_function"):
        plan = featurization.compile(model, method=method)
        assert isinstance(plan.ops[-1].call, AskedOnce)
        assert difference(plan.stock(rows_of(64)), plan.run(rows_of(64)).output) == ""
