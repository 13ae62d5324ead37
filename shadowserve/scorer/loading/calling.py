"""The call that a loaded version is asked with: pyfunc's own, without its schema enforcement.

Requests are typed by `schema` before. What remains is what `mlflow models serve` does after its
enforcement. Parameters are completed, and a model that was written for a list, by its type hint or
like its input example, gets one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from shadowserve.errors import ModelError, RequestError
from shadowserve.faults import fault_of

Predict = Callable[[Any, Mapping[str, Any]], Any]
"""Model input and inference parameters to the model's raw answer, in the order of the rows."""

Fits = Callable[[Any], str | None]
"""A value to what of the model's type hint it breaks, in words without any value; None: it fits."""


def pyfunc_call(model: Any) -> Predict:
    """Make the call of `PyFuncModel.predict` without its schema enforcement, decided once."""
    from mlflow.types.type_hints import _convert_dataframe_to_example_format

    function = model._predict_fn
    _refuse_coroutine(model)
    parameter = inspect.signature(function).parameters.get("params")
    # As MLflow decides it: ``**params`` takes any keyword, and does not count.
    takes_params = parameter is not None and parameter.kind is not parameter.VAR_KEYWORD
    as_example = model.metadata._is_type_hint_from_example() and model.input_example is not None
    hinted = model.metadata._is_signature_from_type_hint()

    def predict(rows: Any, params: Mapping[str, Any]) -> Any:
        if hinted and isinstance(rows, pd.DataFrame):
            rows = _listed(rows)
        elif as_example and isinstance(rows, pd.DataFrame):
            rows = _convert_dataframe_to_example_format(rows, model.input_example)
        answer = function(rows, params=dict(params)) if takes_params else function(rows)
        return _of_polars(answer) if type(answer).__module__.startswith("polars.") else answer

    return predict


def _refuse_coroutine(model: Any) -> None:
    """Refuse a predict that must be awaited: nobody does, here or in MLflow's own server."""
    written: Any = getattr(getattr(model, "_model_impl", None), "python_model", None)
    for function in (getattr(written, "func", None), getattr(written, "predict", None)):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise ModelError(
                "has an 'async def predict', and nobody awaits it, here or in MLflow's own server. "
                "Log one that returns its answer, such as 'return asyncio.run(...)'."
            )


def _of_polars(answer: Any) -> Any:
    """Turn a polars answer into rows: records of a frame, values of a series."""
    if hasattr(answer, "collect"):
        answer = answer.collect()
    return answer.to_dicts() if hasattr(answer, "to_dicts") else answer.to_list()


def categorised(model: Any, predict: Predict) -> Predict:
    """Hand text to a LightGBM model as the pandas categories that it was fitted on.

    A request has no categories, and text alone LightGBM refuses. Where text and categories are not
    the same number of columns, nothing is known of which is which, and rows stay as they are.
    """
    known = getattr(getattr(model, "booster_", model), "pandas_categorical", None)
    if not known or not type(model).__module__.startswith("lightgbm."):
        return predict

    def call(rows: Any, params: Mapping[str, Any]) -> Any:
        if isinstance(rows, pd.DataFrame):
            text = [name for name in rows if pd.api.types.is_string_dtype(rows[name].dtype)]
            if len(text) == len(known):
                of = zip(map(str, text), known, strict=True)
                rows = rows.assign(**{n: pd.Categorical(rows[n], categories=c) for n, c in of})
        return predict(rows, params)

    return call


def _listed(rows: pd.DataFrame) -> list[Any]:
    """Return the only column as Python values, as a type-hinted model is handed them by MLflow."""
    return [
        # Python's datetime ends at microseconds, so a finer moment stays what it is.
        value.to_pydatetime() if isinstance(value, pd.Timestamp) and not value.nanosecond else value
        for value in rows.iloc[:, 0].tolist()
    ]


def fits(model: Any) -> Fits | None:
    """Return the test of one value by a pyfunc model's type hint; None where it has none.

    A pydantic class knows more than the signature that MLflow infers from it: defaults, limits,
    validators. So a request is tried by the class itself before the model sees it.
    """
    if not model.metadata._is_signature_from_type_hint():
        return None
    from mlflow.exceptions import MlflowException
    from mlflow.types.type_hints import _validate_data_against_type_hint

    hints = getattr(getattr(model._model_impl, "python_model", None), "predict_type_hints", None)
    arguments = get_args(hints.input) if hints is not None else ()
    if len(arguments) != 1:
        return None
    (hint,) = arguments

    def test(value: Any) -> str | None:
        try:
            _validate_data_against_type_hint(value, hint)
        except MlflowException as error:
            return _broken(error, hint)
        except BaseException as error:  # a validator of the class; its text may quote the value
            return f"{_name(hint)} ({fault_of(error).type})"
        return None

    return test


def _broken(error: Exception, hint: Any) -> str:
    """Say which rule of the hint is broken, and in which field, by names of the class alone."""
    told = getattr(error.__cause__, "errors", None)
    if not callable(told):
        return _name(hint)
    # Only the rule and the place; pydantic's own text quotes the value.
    first = told(include_url=False, include_context=False, include_input=False)[0]
    fields = getattr(hint, "model_fields", {})
    place = "".join(
        f".{part}" if part in fields else f"[{part}]" if isinstance(part, int) else ""
        for part in first["loc"]
    )
    return f"{_name(hint)}{place} ({first['type']})"


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def completed(path: Path, predict: Predict) -> Predict:
    """Complete inference parameters with their defaults, as MLflow does.

    Raises
    ------
    RequestError
        ``bad_params``, at the call, for one of another type than the model's.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.models.utils import _enforce_params_schema

    schema = Model.load(str(path)).get_params_schema()
    if schema is None:
        return lambda rows, _: predict(rows, {})
    known = sorted(spec.name for spec in schema.params)

    def checked(rows: Any, params: Mapping[str, Any]) -> Any:
        try:
            complete = _enforce_params_schema(dict(params), schema)
        except MlflowException:
            raise RequestError(
                f"Inference parameters do not fit the model's: {', '.join(known)}. Check types.",
                code="bad_params",
            ) from None
        return predict(rows, complete)

    return checked
