"""The timed walk: what a plan names, what it measures, and when it stands aside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from rig.model_shapes import CATEGORIES, NUMBERS, dense, features, numbers, rows_of, table
from shadowserve.schema.rows import Rows
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization import Agreement, check_identity, difference, verify
from shadowserve.scorer.featurization.inputs import Columns
from shadowserve.scorer.featurization.stacking import _stack_csr
from shadowserve.steps import step


def regression(transformer: Any, model: Any = None) -> Any:
    films, rating, _ = table()
    last = Ridge() if model is None else model
    return Pipeline([("features", transformer), ("model", last)]).fit(films, rating)


@pytest.fixture(scope="module")
def champion() -> Any:
    films, _, labels = table()
    return Pipeline([("features", features()), ("model", LogisticRegression())]).fit(films, labels)


# -- names ------------------------------------------------------------------------------------


def test_steps_are_named_by_path_with_the_columns_of_the_request(champion: Any) -> None:
    plan = featurization.compile(champion)
    assert [(part.name, part.columns, part.kind) for part in plan.steps] == [
        ("features/numbers/impute", ("budget", "runtime"), "featurization"),
        ("features/numbers/scale", ("budget", "runtime"), "featurization"),
        ("features/genre", ("genre",), "featurization"),
        ("features/country", ("country",), "featurization"),
        ("features/text", ("story",), "featurization"),
        ("model", tuple(table()[0]), "estimator"),
    ]
    assert plan.notes == ()


def test_columns_are_followed_through_nested_column_transformers() -> None:
    inner = ColumnTransformer([("genre", OrdinalEncoder(), ["genre"]), ("n", "passthrough", [1])])
    model = regression(ColumnTransformer([("inner", inner, ["genre", "year"])]))
    found = {part.name: part.columns for part in featurization.compile(model).steps}
    assert found["features/inner/genre"] == ("genre",)
    assert found["features/inner/n"] == ("year",)


def test_a_model_fitted_on_an_array_names_its_columns_by_place() -> None:
    values = table()[0][["runtime", "year"]].to_numpy(dtype=float)
    inner = ColumnTransformer([("one", StandardScaler(), [1])])
    model = make_pipeline(inner, Ridge()).fit(values, table()[1])
    assert featurization.compile(model).steps[0].columns == (1,)


def test_a_bare_estimator_is_one_step_named_after_its_class() -> None:
    model = LinearRegression().fit(table()[0][["runtime"]], table()[1])
    (part,) = featurization.compile(model).steps
    assert (part.name, part.kind) == ("linearregression", "estimator")


def test_anything_with_the_method_can_be_compiled() -> None:
    class Odd:
        def predict(self, frame: pd.DataFrame) -> list[int]:
            with step("inside"):
                return [len(frame)]

    timed = featurization.compile(Odd()).run(rows_of(3))
    assert timed.output == [3]
    assert [part.name for part in timed.times.inner] == ["odd/inside"]


def test_a_missing_method_fails_as_the_model_itself_does(champion: Any) -> None:
    model = regression(dense())
    plan = featurization.compile(model, method="predict_proba")
    with pytest.raises(AttributeError) as stock:
        plan.stock(rows_of(2))
    with pytest.raises(AttributeError) as walked:
        plan.run(rows_of(2))
    assert str(walked.value) == str(stock.value)
    assert featurization.compile(model).methods == ("predict",)
    assert "predict_proba" in featurization.compile(champion).methods


# -- times ------------------------------------------------------------------------------------


def test_the_slow_step_is_the_one_that_carries_the_time() -> None:
    def slowly(frame: pd.DataFrame) -> np.ndarray:
        sleep(0.02)
        return frame.map(len).to_numpy()

    transformer = ColumnTransformer(
        [("slow", FunctionTransformer(slowly), ["story"]), ("num", numbers(), NUMBERS)]
    )
    plan = featurization.compile(regression(transformer))
    times = plan.run(rows_of(1)).times
    slow = [part.name for part in plan.steps].index("features/slow")
    assert plan.steps[slow].columns == ("story",)
    assert times.wall_ns[slow] >= 20_000_000
    assert times.cpu_ns[slow] < 15_000_000
    assert times.wall_ns[slow] > 0.5 * times.total_ns


def test_text_and_a_many_class_estimator_are_told_apart() -> None:
    plan = featurization.compile(regression(ColumnTransformer([("t", TfidfVectorizer(), "story")])))
    assert [part.kind for part in plan.steps] == ["featurization", "estimator"]


def test_a_step_with_a_cost_per_call_shows_it_at_one_row() -> None:
    chooser = SelectFromModel(RandomForestRegressor(60, random_state=0))
    model = make_pipeline(dense(), chooser, Ridge()).fit(table()[0], table()[1])
    plan = featurization.compile(model)
    place = [part.name for part in plan.steps].index("selectfrommodel")
    one = min(plan.run(rows_of(1)).times.cpu_ns[place] for _ in range(5))
    many = min(plan.run(rows_of(150)).times.cpu_ns[place] for _ in range(5))
    assert many < 10 * one


def test_parts_named_by_a_transformer_lie_under_its_step() -> None:
    def embed(frame: pd.DataFrame) -> np.ndarray:
        with step("embed", columns=["story"]):
            return frame.map(len).to_numpy()

    transformer = ColumnTransformer([("own", FunctionTransformer(embed), ["story"])])
    plan = featurization.compile(regression(transformer))
    times = plan.run(rows_of(2)).times
    (inner,) = times.inner
    assert (inner.name, inner.columns) == ("features/own/embed", ("story",))
    assert inner.wall_ns <= times.wall_ns[0]


def test_the_mark_names_the_running_step_and_the_one_that_raised() -> None:
    seen = []
    mark = np.full(1, 99, dtype=np.int64)

    def look(frame: pd.DataFrame) -> pd.DataFrame:
        seen.append(int(mark[0]))
        if frame.iloc[0, 0] < 0:
            raise ArithmeticError("below zero")
        return frame

    transformer = ColumnTransformer(
        [("codes", OrdinalEncoder(), ["genre"]), ("look", FunctionTransformer(look), ["year"])]
    )
    plan = featurization.compile(regression(transformer))
    seen.clear()
    plan.run(rows_of(2), mark=memoryview(mark))
    assert seen == [1]
    assert mark[0] == -1
    columns = {**rows_of(2).columns, "year": np.array([-1, 5])}
    with pytest.raises(ArithmeticError):
        plan.run(Rows(columns=columns, n_rows=2), mark=memoryview(mark))
    assert plan.steps[mark[0]].name == "features/look"


def test_an_odd_n_jobs_is_no_obstacle() -> None:
    class Odd(_Keep):
        n_jobs = "many"

    assert featurization.compile(regression(dense(), Odd())).steps[-1].n_jobs is None


def test_jobs_are_reported_with_the_step() -> None:
    model = regression(dense(), RandomForestRegressor(4, n_jobs=2, random_state=0))
    plan = featurization.compile(model)
    assert {part.name: part.n_jobs for part in plan.steps}["model"] == 2
    assert plan.notes == ("model asks for n_jobs=2: its CPU time is that of one thread.",)


# -- standing aside ---------------------------------------------------------------------------


def test_branches_that_may_leave_the_process_are_one_step_unless_told_otherwise() -> None:
    model = regression(dense()).set_params(features__n_jobs=2)
    plan = featurization.compile(model)
    assert [(part.name, part.kind) for part in plan.steps] == [
        ("features", "opaque"),
        ("model", "estimator"),
    ]
    assert "features is timed as one step: its n_jobs=2 may leave the process." in plan.notes
    walked = featurization.compile(model, serial=True)
    assert len(walked.steps) == 4
    alone = featurization.compile(regression(dense())).run(rows_of(5)).output
    assert difference(walked.run(rows_of(5)).output, alone) == ""


class _Renamed(ColumnTransformer):
    def transform(self, X: Any, **params: Any) -> Any:
        return super().transform(X, **params) * 2


def test_a_subclass_with_its_own_method_is_left_whole() -> None:
    model = regression(_Renamed([("numbers", numbers(), NUMBERS)]))
    plan = featurization.compile(model)
    assert [part.kind for part in plan.steps] == ["opaque", "estimator"]
    assert check_identity(plan, rows_of(3)).holds


def test_a_method_replaced_on_the_object_is_left_whole() -> None:
    model = regression(dense())
    model.predict = lambda frame: np.zeros(len(frame))
    plan = featurization.compile(model)
    assert [part.kind for part in plan.steps] == ["opaque"]
    assert (plan.run(rows_of(2)).output == 0).all()


def test_an_unfitted_model_still_makes_a_plan() -> None:
    plan = featurization.compile(Pipeline([("f", dense()), ("m", Ridge())]))
    assert [part.kind for part in plan.steps] == ["opaque"]
    assert "could not be read" in plan.notes[0]


def test_metadata_routing_does_not_disturb_the_walk() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        plan = featurization.compile(regression(dense()))
        assert check_identity(plan, rows_of(4)).agreement is Agreement.IDENTICAL


def test_a_global_wish_for_frames_is_heard() -> None:
    with sklearn.config_context(transform_output="pandas"):
        model = regression(dense())
        plan = featurization.compile(model)
        assert check_identity(plan, rows_of(4)).agreement is Agreement.IDENTICAL
        assert len(plan.steps) == 4


@pytest.mark.parametrize("drop", ["genre", "story"])
def test_a_missing_column_fails_as_the_model_itself_does(champion: Any, drop: str) -> None:
    rows = rows_of(2, [name for name in table()[0] if name != drop])
    plan = featurization.compile(champion)
    with pytest.raises(ValueError, match="columns are missing") as stock:
        plan.stock(rows)
    for walk in (lambda: plan.run(rows), lambda: plan.run_frame(rows.frame())):
        with pytest.raises(ValueError, match="columns are missing") as walked:
            walk()
        assert str(walked.value) == str(stock.value)


def test_extra_columns_and_another_order_change_nothing(champion: Any) -> None:
    rows = rows_of(4)
    turned = {"extra": np.arange(4), **dict(reversed(rows.columns.items()))}
    plan = featurization.compile(champion)
    output = plan.run(Rows(columns=turned, n_rows=4)).output
    assert difference(plan.stock(rows), output) == ""


def test_an_unseen_category_fails_in_its_step() -> None:
    plan = featurization.compile(regression(dense()))
    columns = {**rows_of(1).columns, "genre": np.array(["opera"], dtype=object)}
    mark = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="unknown categories"):
        plan.run(Rows(columns=columns, n_rows=1), mark=memoryview(mark))
    assert plan.steps[mark[0]].name == "features/codes"


# -- inputs -----------------------------------------------------------------------------------

AWKWARD = {
    "text": np.array(["a", "b", "c"], dtype=object),
    "text with gaps": np.array(["a", None, np.nan], dtype=object),
    "nothing": np.array([None, None, None], dtype=object),
    "not a number": np.array([np.nan, np.nan, np.nan], dtype=object),
    "mixed": np.array(["a", 1, 2.5], dtype=object),
    "flags as objects": np.array([True, False, None], dtype=object),
    "bytes": np.array([b"a", b"b", b""], dtype=object),
    "lists": np.array([[1], [2, 3], None], dtype=object),
    "dates": np.array(["2020-01-01", "2021-01-01", "NaT"], dtype="M8[ns]"),
    "days": np.array(["2020-01-01", "2021-01-01", "NaT"], dtype="M8[s]"),
    "dates as objects": np.array([pd.Timestamp("2020-01-01")] * 3, dtype=object),
    "whole": np.array([1, 2, 3]),
    "small": np.array([1, 2, 3], dtype=np.int8),
    "single": np.array([1.5, np.nan, np.inf], dtype=np.float32),
    "flag": np.array([True, False, True]),
    "complex": np.array([1j, 2, 3]),
    "fixed text": np.array(["a", "bb", "ccc"], dtype="U3"),
    "empty text": np.array(["", "", ""], dtype=object),
    "strided": np.arange(12.0)[::4],
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_a_laid_out_column_is_what_a_frame_would_hold(kind: str) -> None:
    rows = Rows(columns={"x": AWKWARD[kind], "y": np.zeros(3), "z": np.ones(3)}, n_rows=3)
    columns, frame = Columns.of_rows(rows), rows.frame()
    labels = pd.Index(["z", "x"])
    assert difference(frame[["z", "x"]], columns.frame(["z", "x"], labels)) == ""
    assert difference(frame["x"], columns.series("x")) == ""
    assert difference(frame, columns.whole()) == ""
    again = Columns.of_frame(frame)
    assert difference(frame[["z", "x"]], again.frame(["z", "x"], labels)) == ""


def test_half_a_surrogate_pair_fails_as_a_frame_fails() -> None:
    rows = Rows(columns={"x": np.array(["a", "\ud800"], dtype=object)}, n_rows=2)
    with pytest.raises(UnicodeEncodeError):
        rows.frame()
    with pytest.raises(UnicodeEncodeError):
        Columns.of_rows(rows).series("x")


def test_a_laid_out_frame_has_the_layout_of_a_slice() -> None:
    frame = rows_of(5).frame()
    taken = Columns.of_rows(rows_of(5)).frame(NUMBERS, pd.Index(NUMBERS)).to_numpy()
    sliced = frame.loc[:, NUMBERS].to_numpy()
    assert taken.strides == sliced.strides
    assert taken.flags.writeable == sliced.flags.writeable


def test_frames_share_no_memory_with_each_other_or_the_request() -> None:
    rows = rows_of(3)
    before = {name: values.copy() for name, values in rows.columns.items()}
    columns = Columns.of_rows(rows)
    names = ["runtime", "story"]
    labels = pd.Index(names)
    one, other = (columns.frame(names, labels) for _ in range(2))
    one.iloc[:, :] = one.iloc[::-1].to_numpy()
    one.columns.name = one.index.name = "touched"
    single = columns.series("story")
    single[:] = "written over"
    for frame in (other, columns.frame(names, labels)):
        assert difference(frame, rows.frame()[names]) == ""
        assert frame.columns.name is None
    for name, values in rows.columns.items():
        assert difference(values, before[name]) == ""


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_an_index_that_a_model_names_is_nameless_for_the_next_request(n_rows) -> None:
    rows = rows_of(3).part(0, n_rows)
    for _ in range(2):
        columns = Columns.of_rows(rows)
        frames = columns.whole(), columns.frame(NUMBERS, pd.Index(NUMBERS))
        for frame in (*frames, columns.series("story").to_frame()):
            assert frame.index.name is None
            assert type(frame.index) is pd.RangeIndex
            frame.index.name = "touched"
        assert columns.index.name is None


@pytest.mark.parametrize("texts", [["a"], [""], ["\0", "\U0001f600", "a" * 70_000, "a\nb"]])
def test_texts_are_held_as_a_frame_holds_them(texts) -> None:
    rows = Rows(columns={"x": np.array(texts, dtype=object)}, n_rows=len(texts))
    own, stock = Columns.of_rows(rows).array("x"), rows.frame()["x"].array
    assert type(own) is type(stock)
    assert own.dtype == stock.dtype
    assert own.tolist() == stock.tolist() == texts
    held = [getattr(one, "_pa_array", None) for one in (own, stock)]
    assert held[0] is None or (held[0].type, held[0].num_chunks) == (
        held[1].type,
        held[1].num_chunks,
    )


def test_names_that_are_numbers_are_laid_out_alike() -> None:
    rows = Rows(columns={0: np.zeros(2), 1: np.ones(2)}, n_rows=2)
    assert difference(rows.frame(), Columns.of_rows(rows).whole()) == ""
    model = make_pipeline(ColumnTransformer([("a", StandardScaler(), [1])]), Ridge())
    model.fit(pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 5.0]}), [1.0, 2.0])
    assert check_identity(featurization.compile(model), rows).agreement is Agreement.IDENTICAL


def test_a_frame_with_its_own_index_keeps_it() -> None:
    model = regression(dense().set_output(transform="pandas"))
    frame = table()[0].iloc[3:9]
    plan = featurization.compile(model)
    assert difference(model.predict(frame), plan.run_frame(frame).output) == ""


def test_a_transformer_that_writes_through_to_its_sibling_is_followed_in_that_too() -> None:
    transformer = ColumnTransformer(
        [("first", StandardScaler(copy=False), ["runtime"]), ("then", numbers(), ["runtime"])]
    )
    plan = featurization.compile(regression(transformer, _Keep()))
    assert "copy=False" in plan.notes[0]
    assert check_identity(plan, rows_of(3)).agreement is Agreement.IDENTICAL


def test_no_rows_fail_as_the_model_itself_does() -> None:
    plan = featurization.compile(regression(dense()))
    rows = Rows(columns={name: values[:0] for name, values in rows_of(2).columns.items()}, n_rows=0)
    with pytest.raises(ValueError, match="0 sample") as stock:
        plan.stock(rows)
    with pytest.raises(ValueError, match="0 sample") as walked:
        plan.run(rows)
    assert str(walked.value) == str(stock.value)


def test_many_threads_may_run_one_plan(champion: Any) -> None:
    plan = featurization.compile(champion, method="predict_proba")
    alone = plan.run(rows_of(8)).output
    with ThreadPoolExecutor(4) as pool:
        for timed in pool.map(lambda _: plan.run(rows_of(8)), range(24)):
            assert difference(timed.output, alone) == ""


# -- stacking ---------------------------------------------------------------------------------


@given(data=st.data(), n_rows=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_sparse_blocks_are_stacked_as_scipy_stacks_them(data: Any, n_rows: int) -> None:
    numbers_ = st.sampled_from([0.0, 0.0, 1.0, -2.5, float("nan"), -0.0])
    parts = []
    for kind in data.draw(st.lists(st.sampled_from(["csr", "dense", "F", "int"]), min_size=1)):
        width = data.draw(st.integers(1, 4))
        cells = data.draw(st.lists(numbers_, min_size=n_rows * width, max_size=n_rows * width))
        block = np.array(cells).reshape(n_rows, width)
        if kind == "int":
            block = np.nan_to_num(block).astype(np.int64)
        parts.append(
            sp.csr_matrix(block)
            if kind in ("csr", "int")
            else np.asarray(block, order=kind[0] if kind == "F" else "C")
        )
    stacked = _stack_csr(parts)
    if not any(sp.issparse(part) for part in parts):
        assert stacked is None
        return
    expected = sp.hstack(parts).tocsr()
    assert difference(expected, stacked) == ""
    assert stacked.has_canonical_format


@pytest.mark.parametrize(
    "part",
    [
        sp.csr_matrix(([1.0, 2.0], [1, 0], [0, 2]), shape=(1, 2)),
        sp.csc_matrix(np.eye(1)),
        sp.csr_array(np.eye(1)),
        np.array([["a"]], dtype=object),
        np.zeros((1, 0)),
        pd.DataFrame({"a": [1.0]}),
    ],
    ids=["unsorted", "csc", "csr_array", "objects", "no columns", "frame"],
)
def test_unusual_blocks_are_left_to_scikit_learn(part: Any) -> None:
    assert _stack_csr([sp.csr_matrix(np.eye(1)), part]) is None


# -- identity ---------------------------------------------------------------------------------


def test_a_model_that_differs_from_itself_keeps_its_timing_and_is_noted() -> None:
    generator = np.random.default_rng(0)
    noisy = FunctionTransformer(lambda frame: generator.random((len(frame), 1)))
    model = regression(ColumnTransformer([("noise", noisy, ["year"]), ("n", numbers(), NUMBERS)]))
    plan = featurization.compile(model)
    assert check_identity(plan, rows_of(3)).agreement is Agreement.NONDETERMINISTIC
    checked = verify(plan, rows_of(3))
    assert checked.steps == plan.steps
    assert "another output each time" in checked.notes[-1]


class _Nosy(TransformerMixin, BaseEstimator):
    """Gives another output when a certain caller is not on the stack: the walk cannot fool it."""

    def __init__(self, caller: str) -> None:
        self.caller = caller

    def fit(self, X: Any, y: Any = None) -> _Nosy:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> np.ndarray:
        return np.full((len(X), 1), float(self.caller in _callers()))


def _callers() -> Iterator[str]:
    frame = sys._getframe()
    while frame is not None:
        yield f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"
        frame = frame.f_back


@pytest.mark.parametrize(
    ("caller", "names"),
    [
        ("_column_transformer.py:transform", ["features", "model"]),
        ("pipeline.py:predict", ["pipeline"]),
    ],
)
def test_where_the_walk_differs_the_finest_plan_that_does_not_is_found(
    caller: str, names: list[str]
) -> None:
    nosy = ColumnTransformer([("nosy", _Nosy(caller), ["year"]), ("n", numbers(), NUMBERS)])
    model = regression(nosy, _Keep())
    plan = featurization.compile(model)
    identity = check_identity(plan, rows_of(3))
    assert (identity.agreement, identity.where, identity.holds) == (
        Agreement.DIFFERS,
        "values",
        False,
    )
    checked = verify(plan, rows_of(3))
    assert [part.name for part in checked.steps] == names
    assert "its timed walk gave another output" in checked.notes[0]
    assert check_identity(checked, rows_of(3)).agreement is Agreement.IDENTICAL


def test_an_identical_plan_is_verified_as_it_is(champion: Any) -> None:
    plan = featurization.compile(champion)
    assert verify(plan, rows_of(3)) is plan


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        (np.array([0.1 + 0.2]), np.array([0.3]), "values"),
        (np.array([np.nan]), np.array([np.nan]), ""),
        (np.zeros((2, 3)), np.zeros((2, 3), order="F"), ""),
        (np.zeros(3), np.zeros(3, np.float32), "dtype"),
        (np.zeros(3), np.zeros((3, 1)), "shape"),
        (np.zeros(1), [0.0], "type"),
        ([np.zeros(1)], [np.zeros(1), np.zeros(1)], "length"),
        (np.array(["a", None], object), np.array(["a", None], object), ""),
        (np.array([1], object), np.array([True], object), "type"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), "columns"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=[3]), "index"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]}), "dtype"),
        (pd.Series([1], name="a"), pd.Series([1], name="b"), "index"),
        (sp.csr_matrix([[1.0, 0]]), sp.csr_matrix([[1.0, 0]]), ""),
        (sp.csr_matrix([[1.0, 0]]), sp.csr_matrix([[0, 1.0]]), "values"),
        ({"a": 1}, {"b": 1}, "keys"),
        (3, 3, ""),
        (float("nan"), float("nan"), ""),
    ],
)
def test_a_difference_is_found_and_named(one: Any, other: Any, where: str) -> None:
    assert difference(one, other) == where


# -- any column transformer -------------------------------------------------------------------

TRANSFORMERS = {
    "numbers": [
        StandardScaler(),
        StandardScaler(copy=False),
        SimpleImputer(),
        numbers(),
        "passthrough",
        PolynomialFeatures(2),
        FunctionTransformer(np.abs, validate=True),
        FeatureUnion([("a", StandardScaler()), ("b", SimpleImputer())]),
    ],
    "categories": [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(sparse_output=False),
        OrdinalEncoder(),
        ColumnTransformer([("all", OneHotEncoder(), slice(0, None))]),
    ],
    "text": [TfidfVectorizer(), CountVectorizer(), HashingVectorizer(n_features=16)],
}


@st.composite
def column_transformers(draw: Any) -> ColumnTransformer:
    branches = []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(sorted(TRANSFORMERS)))
        transformer = draw(st.sampled_from(TRANSFORMERS[kind]))
        pool = {"numbers": ["runtime", "year", "colour"], "categories": CATEGORIES}.get(kind)
        columns: Any = "story"
        if pool is not None:
            columns = draw(st.lists(st.sampled_from(pool), min_size=1, unique=True))
            if draw(st.booleans()):
                columns = [list(table()[0]).index(name) for name in columns]
        branches.append((f"b{number}", transformer, columns))
    weights = draw(st.none() | st.just({"b0": 2.0}))
    return ColumnTransformer(
        branches,
        sparse_threshold=draw(st.sampled_from([0.0, 0.3, 1.0])),
        transformer_weights=weights,
    )


@given(transformer=column_transformers(), n_rows=st.integers(1, 7))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_column_transformer_gives_the_same_bits(
    transformer: ColumnTransformer, n_rows: int
) -> None:
    films, rating, _ = table()
    model = Pipeline([("features", transformer), ("keep", _Keep())]).fit(films, rating)
    plan = featurization.compile(model)
    rows = rows_of(n_rows)
    assert difference(plan.stock(rows), plan.run(rows).output) == ""
    assert difference(plan.stock(rows), plan.run_frame(rows.frame()).output) == ""


class _Keep(BaseEstimator):
    """An estimator that answers with its features, so that they can be compared bit for bit."""

    def fit(self, X: Any, y: Any = None) -> _Keep:
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        return X
