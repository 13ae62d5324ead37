"""Without a signature a row's types come from what the model was fitted on, never from its neighbours."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from rig.scoring import body, version
from shadowserve import wire
from shadowserve.schema.rows import concat
from shadowserve.schema.schema import Schema
from shadowserve.scorer import featurization
from shadowserve.scorer.loading import Loaded
from shadowserve.scorer.loading.facts import feature_names
from shadowserve.scorer.loading.kinds import kinds, kinds_of_example
from shadowserve.scorer.scorer import Scorer

TRAINED = pd.DataFrame(
    {
        "city": ["Oslo", None, "Rome", "Oslo", "Bern", None] * 4,
        "size": ["S", "M", None, "L", "M", "S"] * 4,
        "age": [1.0, 2.0, None, 4.0, 5.0, 7.0] * 4,
        "floor": [0, 1, 2, 0, 1, 2] * 4,
        "member": [True, False, True, True, False, False] * 4,
    }
)


def fitted():
    gaps = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer(
        [
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("size", gaps, ["size"]),
            ("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("floor", OrdinalEncoder(), [3]),
            ("member", "passthrough", ["member"]),
        ]
    )  # fmt: skip
    return make_pipeline(columns, LinearRegression()).fit(TRAINED, np.arange(len(TRAINED)))


MODEL = fitted()
NAMES = feature_names(MODEL)


def scorer(model=MODEL, **known) -> Scorer:
    """The model as it is served without a signature, in its timed walk."""
    names = feature_names(model)
    plan = featurization.compile(model, method="predict")
    loaded = Loaded(native=model, predict=lambda rows, _: model.predict(rows), method="predict")
    schema = Schema.from_names(names, kinds={**kinds(model, names), **known})
    steps = tuple((step.name, tuple(map(str, step.columns))) for step in plan.steps)
    return Scorer(version(signature=None), loaded, plan, schema, step_names=steps)


SCORER = scorer()


def answers(scorer, records):
    """One answer a record, of one request; None where the request fails."""
    rows = wire.parse(body(*records), "application/json", scorer.schema)
    try:
        walked = scorer.score(rows).output.tolist()
        plain = scorer.loaded.predict(rows.frame(), {}).tolist()
    except Exception:
        return [None] * len(records)
    assert walked == pytest.approx(plain)
    return walked


def test_fitted_parts_tell_what_they_were_fitted_on():
    assert kinds(MODEL, NAMES) == {
        "city": "text",
        "size": "text",
        "age": "number",
        "floor": "number",
    }


@pytest.mark.parametrize("column", ["city", "size", "age"])
def test_a_row_whose_only_value_is_null_is_answered_alone_as_beside_others(column):
    full = {"city": "Rome", "size": "M", "age": 3.0, "floor": 1, "member": True}
    null = {**full, column: None}
    (alone,) = answers(SCORER, [null])
    assert alone == pytest.approx(answers(SCORER, [full, null])[1])
    assert alone == pytest.approx(answers(SCORER, [null, full])[0])
    frame = pd.DataFrame([{**full, column: np.nan}]).astype(TRAINED.dtypes.to_dict())
    assert alone == pytest.approx(MODEL.predict(frame)[0])


RECORDS = st.fixed_dictionaries(
    {
        "city": st.sampled_from(["Oslo", "Rome", "Paris", None]),
        "size": st.sampled_from(["S", "L", None, "12"]),
        "age": st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5), st.booleans()),
        "floor": st.sampled_from([0, 1.0, 2]),
        "member": st.sampled_from([True, False, 1, 0.0]),
    }
)


@given(st.lists(RECORDS, min_size=2, max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_row_is_answered_in_company_as_alone(records):
    alone = [answers(SCORER, [record])[0] for record in records]
    assert None not in alone
    assert answers(SCORER, records) == pytest.approx(alone)


def test_a_value_of_another_kind_than_in_fitting_comes_as_it_is():
    """No refusal that a signature would have made: the model may take it."""
    schema = Schema.from_names(["a", "b"], kinds={"a": "number", "b": "text"})
    rows = schema.type_records([{"a": "5", "b": 5}, {"a": None, "b": "x"}])
    assert rows.columns["a"].tolist()[0] == "5"
    assert rows.columns["b"].tolist() == [5.0, "x"]


def test_a_category_keeps_whole_numbers_whole():
    """CatBoost takes a category as a text or a whole number, and no fraction."""
    schema = Schema.from_names(["c"], kinds={"c": "category"})
    (value,) = schema.type_records([{"c": 3}]).columns["c"].tolist()
    assert (value, type(value)) == (3, int)


def test_an_input_example_tells_the_kinds_that_no_part_tells():
    example = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[None, 1, True], ["x", None, None]]}}  # fmt: skip
    assert kinds_of_example(example) == {"a": "text", "b": "number"}
    assert kinds_of_example({"inputs": [[1]]}) == {}
    assert kinds_of_example(json.loads("null")) == {}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (make_pipeline("passthrough", StandardScaler()), {"age": "number", "floor": "number"}),
        (FeatureUnion([("a", StandardScaler()), ("b", OrdinalEncoder())]), {"age": "number", "floor": "number"}),
        (GridSearchCV(HistGradientBoostingRegressor(max_iter=2), {}, cv=2), {"age": "number", "floor": "number"}),
    ],
)  # fmt: skip
def test_kinds_are_told_through_what_wraps_a_part(model, told):
    frame = TRAINED[["age", "floor"]].fillna(0)
    model.fit(frame, np.arange(len(frame)))
    assert kinds(model, list(frame)) == told


def test_a_strangers_part_tells_nothing():
    class Stranger:
        feature_names_in_ = np.array(["a"])

        def __getattr__(self, name):
            raise RuntimeError(name)

    assert kinds(Stranger(), ["a"]) == {}


def test_untyped_rows_share_no_batch_but_what_is_known_may_be_laid_end_to_end():
    one = SCORER.schema.type_records([dict.fromkeys(TRAINED)])
    two = SCORER.schema.type_records([{**dict.fromkeys(TRAINED), "city": "Oslo", "age": 3}])
    assert not SCORER.schema.batchable
    assert concat([one, two]).columns["city"].tolist()[1] == "Oslo"
