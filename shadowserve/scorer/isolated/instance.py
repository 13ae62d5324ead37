"""The version itself, in the process of its environment: loaded, compiled into a timed walk, called.

A model of scikit-learn's flavor is unpickled as it lies there, so that its environment needs no MLflow. Other
flavors are loaded by the MLflow that they were recorded with.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowserve import ambience
from shadowserve.errors import ModelError
from shadowserve.faults import fault_of
from shadowserve.schema.rows import Rows
from shadowserve.scorer.loading.advice import cause
from shadowserve.scorer.loading.calling import categorised, fits, pyfunc_call
from shadowserve.scorer.loading.facts import classes, feature_names, run_in_one_job, threads
from shadowserve.scorer.loading.kinds import kinds
from shadowserve.scorer.loading.recorded import load_recorded
from shadowserve.scorer.shipped_code import forget, shipped_code
from shadowserve.scorer.structure.per_row import unknown_part
from shadowserve.steps import StepTimes, timed_call

_PYFUNC = "python_function"
_BOOSTER_LOADERS = ("mlflow.lightgbm", "mlflow.xgboost", "mlflow.catboost")
_PER_ROW_METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
_GUARD = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_REVIEWED_SINCE = (1, 3)
"""The release of scikit-learn from which on what we know of its classes holds."""


class Instance:
    """One loaded instance of the version, and how it is called.

    Parameters
    ----------
    told : mapping
        Its ``path``, its ``flavors`` as the MLmodel file has them, the ``method`` that is served, whether it
        runs in ``one_job``, and its ``name`` for messages.
    mark : sequence of int of length 1
        Where the running step's index is left.

    Raises
    ------
    ModelError
        If it cannot be loaded, or has no such method.
    """

    def __init__(self, told: Mapping[str, Any], *, mark: Any) -> None:
        self._told = told
        self._path = Path(told["path"])
        self._flavors: Mapping[str, Any] = told["flavors"]
        self._mark = mark
        self._notes: list[str] = []
        self._fits: Callable[[Any], str | None] | None = None
        self._load()
        self.plan = self._compiled()

    def _load(self) -> None:
        name, hidden = str(self._told["name"]), list[str]()
        with (
            _explained(name, hidden),
            _noted(self._notes),
            shipped_code(self._code(), name=name) as found,
        ):
            hidden += sorted(found)
            if "sklearn" in self._flavors:
                self._open_native()
            else:
                self._open_by_mlflow()
        if self._told["one_job"]:
            run_in_one_job(self._estimator)

    def _open_native(self) -> None:
        conf = self._flavors["sklearn"]
        model = unpickled(self._path / str(conf["pickled_model"]), conf)
        asked = (self._flavors.get(_PYFUNC) or {}).get("predict_fn", "predict")
        self._method = asked if self._told["method"] == "predict" else self._told["method"]
        function = _method(model, self._method)
        self._estimator = self._native = model
        self._call: Callable[[Any, Any], Any] = lambda rows, _: function(rows)

    def _open_by_mlflow(self) -> None:
        model = load_recorded(self._path)
        get = getattr(model._model_impl, "get_raw_model", None)
        raw = get() if callable(get) else None
        self._estimator, self._native = raw, None
        if self._told["method"] != "predict":
            self._method = self._told["method"]
            function = _method(raw, self._method)
            self._call = lambda rows, _: function(rows)
            return
        self._method = self._flavors[_PYFUNC].get("predict_fn", "predict")
        try:
            self._call = categorised(raw, pyfunc_call(model))
            self._fits = fits(model)
        except (ImportError, AttributeError):  # an MLflow from before type hints
            written = getattr(model, "_predict_fn", None) or model._model_impl.predict
            self._call = categorised(raw, lambda rows, _: written(rows))

    def _code(self) -> Path | None:
        folder = next((conf["code"] for conf in self._flavors.values() if conf.get("code")), None)
        return self._path / folder if folder else None

    def _compiled(self) -> Any:
        """Compile the timed walk; None where the version is called as a whole."""
        if self._native is None or self._method != self._told["method"]:
            return None
        from shadowserve.scorer import featurization

        return featurization.compile(self._native, method=self._method)

    def facts(self) -> dict[str, Any]:
        """Return what is known of it without a call, and its steps."""
        names = feature_names(self._estimator)
        return {
            **self.walk(),
            "method": self._method,
            "native": self._native is not None,
            "classes": classes(self._estimator),
            "feature_names": names,
            "kinds": kinds(self._estimator, names),
            "respelled": type(self._estimator).__module__.startswith("lightgbm."),
            "threads": [[one.part, one.n_jobs, one.effective] for one in self._threads()],
            "warnings": self._notes,
            "unknown": self._unknown(),
            "multi_output": self._native is not None
            and self._method == "predict_proba"
            and isinstance(getattr(self._estimator, "classes_", None), list),
            "hinted": self._fits is not None,
            "categories": self._categories(names),
            "ways": self._ways(),
        }

    def walk(self) -> dict[str, Any]:
        """Return the steps that are timed, and what is said of them."""
        if self.plan is None:
            return {"steps": None, "plan_notes": [], "methods": []}
        steps = [[s.name, list(s.columns), s.kind, s.n_jobs, s.made_of] for s in self.plan.steps]
        return {
            "steps": steps,
            "plan_notes": list(self.plan.notes),
            "methods": list(self.plan.methods),
        }

    def verify(self, rows: Rows) -> dict[str, Any]:
        """Find the finest walk whose output is the model's own on these rows, with this library."""
        calls = 0
        if self.plan is not None:
            from shadowserve.scorer import featurization

            self.plan, calls = ambience.within(featurization.verified, self.plan, rows)
        return {**self.walk(), "calls": calls}

    def prove(self, rows: Rows) -> dict[str, Any] | None:
        """Compare the walk with the model's own path; return the coarser walk where they differ, else None."""
        if self.plan is None:
            return None
        from shadowserve.scorer import featurization

        if ambience.within(featurization.check_identity, self.plan, rows).holds:
            return None
        self.plan = ambience.within(featurization.verify, self.plan, rows)
        return self.walk()

    def fits(self, value: Any) -> str | None:
        """Try one value by the model's own type hint."""
        return None if self._fits is None else ambience.within(self._fits, value)

    def begin_anew(self) -> None:
        """Load it once more, timed alike: what was tried is let go, with what its modules remember."""
        emptied = None if self.plan is None else self.plan.emptied()
        self.plan = self._estimator = self._native = self._fits = None
        self._call = _gone
        forget(self._path)
        ambience.within(self._load)
        if emptied is not None:
            from shadowserve.scorer import featurization

            self.plan = ambience.within(featurization.like, emptied, self._native)

    def score(self, rows: Rows, *, scores: bool) -> tuple[Any, StepTimes, Any]:
        """Score rows; return the output, its times, and probabilities where they were asked for."""
        # Parameters were completed and checked by the other side; a call with them is not walked.
        if self.plan is None or rows.params:
            output, times = timed_call(self._call, rows.model_input(), rows.params)
            return output, times, None
        wanted = ("predict_proba",) if scores and "predict_proba" in self.plan.methods else ()
        timed = self.plan.run(rows, outputs=wanted, mark=self._mark)
        return timed.output, timed.times, timed.others.get("predict_proba")

    def _threads(self) -> tuple[Any, ...]:
        try:
            return threads(self._estimator)
        except ImportError:  # joblib comes with those that have parts that ask for threads
            return ()

    def _categories(self, names: Any) -> list[Any]:
        try:
            from shadowserve.scorer.featurization.categories import known_categories
        except ImportError:  # no scikit-learn there, or one from before its encoders of today
            return []
        known = known_categories(self._estimator, names)
        return [[name, list(one.values), one.missing, one.refuses] for name, one in known.items()]

    def _ways(self) -> list[Any]:
        with contextlib.suppress(Exception):
            given = self._estimator.get_params(deep=True)
            return [
                [str(path), value] for path, value in given.items() if type(value) in (bool, int)
            ]
        return []

    def _unknown(self) -> str | None:
        """Return what may look at a row's neighbours, as far as its structure tells."""
        loader = str((self._flavors.get(_PYFUNC) or {}).get("loader_module"))
        if self._native is None and loader not in _BOOSTER_LOADERS:
            return f"its code ({loader})"
        if self._method not in _PER_ROW_METHODS:
            return f"its method {self._method}"
        try:
            if self._native is not None:
                import sklearn

                release = tuple(map(int, sklearn.__version__.split(".")[:2]))
                if release < _REVIEWED_SINCE:
                    return f"its library (scikit-learn {sklearn.__version__})"
            return unknown_part(self._estimator)
        except Exception as error:  # a stranger's attribute may raise anything
            return f"a part that cannot be looked into ({type(error).__name__})"


