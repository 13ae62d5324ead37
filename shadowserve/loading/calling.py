"""The call that a loaded version is asked with: pyfunc's own, without its schema enforcement.

Requests are typed by `schema` before. What remains is what `mlflow models serve` does after its
enforcement: parameters are completed, and a model that was written for a list (by its type hint, or
like its input example) is handed one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of

Predict = Callable[[Any, Mapping[str, Any]], Any]
"""Model input and inference parameters to the model's raw answer, in the order of the rows."""

Fits = Callable[[Any], str | None]
"""A value to what of the model's type hint it breaks, in words without any value; None: it fits."""


def pyfunc_call(model: Any) -> Predict:
    """Make the call of `PyFuncModel.predict` without its schema enforcement, decided once."""
    from mlflow.types.type_hints import _convert_dataframe_to_example_format

    function = model._predict_fn
    parameter = inspect.signature(function).parameters.get("params")
    takes_params = parameter is not None and parameter.kind is not parameter.VAR_KEYWORD
    as_example = model.metadata._is_type_hint_from_example() and model.input_example is not None
    hinted = model.metadata._is_signature_from_type_hint()

    def predict(rows: Any, params: Mapping[str, Any]) -> Any:
        if hinted and isinstance(rows, pd.DataFrame):
            rows = _listed(rows)
        elif as_example and isinstance(rows, pd.DataFrame):
            rows = _convert_dataframe_to_example_format(rows, model.input_example)
        return function(rows, params=dict(params)) if takes_params else function(rows)

    return predict


def _listed(rows: pd.DataFrame) -> list[Any]:
    """Return the only column as Python values, as a type-hinted model is handed them by MLflow."""
    return [
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
