"""Steps of reviewed classes, which answer once what scikit-learn asks of them at every call.

A transformer asks each frame for its names and dtypes, each array whether it is finite, and itself
whether its parameters are valid. Where the class is on the list below, all of that is known before
the call: names and dtypes since the input was laid out by name, parameters since they were validated
when the plan was made. What is called is the same public method of the same fitted object, or of a
shallow copy of it that does not know its columns' names; never code of a user's.

Whatever is not plainly so takes the object's own call: gaps and infinities where they are refused, an
attribute that somebody set meanwhile, another configuration of scikit-learn. So does a call that
raises: the object itself then raises in its own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn import get_config, set_config
from sklearn.base import BaseEstimator

from shadowserve.scorer.structure.genuine import full_name
from shadowserve.scorer.structure.per_row import unknown_within

from .inputs import Laid, Layout

# By exact type: how its input may be laid out without a frame; None where only the checks are
# spared. Each was read for what it does with its input's names, and for what it checks besides its
# input. Left out are those that hand on to estimators, and those that check what they have made.
_LAYOUTS: tuple[tuple[str, Layout | None, str], ...] = (
    ("impute._base", "numbers", "SimpleImputer"),
    ("preprocessing._data", "numbers", "MaxAbsScaler MinMaxScaler RobustScaler StandardScaler"),
    ("preprocessing._encoders", "categories", "OneHotEncoder OrdinalEncoder"),
    ("feature_extraction.text", "texts", "CountVectorizer HashingVectorizer TfidfVectorizer"),
    ("linear_model._base", None, "LinearRegression"),
    ("linear_model._ridge", None, "Ridge RidgeCV RidgeClassifier RidgeClassifierCV"),
    ("linear_model._coordinate_descent", None, "ElasticNet ElasticNetCV Lasso LassoCV"),
    ("linear_model._logistic", None, "LogisticRegression LogisticRegressionCV"),
    ("linear_model._stochastic_gradient", None, "SGDClassifier SGDRegressor"),
    ("svm._classes", None, "LinearSVC LinearSVR"),
)
REVIEWED = {
    f"sklearn.{module}.{name}": layout
    for module, layout, names in _LAYOUTS
    for name in names.split()
}
_FAILURES = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, Warning)

_MEMO = "_stop_words_id"
"""What a vectorizer notes at its first call in each process: an address, and nothing of what it does."""
_NOTHING = object()

Held = tuple[tuple[dict[str, Any], dict[str, Any]], ...]


class AskedOnce:
    """A method of a fitted object of a reviewed class, without the questions that were answered.

    Parameters
    ----------
    own : callable
        The object's own method.
    spared : callable
        The same of a copy that does not know its columns' names; `own` where it never knew any.
    layout : {"numbers", "categories", "texts"} or None
        How its input may be laid out for `spared`.
    gaps : bool
        Whether NaN is as welcome as numbers are.
    held : tuple
        Attributes of the object and of what is within it, as they were.
    """

    __slots__ = ("_gaps", "_held", "_spared", "layout", "own")

    def __init__(
        self,
        own: Callable[[Any], Any],
        spared: Callable[[Any], Any],
        *,
        layout: Layout | None,
        gaps: bool,
        held: Held,
    ) -> None:
        self.own = own
        self.layout = layout
        self._spared = spared
        self._gaps = gaps
        self._held = held

    def __call__(self, values: Any) -> Any:
        """Return what `own` returns for the values, or raise what it raises."""
        laid = type(values) is Laid
        call, given = (self._spared, values.values) if laid else (self.own, values)
        if self._is_fine(given, laid=laid) and self._is_as_it_was():
            before = get_config()
            if before["transform_output"] == "default":
                set_config(assume_finite=True, skip_parameter_validation=True)
                try:
                    return call(given)
                except _FAILURES:
                    pass  # the object itself says below what is wrong
                finally:
                    set_config(
                        assume_finite=before["assume_finite"],
                        skip_parameter_validation=before["skip_parameter_validation"],
                    )
        return self.own(values.stock() if laid else values)

    def _is_fine(self, values: Any, *, laid: bool) -> bool:
        """Whether scikit-learn would find nothing to complain about in the values."""
        if type(values) is sp.csr_matrix:
            values = values.data
        elif type(values) is not np.ndarray:
            return False
        kind = values.dtype.kind
        if kind != "f":
            # Objects that were laid out here are texts.
            return kind in "iu" or laid
        # Infinities are refused everywhere, gaps by most.
        if self._gaps:
            return not np.isinf(values).any()
        return bool(np.isfinite(values).all())

    def _is_as_it_was(self) -> bool:
        """Whether all attributes are the very objects that they were when the plan was made."""
        return all(
            len(now) - (_MEMO in now) == len(then)
            and all(now.get(name, _NOTHING) is value for name, value in then.items())
            for now, then in self._held
        )


def asked_once(model: Any, own: Callable[[Any], Any]) -> AskedOnce | None:
    """Return a method that is spared its questions; None where all of them have to be asked.

    Parameters
    ----------
    model : object
        Fitted; read, never altered.
    own : callable
        A method of it: `transform`, or one that predicts.
    """
    name = full_name(type(model))
    if name not in REVIEWED or not _answers(model):
        return None
    spared = own
    if "feature_names_in_" in vars(model):
        twin = object.__new__(type(model))
        vars(twin).update(vars(model))
        del vars(twin)["feature_names_in_"]
        spared = getattr(twin, own.__name__)
    return AskedOnce(
        own,
        spared,
        layout=REVIEWED[name],
        gaps=_takes_gaps(model),
        held=tuple((vars(part), _lasting(part)) for part in _parts(model)),
    )


def _lasting(part: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if name != _MEMO}


def _parts(model: Any) -> list[Any]:
    return [model, *(part for part in vars(model).values() if isinstance(part, BaseEstimator))]


def _answers(model: Any) -> bool:
    """Whether an object is made of known parts, valid, and the same for arrays as for frames."""
    try:
        if unknown_within(model) is not None:
            return False
        for part in _parts(model):
            part._validate_params()
        return not _looks_further(model)
    except Exception:  # whatever is wrong with it, its own call says so
        return False


def _looks_further(model: Any) -> bool:
    """Whether what an object does depends on more than its input's values."""
    held = vars(model)
    # Somebody has chosen what it gives, frames perhaps; or it writes into what it is handed.
    if "_sklearn_output_config" in held or held.get("copy") is False:
        return True
    if type(model).__name__ == "SimpleImputer":
        # Of objects it makes something else, and an empty column is told by its name.
        kinds = {held["_fit_dtype"].kind, held["statistics_"].dtype.kind}
        return not kinds <= set("fiu") or bool(np.isnan(held["statistics_"]).any())
    if type(model).__name__ == "TfidfVectorizer":
        # What it weighs is checked once more.
        return not np.isfinite(getattr(model._tfidf, "idf_", 1.0)).all()
    return False


def _takes_gaps(model: Any) -> bool:
    name = type(model).__name__
    if name == "SimpleImputer":
        return isinstance(model.missing_values, float) and bool(np.isnan(model.missing_values))
    return REVIEWED[full_name(type(model))] in ("numbers", "categories")