def unpickled(file: Path, conf: Mapping[str, Any]) -> Any:
    """Load a file of scikit-learn's flavor, in the format that the MLmodel file names.

    Raises
    ------
    ModelError
        If it is of another format, or the team forbids to run code of versions.
    """
    if os.environ.get(_GUARD, "true").lower() in ("false", "0"):
        raise ModelError(
            f"loading it executes code, which {_GUARD}=false forbids. Set it to true if you trust the version, or "
            "pin one that is data only."
        )
    saved_as = str(conf.get("serialization_format") or "pickle")
    if saved_as == "skops":
        import skops.io

        return skops.io.load(file, trusted=conf.get("skops_trusted_types"))
    if saved_as not in ("pickle", "cloudpickle"):
        raise ModelError(
            f"is saved as {saved_as!r}, which nobody here can read. Log it as pickle or skops."
        )
    with file.open("rb") as opened:
        return pickle.load(opened)


def _method(estimator: Any, method: str) -> Callable[[Any], Any]:
    function = getattr(estimator, method, None)
    if not callable(function):
        raise ModelError(f"has no {method}(). Serve it with another --method.")
    return function  # type: ignore[no-any-return]


def _gone(_rows: Any, _params: Any) -> Any:
    raise RuntimeError("This instance was tried and let go; a fresh one serves.")


@contextlib.contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Collect the names of Python's warnings at loading; their texts may quote data."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        note = f"{warning.category.__name__}: at loading"
        if note not in notes:
            notes.append(note)


@contextlib.contextmanager
def _explained(name: str, hidden: list[str]) -> Iterator[None]:
    """Turn any exception of loading into one line that says what to do."""
    try:
        yield
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(name) else f"{name} {text}") from error
    except ModuleNotFoundError as error:
        top = str(error.name or "?").partition(".")[0]
        if top in hidden:
            raise ModelError(f"{name} cannot be loaded: {cause(error, hidden=hidden)}") from error
        raise ModelError(
            f"{name} cannot be loaded: module {top!r} is not in its environment, since its recorded "
            "requirements do not bring it. Log it again with pip_requirements that name the package, or with "
            "code_paths if it is your own."
        ) from error
    except BaseException as error:
        fault = fault_of(error)
        raise ModelError(
            f"{name} cannot be loaded in its own environment: {fault.type} at {fault.frame}. Load it where it "
            "was trained to see why."
        ) from error
