"""One loaded version, ready to score: probed when it is opened, alike in every role."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from rig.registry import FRAME, register, shared_store
from rig.scoring import double, native, opaque, pipeline, record
from shadowserve import wire
from shadowserve.errors import AlignmentError, ModelError
from shadowserve.scorer import scoring
from shadowserve.settings.options import Options
from shadowserve.versions import pins
from shadowserve.versions.registry import Registry
from shadowserve.wire.likeness import alike


def opened(
    tmp_path,
    name,
    model,
    *,
    method="predict",
    signed=True,
    batch="auto",
    probe="example",
    **options,
):
    """Register a model, fetch it and open it as a worker does."""
    store = shared_store()
    if signed:
        options["signature"] = infer_signature(FRAME, np.array([0.5]))
    number = register(store, name, model, **options)
    registry = Registry(store.uris)
    fetched = registry.fetch(registry.resolve(pins.parse(f"{name}:{number}"), None), tmp_path)
    return scoring.open_version(
        fetched.version, fetched.path, options=Options(method=method, batch=batch, probe=probe)
    )


def line():
    return make_pipeline(StandardScaler(), LinearRegression()).fit(FRAME, FRAME["a"] * 2)


def test_an_sklearn_pipeline_is_walked_and_batched(tmp_path):
    scorer = opened(tmp_path, "scoring-line", line(), input_example=FRAME[:1])
    assert [name for name, _ in scorer.step_names] == ["standardscaler", "linearregression"]
    assert scorer.batched
    assert scorer.deterministic
    scoring.warm(scorer)
    rows = scorer.schema.type_records(FRAME.to_dict("records"))
    scored = scorer.score(rows)
    np.testing.assert_array_equal(scored.output, scorer.loaded.native.predict(FRAME))
    assert len(scored.wall_ns) == len(scored.cpu_ns) == 2
    assert scored.inference_ns == scored.wall_ns[-1]


class Centred(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] - model_input["a"].sum()


class Mean(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] - model_input["a"].mean()


class Ranked(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"].rank(method="dense")


class Wandering(PythonModel):
    def predict(self, context, model_input, params=None):
        return np.random.default_rng().random(len(model_input))


class Shortened(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"].drop_duplicates().tolist()


class Failing(PythonModel):
    def predict(self, context, model_input, params=None):
        raise ValueError("s3cret-value")


@pytest.mark.parametrize(
    ("model", "n_rows"),
    [(Centred(), 1), (Mean(), 3), (Ranked(), 3)],
    ids=lambda given: given if isinstance(given, int) else type(given).__name__,
)
def test_unknown_code_is_served_row_by_row_whatever_made_up_rows_show(tmp_path, model, n_rows):
    name = f"scoring-{type(model).__name__}-{n_rows}"
    scorer = opened(tmp_path, name, model, input_example=FRAME[:n_rows])
    assert not scorer.batched
    assert any("row by row: its code" in note for note in scorer.notes)


class Sorted(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.sort_values("a")["a"] * 2


class HalfNoisy(PythonModel):
    """One field wanders, its neighbour is everybody's mean."""

    def predict(self, context, model_input, params=None):
        low = model_input["a"] + np.random.default_rng().random(len(model_input))
        return pd.DataFrame({"yhat": model_input["a"] - model_input["a"].mean(), "low": low})


class Factorized(PythonModel):
    """Refits its categories on what comes."""

    def predict(self, context, model_input, params=None):
        return pd.factorize(model_input["s"], sort=True)[0].astype("float64")


@pytest.mark.parametrize(
    ("model", "example", "batch"),
    [
        (Sorted(), FRAME[:1], "on"),
        (Sorted(), FRAME[:1], "earned"),
        (HalfNoisy(), FRAME[:1], "earned"),
        (Factorized(), pd.DataFrame({"s": ["Oslo"]}), "on"),
    ],
    ids=["sorted on", "sorted earned", "half-noisy", "factorized"],
)
def test_what_the_tries_show_to_depend_on_company_is_not_batched_though_asked_for(
    tmp_path, model, example, batch
):
    """Decided on the fields that stay alike on two calls, in two orders of other rows and texts."""
    scorer = opened(
        tmp_path, f"scoring-{type(model).__name__}-{batch}", model, signed=False,
        signature=infer_signature(example, np.array([0.5])), input_example=example, batch=batch,
    )  # fmt: skip
    assert scorer.sharing.differs
    assert scorer.sharing.rows(64) == (0, 0, 0)


class Remembering(PythonModel):
    """Counts the rows it has ever seen, in itself."""

    def load_context(self, context):
        self.seen = 0

    def predict(self, context, model_input, params=None):
        self.seen += len(model_input)
        return np.full(len(model_input), float(self.seen))


