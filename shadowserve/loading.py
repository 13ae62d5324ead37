"""From a fetched version's files to an object that predicts.

sklearn models are loaded as they are, since timing needs their steps and the lane their
probabilities; every other flavor goes through MLflow's pyfunc. MLflow's own schema enforcement is
left out, as requests are typed by `schema` before: what remains is the call that `mlflow models
serve` makes, so its answers are the same. Whatever goes wrong becomes one `ModelError` that says
what is missing; loading alone proves nothing, the caller must predict once before it is ready.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings as python_warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.errors import ModelError, RequestError
from shadowserve.faults import fault_of
from shadowserve.mlmodel import library_differences, read_flavors, read_manifest
from shadowserve.shipped import shipped_code
from shadowserve.version import Version

Predict = Callable[[Any, Mapping[str, Any]], Any]
"""Model input and inference parameters to the model's raw answer, in the order of the rows."""

METHODS = ("predict", "predict_proba")

_PYFUNC = "python_function"
_GUARD = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_LOST_CLASS = re.compile(r"Can't get attribute '([\w.]+)' on <module '([\w.]+)'")
_SAFE_WARNINGS = ("sklearn.", "lightgbm.", "xgboost.", "mlflow.")


@dataclass(frozen=True, slots=True)
class Threads:
    """Parallelism that one part of a model asks for.

    Parameters
    ----------
    part : str
        Path of the part within the model, ``""`` for the model itself.
    n_jobs : int or None
        As set on the estimator; None and negative numbers as in joblib.
    effective : int
        Workers that joblib would use here.
    """

    part: str
    n_jobs: int | None
    effective: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """One version, ready to predict in this process.

    Parameters
    ----------
    native : object, optional
        The fitted sklearn estimator; None for other flavors.
    predict : callable
        See `Predict`. Not safe for concurrent calls unless the model is.
    method : str
        The estimator's method behind `predict`.
    probabilities : callable, optional
        Model input to probabilities: ndarray of shape (n_rows, n_classes), columns in the order of
        `classes`, or a list of such for several outputs. None where the model has none.
    classes : list, optional
        Labels as JSON-able values; a list of lists for several outputs.
    feature_names : list of str, optional
        Column names the estimator was fitted with.
    input_example : object, optional
        A body for ``/invocations``, parsed, as saved with the model.
    threads : tuple of Threads
        Every part of the model with an ``n_jobs``.
    warnings : tuple of str
        Library differences, hidden shipped modules and what loading warned of; no values.
    """

    native: Any
    predict: Predict
    method: str
    probabilities: Callable[[Any], Any] | None = None
    classes: list[Any] | None = None
    feature_names: list[str] | None = None
    input_example: Any = None
    threads: tuple[Threads, ...] = ()
    warnings: tuple[str, ...] = ()


def load(path: Path, *, method: str = "predict", version: Version | None = None) -> Loaded:
    """Load a version into this process.

    Parameters
    ----------
    path : Path
        Directory from `Registry.fetch`. Check it with `version.identity` as well.
    method : {"predict", "predict_proba"}
        What is served. For ``predict`` a version that was logged with another
        ``pyfunc_predict_fn`` keeps that one, as under MLflow's own server.
    version : Version, optional
        Names the version in messages.

    Raises
    ------
    ModelError
        It cannot be loaded here, or has no such method.
    """
    name = str(version.pin) if version is not None else path.name
    if method not in METHODS:
        raise ModelError(f"Method {method!r} is not one of {', '.join(METHODS)}.")
    content = read_flavors(path, pin=version.pin if version is not None else None)
    flavors = content["flavors"]
    differences = library_differences(read_manifest(path).libraries)
    notes = [f"other library: {difference}" for difference in differences]
    _import_mlflow()
    with (
        _explained(name, differences),
        _noted(notes),
        shipped_code(_code(path, flavors), name=name) as hidden,
    ):
        notes += [f"shipped module {module!r} is hidden by the server's own" for module in hidden]
        native, predict, estimator, called = _load(path, flavors, method)
    return Loaded(
        native=native,
        predict=predict,
        method=called,
        probabilities=getattr(estimator, "predict_proba", None),
        classes=_classes(estimator),
        feature_names=_feature_names(estimator),
        input_example=input_example(path),
        threads=_threads(estimator),
        warnings=tuple(notes),
    )


def version_differences(version: Version) -> list[str]:
    """Where this process runs other library versions than a version was trained with.

    Returns
    -------
    list of str
        ``"scikit-learn 1.3.2 in training, 1.9.1 here"``; empty where all are equal.
    """
    return library_differences(version.libraries)


def input_example(path: Path) -> Any:
    """Return the input example saved with a model as a body for ``/invocations``.

    Returns
    -------
    object or None
        Parsed JSON: ``{"dataframe_split": …}``, ``{"inputs": …}``, …; None without an example.
    """
    info = read_flavors(path).get("saved_input_example_info") or {}
    saved = info.get("serving_input_path") or info.get("artifact_path")
    if saved is None or not (path / saved).is_file():
        return None
    example = json.loads((path / saved).read_text(encoding="utf-8"))
    if info.get("serving_input_path"):
        return example
    if info.get("type") == "dataframe":
        return {f"dataframe_{info.get('pandas_orient', 'split')}": example}
    return {"inputs": example.get("inputs", example) if isinstance(example, dict) else example}


