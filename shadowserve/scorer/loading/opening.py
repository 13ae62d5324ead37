"""The opening of a version: its fetched files become an object that predicts.

sklearn models are loaded as they are, since timing needs their steps and the lane their
probabilities; every other flavor goes through MLflow's pyfunc. MLflow's own schema enforcement is
left out, as requests are typed by `schema` before. What remains is the call that `mlflow models
serve` makes, so its answers are the same. Whatever goes wrong becomes one `ModelError` that says
what is missing; loading alone proves nothing, the caller must predict once before it is ready.
"""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shadowserve.errors import ModelError
from shadowserve.scorer.featurization.categories import known_categories
from shadowserve.scorer.loading.advice import cause
from shadowserve.scorer.loading.calling import (
    Fits,
    Predict,
    categorised,
    completed,
    fits,
    pyfunc_call,
)
from shadowserve.scorer.loading.examples import input_example
from shadowserve.scorer.loading.facts import (
    classes,
    feature_names,
    run_in_one_job,
    threads,
)
from shadowserve.scorer.loading.graphs import unknown_operator
from shadowserve.scorer.loading.kinds import kinds, kinds_of_example
from shadowserve.scorer.loading.loaded import Loaded
from shadowserve.scorer.shipped_code import shipped_code
from shadowserve.scorer.structure.per_row import unknown_part
from shadowserve.settings.vocabulary import METHODS
from shadowserve.versions.mlmodel import library_differences, read_flavors, read_manifest
from shadowserve.versions.version import Version
from shadowserve.withheld import traces_are_off

_PYFUNC = "python_function"
_CONVERSATIONS = {
    f"mlflow.pyfunc.loaders.{module}": name
    for module, name in (
        ("chat_model", "ChatModel"),
        ("chat_agent", "ChatAgent"),
        ("responses_agent", "ResponsesAgent"),
    )
}
_BOOSTER_LOADERS = ("mlflow.lightgbm", "mlflow.xgboost", "mlflow.catboost")
_PER_ROW_METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
_SAFE_WARNINGS = ("sklearn.", "lightgbm.", "xgboost.", "mlflow.")


def load(
    path: Path,
    *,
    method: str = "predict",
    version: Version | None = None,
    one_job: bool = False,
) -> Loaded:
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
    one_job : bool
        Whether every part runs in one process and thread, whatever ``n_jobs`` it was fitted with.

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
    manifest = read_manifest(path)
    differences = library_differences(manifest.libraries)
    hidden: list[str] = []
    notes = [f"other library: {difference}" for difference in differences]
    import_mlflow()
    with (
        _explained(name, differences, requirements=manifest.requirements, hidden=hidden),
        _noted(notes),
        shipped_code(_code(path, flavors), name=name) as found,
    ):
        # `_explained` holds the same list, for when loading fails below.
        hidden += sorted(found)
        notes += [f"shipped module {module!r} is hidden by the server's own" for module in hidden]
        opened = _open(path, flavors, method)
    estimator = opened.estimator
    if one_job:
        run_in_one_job(estimator)
    return Loaded(
        native=opened.native,
        predict=opened.predict,
        method=opened.method,
        probabilities=getattr(estimator, "predict_proba", None),
        classes=classes(estimator),
        feature_names=(names := feature_names(estimator)),
        kinds={**kinds_of_example(example := input_example(path)), **kinds(estimator, names)},
        respelled=type(estimator).__module__.startswith("lightgbm."),
        input_example=example,
        fits=opened.fits,
        threads=threads(estimator),
        warnings=tuple(notes),
        unknown=_unknown(opened, flavors, path),
        multi_output=opened.native is not None
        and opened.method == "predict_proba"
        and isinstance(getattr(estimator, "classes_", None), list),
        categories=partial(known_categories, estimator),
    )


def version_differences(version: Version) -> list[str]:
    """Where this process runs other library versions than a version was trained with.

    Returns
    -------
    list of str
        ``"scikit-learn 1.3.2 in training, 1.9.1 here"``; empty where all are equal.
    """
    return library_differences(version.libraries)


def import_mlflow() -> None:
    """Import what loading needs first, so that MLflow's own warnings are not the model's."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.sklearn

        if traces_are_off():
            import mlflow.tracing

            mlflow.tracing.disable()


@dataclass(frozen=True, slots=True)
class _Opened:
    """The result of the flavor's loader: its call, and the estimator that facts are read from."""

    predict: Predict
    method: str
    estimator: Any
    native: Any = None
    fits: Fits | None = None


def _open(path: Path, flavors: Mapping[str, Any], method: str) -> _Opened:
    if "sklearn" in flavors:
        import mlflow.sklearn

        native = mlflow.sklearn.load_model(str(path))
        asked = (flavors.get(_PYFUNC) or {}).get("predict_fn", "predict")
        called = asked if method == "predict" else method
        function = _method(native, called)
        return _Opened(completed(path, lambda rows, _: function(rows)), called, native, native)
    # Before pyfunc loads it: loading runs the version's code.
    _refuse_uncallable(flavors)
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(path), suppress_warnings=True)
    raw = _raw(model)
    if method == "predict":
        called = flavors[_PYFUNC].get("predict_fn", method)
        call = completed(path, categorised(raw, pyfunc_call(model)))
        return _Opened(call, called, raw, fits=fits(model))
    function = _method(raw, method)
    return _Opened(completed(path, lambda rows, _: function(rows)), method, raw)


def _unknown(opened: _Opened, flavors: Mapping[str, Any], path: Path) -> str | None:
    """Return what may look at a row's neighbours: anything, where MLflow's loader is not a known one."""
    loader = str((flavors.get(_PYFUNC) or {}).get("loader_module"))
    if loader == "mlflow.onnx" and _code(path, flavors) is None and opened.method == "predict":
        try:
            return unknown_operator(path / str(flavors["onnx"]["data"]), opened.estimator)
        except Exception as error:  # a file of somebody else's making
            return f"its graph, which cannot be read ({type(error).__name__})"
    if opened.native is None and loader not in _BOOSTER_LOADERS:
        return f"its code ({loader})"
    if opened.method not in _PER_ROW_METHODS:
        return f"its method {opened.method}"
    try:
        return unknown_part(opened.estimator)
    except Exception as error:  # a stranger's attribute may raise anything
        return f"a part that cannot be looked into ({type(error).__name__})"


def _refuse_uncallable(flavors: Mapping[str, Any]) -> None:
    """Refuse a version that does not answer rows, before any of its code runs."""
    if _PYFUNC not in flavors:
        raise ModelError(
            f"has no python_function flavor, only {', '.join(sorted(flavors))}. Log it with a "
            "flavor that Python can call."
        )
    loader = str(flavors[_PYFUNC].get("loader_module"))
    if loader in _CONVERSATIONS:
        raise ModelError(
            f"is a {_CONVERSATIONS[loader]}: it answers conversations, not rows, so there is "
            "nothing to compare row by row. Pin a version whose predict takes rows."
        )


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
def _explained(
    name: str, differences: list[str], *, requirements: Sequence[str], hidden: Collection[str]
) -> Iterator[None]:
    """Turn any exception of loading into one line that says what to do."""
    try:
        yield
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(name) else f"{name} {text}") from error
    except BaseException as error:
        why = cause(error, differences=differences, requirements=requirements, hidden=hidden)
        raise ModelError(f"{name} cannot be loaded: {why}") from error