@pytest.mark.parametrize("probe", ["none", "example", "full"])
def test_the_first_caller_meets_an_instance_that_nothing_was_tried_on(tmp_path, probe):
    name = f"scoring-remembering-{probe}"
    scorer = opened(tmp_path, name, Remembering(), input_example=FRAME[:1], probe=probe)
    scorer = scoring.warm(scorer, most_rows=scorer.sharing.rows(64)[0])
    rows = scorer.schema.type_records(FRAME[:1].to_dict("records"))
    assert list(scorer.score(rows).output) == [1.0]
    assert scorer.sharing.tries == {"none": 0, "example": 2, "full": 8}[probe]


class Compiled(PythonModel):
    """Is compiled for each number of rows."""

    def load_context(self, context):
        self.sizes = set()

    def predict(self, context, model_input, params=None):
        self.sizes.add(len(model_input))
        return model_input["a"] * 2


def test_where_rows_are_batched_every_size_is_warmed_in_the_instance_that_serves(tmp_path):
    scorer = opened(tmp_path, "scoring-sizes", Compiled(), input_example=FRAME[:1], batch="on")
    warmed = scoring.warm(scorer, most_rows=scorer.sharing.rows(64)[0])
    assert sorted(warmed.sharing.warmed) == list(range(1, 65))


def test_what_is_served_row_by_row_is_not_touched_by_warming(tmp_path):
    scorer = opened(tmp_path, "scoring-untouched", Compiled(), input_example=FRAME[:1])
    assert scoring.warm(scorer, most_rows=0).sharing.warmed == ()


class Picky(PythonModel):
    def predict(self, context, model_input, params=None):
        if not set(model_input["a"]) <= set(FRAME["a"]):
            raise ValueError
        return model_input["a"] * 2


def test_a_version_that_refuses_made_up_rows_is_batched_all_the_same_where_asked_for(tmp_path):
    assert opened(tmp_path, "scoring-picky", Picky(), input_example=FRAME[:1], batch="on").batched


def test_a_version_that_wanders_is_known_as_such_and_served_row_by_row(tmp_path):
    scorer = opened(tmp_path, "scoring-wandering", Wandering(), input_example=FRAME[:1])
    assert not scorer.batched
    assert not scorer.deterministic
    assert any("nondeterministic" in note for note in scorer.notes)


def test_a_version_whose_answers_have_another_length_is_refused(tmp_path):
    with pytest.raises(ModelError, match="answered 4 rows with 2 entries"):
        opened(tmp_path, "scoring-short", Shortened(), input_example=pd.concat([FRAME[:2]] * 2))


def test_a_version_that_fails_on_its_own_example_is_refused_without_the_text(tmp_path):
    with pytest.raises(ModelError, match="ValueError") as caught:
        opened(tmp_path, "scoring-failing", Failing(), input_example=FRAME[:1])
    assert "s3cret" not in str(caught.value)


class Counting(PythonModel):
    def predict(self, context, model_input, params=None):
        return list(range(len(model_input)))


@pytest.mark.parametrize(
    "example",
    [
        pd.DataFrame({"a": [1.0, np.nan], "s": ["x", None]}),
        pd.DataFrame({"a": [np.inf]}),
        pd.DataFrame({"t": pd.to_datetime(["2024-03-01", None])}),
        np.array([[1.0, np.nan, np.inf]]),
    ],
    ids=["frame", "infinite", "moments", "array"],
)
def test_an_example_with_missing_values_is_tried_like_any_other(tmp_path, example):
    """MLflow saves them as NaN, Infinity and "NaT", which no request can carry."""
    name = f"scoring-missing-{example.shape[1]}-{len(str(example))}"
    scorer = opened(tmp_path, name, Counting(), signed=False, input_example=example)
    assert scorer.schema.is_typed
    scoring.warm(scorer)


def test_an_example_that_no_request_can_carry_is_said_and_not_tried(tmp_path):
    large = pd.DataFrame({"a": np.array([2**63 + 1], dtype=np.uint64)})
    scorer = opened(tmp_path, "scoring-large", Counting(), signed=False, input_example=large)
    assert any("no request can carry" in note for note in scorer.notes)
    scoring.warm(scorer)


def test_an_example_that_breaks_its_own_signature_is_refused(tmp_path):
    with pytest.raises(ModelError, match="does not fit its own signature"):
        opened(
            tmp_path,
            "scoring-unfit",
            line(),
            signed=False,
            signature=infer_signature(FRAME.astype("int64"), np.array([0.5])),
            input_example=FRAME[:1] + 0.5,
        )


