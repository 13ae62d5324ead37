"""Kinds of models that are served as they were fitted: names, categories, coroutines, other frames."""

from __future__ import annotations

import asyncio

import lightgbm
import numpy as np
import pandas as pd
import pytest

from rig.scoring import body, version
from shadowserve import wire
from shadowserve.errors import AnswerError, ModelError, RequestError
from shadowserve.schema.schema import Schema
from shadowserve.scorer import tryout
from shadowserve.scorer.loading import Loaded
from shadowserve.scorer.loading.calling import _refuse_coroutine, categorised, pyfunc_call
from shadowserve.scorer.loading.facts import feature_names
from shadowserve.scorer.loading.kinds import kinds

SPACED = pd.DataFrame({"sepal length (cm)": np.arange(40.0), "a b": np.arange(40.0)[::-1]})
SMALL = {"n_estimators": 3, "min_child_samples": 2, "verbose": -1}


def spaced_schema():
    model = lightgbm.LGBMRegressor(**SMALL).fit(SPACED, np.arange(40.0))
    names = feature_names(model)
    assert names == ["sepal_length_(cm)", "a_b"]
    return Schema.from_names(names, kinds=kinds(model, names)), model


@pytest.mark.parametrize("form", ["records", "split"])
def test_lightgbm_takes_the_names_that_its_columns_had(form):
    from dataclasses import replace

    schema, _ = spaced_schema()
    schema = replace(schema, respelled=True)
    row = {"a b": 2.0, "sepal length (cm)": 1.0}
    sent = body(row)
    if form == "split":
        sent = wire.answers.dumps({"dataframe_split": {"columns": list(row), "data": [[2.0, 1.0]]}})
    rows = wire.parse(sent, "application/json", schema)
    assert [values.tolist() for values in rows.columns.values()] == [[1.0], [2.0]]
    assert rows.extra == ()


def test_a_name_that_is_not_the_models_in_any_spelling_is_still_named():
    from dataclasses import replace

    schema = replace(spaced_schema()[0], respelled=True)
    with pytest.raises(RequestError, match="lacks 1 of 2 features: a_b"):
        schema.type_records([{"sepal length (cm)": 1.0, "b": 2.0}])


class LikeCatBoost:
    """As CatBoost tells of itself; the package itself is too large to be tested with."""

    feature_names_ = ["age", "city"]  # noqa: RUF012 - a list, as CatBoost's

    def get_cat_feature_indices(self):
        return [1]


def test_catboost_tells_its_names_and_which_are_categories():
    model = LikeCatBoost()
    names = feature_names(model)
    assert (names, kinds(model, names)) == (["age", "city"], {"age": "number", "city": "category"})
    schema = Schema.from_names(names, kinds=kinds(model, names))
    rows = schema.type_records([{"extra": 1, "city": 7, "age": 3}])
    assert list(rows.columns) == ["age", "city"]
    assert rows.extra == ("extra",)
    with pytest.raises(RequestError, match="city"):
        schema.type_records([{"age": 3}])


def test_lightgbm_gets_text_as_the_categories_that_it_was_fitted_on():
    frame = pd.DataFrame({"n": np.arange(40.0), "city": pd.Categorical(["Oslo", "Rome"] * 20)})
    model = lightgbm.LGBMRegressor(**SMALL).fit(frame, np.arange(40) % 2)
    call = categorised(model, lambda rows, _: model.predict(rows))
    text = pd.DataFrame({"n": [1.0, 2.0, 3.0], "city": ["Rome", "Oslo", None]})
    as_fitted = text.assign(city=pd.Categorical(text["city"], categories=["Oslo", "Rome"]))
    with pytest.raises(Exception):  # noqa: B017,PT011 - as it is without
        model.predict(text)
    np.testing.assert_array_equal(call(text, {}), model.predict(as_fitted))
    assert list(text["city"][:2]) == ["Rome", "Oslo"]


def test_other_models_are_called_as_they_are():
    def predict(rows, params):
        return rows

    assert categorised(LikeCatBoost(), predict) is predict


class Wrapped:
    """A pyfunc model around a `PythonModel`, as far as a call of it looks."""

    def __init__(self, predict):
        self._predict_fn = lambda rows: predict(rows)
        self._model_impl = type(
            "Impl", (), {"python_model": type("Model", (), {"predict": predict})}
        )
        self.metadata = type(
            "Metadata", (),
            {"_is_type_hint_from_example": lambda: False, "_is_signature_from_type_hint": lambda: False},
        )  # fmt: skip
        self.input_example = None


def test_a_predict_that_must_be_awaited_is_refused_when_it_is_loaded():
    async def predict(rows):
        return [1]

    with pytest.raises(ModelError, match="async def predict"):
        pyfunc_call(Wrapped(predict))
    _refuse_coroutine(Wrapped(lambda rows: asyncio.run(predict(rows))))


def polars_like(kind, **methods):
    return type(kind, (), {"__module__": "polars.dataframe", **methods})()


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        (polars_like("DataFrame", to_dicts=lambda self: [{"a": 1}, {"a": 2}]), [{"a": 1}, {"a": 2}]),
        (polars_like("Series", to_list=lambda self: [1.0, None]), [1.0, None]),
        (
            polars_like("LazyFrame", collect=lambda self: polars_like("DataFrame", to_dicts=lambda s: [{"a": 1}])),
            [{"a": 1}],
        ),
    ],
)  # fmt: skip
def test_a_polars_answer_is_its_rows(answer, rows):
    assert pyfunc_call(Wrapped(lambda _: answer))(None, {}) == rows


def test_an_answer_without_json_form_is_named_and_no_library_is_blamed():
    loaded = Loaded(
        native=None, predict=lambda rows, _: [object()] * len(rows), method="predict",
        input_example={"dataframe_split": {"columns": ["age", "title"], "data": [[1.0, "x"]]}},
    )  # fmt: skip
    with pytest.raises(ModelError, match="cannot be served") as caught:
        tryout.tried(version(), loaded)
    assert "other library versions" not in str(caught.value)
    assert isinstance(caught.value.__cause__, AnswerError)