def _import_mlflow() -> None:
    """Import what loading needs first, so that MLflow's own warnings are not the model's."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.sklearn  # noqa: F401


def _load(path: Path, flavors: Mapping[str, Any], method: str) -> tuple[Any, Predict, Any, str]:
    """Return the native estimator, the call, the estimator to ask for facts, the method's name."""
    if "sklearn" in flavors:
        import mlflow.sklearn

        native = mlflow.sklearn.load_model(str(path))
        asked = (flavors.get(_PYFUNC) or {}).get("predict_fn", "predict")
        called = asked if method == "predict" else method
        function = _method(native, called)
        return native, _checked(path, lambda rows, _: function(rows)), native, called
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(path), suppress_warnings=True)
    raw = _raw(model)
    if method == "predict":
        return (
            None,
            _checked(path, _pyfunc_call(model)),
            raw,
            flavors[_PYFUNC].get("predict_fn", method),
        )
    function = _method(raw, method)
    return None, _checked(path, lambda rows, _: function(rows)), raw, method


def _pyfunc_call(model: Any) -> Predict:
    """Make the call of `PyFuncModel.predict` without its schema enforcement, decided once."""
    from mlflow.types.type_hints import _convert_dataframe_to_example_format

    function = model._predict_fn
    parameter = inspect.signature(function).parameters.get("params")
    takes_params = parameter is not None and parameter.kind is not parameter.VAR_KEYWORD
    as_example = model.metadata._is_type_hint_from_example() and model.input_example is not None

    def predict(rows: Any, params: Mapping[str, Any]) -> Any:
        if as_example and hasattr(rows, "columns"):
            rows = _convert_dataframe_to_example_format(rows, model.input_example)
        return function(rows, params=dict(params)) if takes_params else function(rows)

    return predict


def _checked(path: Path, predict: Predict) -> Predict:
    """Complete inference parameters with their defaults, as MLflow does; refuse wrong ones."""
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


def _method(estimator: Any, method: str) -> Callable[[Any], Any]:
    function = getattr(estimator, method, None)
    if not callable(function):
        raise ModelError(f"has no {method}(). Serve it with another --method.")
    return function  # type: ignore[no-any-return]


def _raw(model: Any) -> Any:
    """Return what the flavor wraps, where it tells: LightGBM's or XGBoost's own estimator."""
    get = getattr(model._model_impl, "get_raw_model", None)
    return get() if callable(get) else None


def _code(path: Path, flavors: Mapping[str, Any]) -> Path | None:
    folder = next((conf["code"] for conf in flavors.values() if conf.get("code")), None)
    return path / folder if folder else None


def _classes(estimator: Any) -> list[Any] | None:
    found = getattr(estimator, "classes_", None)
    if isinstance(found, list):
        return [labels.tolist() for labels in found]
    return None if found is None else list(found.tolist())


def _feature_names(estimator: Any) -> list[str] | None:
    found = getattr(estimator, "feature_names_in_", None)
    return None if found is None else [str(name) for name in found]


def _threads(estimator: Any) -> tuple[Threads, ...]:
    from joblib import effective_n_jobs

    if not hasattr(estimator, "get_params"):
        return ()
    return tuple(
        Threads(name[: -len("n_jobs")].removesuffix("__"), n_jobs, effective_n_jobs(n_jobs))
        for name, n_jobs in sorted(estimator.get_params(deep=True).items())
        if name.rpartition("__")[2] == "n_jobs"
    )


@contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Collect Python's warnings while loading, which is done by one thread."""
    with python_warnings.catch_warnings(record=True) as caught:
        python_warnings.simplefilter("always")
        yield
    for warning in caught:
        category = warning.category
        text = str(warning.message).splitlines()[0] if _is_safe(category) else "at loading"
        note = f"{category.__name__}: {text[:200]}"
        if note not in notes:
            notes.append(note)


def _is_safe(category: type[Warning]) -> bool:
    """Whether a warning's text is a library's own; a model's may quote data."""
    return category.__module__.startswith(_SAFE_WARNINGS)


@contextmanager
def _explained(name: str, differences: list[str]) -> Iterator[None]:
    """Turn whatever loading raises into one line that says what to do."""
    try:
        yield
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(name) else f"{name} {text}") from error
    except (Exception, SystemExit) as error:
        others = f" Other libraries: {'; '.join(differences)}." if differences else ""
        raise ModelError(f"{name} cannot be loaded: {_cause(error)}{others}") from error


def _cause(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        return (
            f"module {error.name!r} is missing. Log the model with code_paths=['{top}.py'] (or "
            "the package's folder), or install it here."
        )
    if lost := _LOST_CLASS.search(str(error)):
        return (
            f"{lost[1]!r} is not in module {lost[2]!r}. Define it in a module of its own and log "
            "the model with code_paths."
        )
    if _GUARD in str(error):
        return (
            f"loading it executes code, which {_GUARD}=false forbids. Set it to true if you trust "
            "the version, or pin one that is data only."
        )
    fault = fault_of(error)
    return f"{fault.type} at {fault.frame}. Load it where it was trained to see why."