def test_a_function_that_nothing_was_tried_on_is_served_unbatched(tmp_path):
    scorer = opened(tmp_path, "scoring-untried", Centred())
    assert not scorer.batched
    scoring.warm(scorer)  # there is nothing to warm it with


def test_a_pipeline_without_an_example_is_batched_by_its_signature(tmp_path):
    assert opened(tmp_path, "scoring-unseen", line()).batched


def centred(frame):
    return frame - frame.mean()


def test_a_pipeline_with_a_part_of_its_own_is_not_batched_untried(tmp_path):
    own = make_pipeline(FunctionTransformer(centred), LinearRegression()).fit(FRAME, FRAME["a"])
    scorer = opened(tmp_path, "scoring-own-part", own)
    assert not scorer.batched
    assert any("FunctionTransformer" in note for note in scorer.notes)


def test_a_version_without_a_signature_is_served_unbatched(tmp_path):
    scorer = opened(tmp_path, "scoring-unsigned", line(), signed=False)
    assert not scorer.schema.batchable
    assert not scorer.batched
    assert any("signature" in note for note in scorer.notes)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_names_of_training_order_a_table_though_the_signature_is_an_array(tmp_path):
    """Fitted on a frame, logged with an array's signature: the estimator knows which is which."""
    known = infer_signature(np.ones((2, 2)), np.ones(2))
    frame = pd.DataFrame({"b": [1.0, 2.0, 4.0], "a": [3.0, 0.0, 1.0]})
    model = LinearRegression().fit(frame, frame["b"] - frame["a"])
    scorer = opened(tmp_path, "scoring-array", model, signed=False, signature=known)
    for order in ("ab", "ba"):
        table = {"dataframe_split": {"columns": list(order), "data": [[5.0, 9.0]]}}
        rows = wire.parse(json.dumps(table).encode(), "application/json", scorer.schema)
        expected = -4.0 if order == "ba" else 4.0
        assert scorer.score(rows).output == pytest.approx([expected])


@pytest.mark.parametrize(
    ("output", "n_rows"),
    [
        (np.array([1.0]), 2),
        (np.array([1.0, 2.0, 3.0]), 2),
        ([1, 2, 3], 2),
        ([], 1),
        (np.zeros((0, 3)), 1),
        (pd.DataFrame({"a": [1]}), 2),
        (pd.Series([1, 2, 3]), 2),
        ([np.zeros((1, 2))], 2),
    ],
)
def test_an_answer_to_a_lone_request_has_its_length(output, n_rows):
    with pytest.raises(AlignmentError, match=f"{n_rows} rows"):
        opaque(double).split(output, [n_rows])


@pytest.mark.parametrize(
    ("output", "n_rows"),
    [
        (np.array([1.0, 2.0]), 2),
        ([["ragged"], [1, 2]], 2),
        ([1, 2, 3], 1),  # one list is one answer
        (np.array(3.0), 1),
        ({"total": 1}, 5),
        ("one text", 5),
        (None, 2),
        ([np.zeros((2, 3)), np.zeros((2, 1)), np.zeros((2, 2))], 2),  # several outputs
        (pd.DataFrame({"a": [1, 2]}), 2),
    ],
    ids=str,
)
def test_what_can_be_an_answer_is_handed_on_as_it_is(output, n_rows):
    (found,) = opaque(double).split(output, [n_rows])
    assert found is output


def test_timing_changes_no_bit():
    scorer = native(pipeline())
    rows = scorer.schema.type_records([record(n) for n in range(30)])
    np.testing.assert_array_equal(scorer.score(rows).output, pipeline().predict(rows.frame()))


def test_probabilities_are_scored_only_where_they_are_asked_for():
    scorer = native(pipeline(labels=True))
    rows = scorer.schema.type_records([record(1)])
    assert scorer.has_scores
    assert scorer.score(rows).scores is None
    assert scorer.score(rows, scores=True).scores.shape == (1, 2)
    assert not native(pipeline()).has_scores


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1.0, 1.0 + 1e-10, True),
        (1.0, 1.0 + 1e-8, False),
        (0.0, 1e-13, True),
        (0.0, 1e-11, False),
        ([1.0, [2.0]], [1.0, [2.0 + 1e-12]], True),
        ([1.0], [1.0, 2.0], False),
        ({"a": 1.0}, {"a": 1.0}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ("a", "a", True),
        (1, 2, False),
        (None, None, True),
        (None, 0.0, False),
        (True, True, True),
    ],
)
def test_answers_are_alike_within_what_blas_may_differ_by(left, right, same):
    assert alike(left, right) is same
    assert alike(right, left) is same
