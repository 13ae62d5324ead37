"""Models that are known, by their structure, to look at one row at a time.

Requests of several callers may share a call of such a model. No row's answer depends on its
neighbours, beyond the last digits that sums in another order move. Known is what stands here, by
exact type: each entry was read for what its `predict` or `transform` does with other rows. A
subclass, a function, a shipped class, and a library that somebody patched are unknown code.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from shadowserve.scorer.structure.genuine import LIBRARIES, full_name, is_genuine, patched
from shadowserve.scorer.structure.reviewed import BOOSTERS, CURVES, FITTING, ONLY, PER_ROW, WITHIN

_FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
)
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    slice,
    range,
    type(...),
    type(NotImplemented),
)


def unknown_part(model: Any) -> str | None:
    """Return what in a model may look at a row's neighbours; None if nothing does.

    Parameters
    ----------
    model : object
        A fitted estimator, or a booster of LightGBM, XGBoost or CatBoost.

    Returns
    -------
    str or None
        The first part found that is not known, such as ``"Ranked in Pipeline.steps"``; no value.

    Examples
    --------
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> unknown_part(FunctionTransformer(np.log1p)), unknown_part(FunctionTransformer(abs))
    (None, 'a function of FunctionTransformer')
    """
    return unknown_within(model) or patched()


def unknown_within(model: Any) -> str | None:
    """Return the same by structure alone: whether somebody patched a library is not asked."""
    if full_name(type(model)) not in PER_ROW | BOOSTERS:
        return _named("", model).removesuffix(" in ")
    return _Walk().unknown(model)


class _Walk:
    """Looks at everything that a model holds, once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def unknown(self, model: Any) -> str | None:
        waiting: list[tuple[str, Any]] = [(type(model).__name__, model)]
        while waiting:
            path, part = waiting.pop()
            # By exact type, since a subclass of a number may bring code of its own.
            if (isinstance(part, _PLAIN) and type(part) in _PLAIN) or id(part) in self._seen:
                continue
            self._seen.add(id(part))
            inner = _inner(path, part)
            if inner is None:
                return _named(path, part)
            waiting += inner
        return None


def _named(path: str, part: Any) -> str:
    """Name a part and where it is; of functions and of what applies them, that it is one."""
    kind = type(part).__name__
    if kind in _WITH_FUNCTIONS:
        return f"a function of {kind}"
    return f"a function in {path}" if isinstance(part, _FUNCTIONS) else f"{kind} in {path}"


def _inner(path: str, part: Any) -> Iterable[tuple[str, Any]] | None:
    """Return what a part holds, each with its path; None where the part is not known."""
    kind = type(part)
    if kind in (list, tuple, set, frozenset):
        return ((path, each) for each in part)
    if isinstance(part, dict) and (kind is dict or is_genuine(kind)):
        return ((path, each) for each in part.values())
    if kind in (np.ndarray, np.memmap):
        return _of_array(path, part)
    if isinstance(part, type):
        return () if issubclass(part, (np.generic, *_PLAIN[1:7])) and _is_built_in(part) else None
    return _of_object(path, part, kind)


def _of_array(path: str, part: np.ndarray) -> Iterable[tuple[str, Any]]:
    if not part.dtype.hasobject:
        return ()
    flat = part.ravel().tolist()
    return () if {*map(type, flat)} <= {*_PLAIN} else [(path, each) for each in flat]


def _of_object(path: str, part: Any, kind: type) -> Iterable[tuple[str, Any]] | None:
    name = full_name(kind)
    if isinstance(part, _FUNCTIONS) or not is_genuine(kind):
        return None
    if name in CURVES:
        return ()
    if name in BOOSTERS:
        return () if not _overridden(part) else None
    if name in PER_ROW or name in WITHIN:
        return _of_estimator(part, kind)
    if any(callable(getattr(kind, each, None)) for each in ("fit", "transform", "predict")):
        return None  # an estimator that is not on the list
    if not name.startswith(LIBRARIES):
        return None
    return ((path, each) for each in getattr(part, "__dict__", {}).values())


def _of_estimator(part: Any, kind: type) -> Iterator[tuple[str, Any]] | None:
    held: Mapping[str, Any] = getattr(part, "__dict__", {})
    check = _CONDITIONS.get(kind.__name__)
    if _overridden(part) or (check is not None and not check(held)):
        return None
    only = ONLY.get(kind.__name__)
    names = (
        [n for n in held if n not in FITTING] if only is None else [n for n in only if n in held]
    )
    if kind.__name__ in _WITH_FUNCTIONS:
        names = [n for n in names if n not in ("func", "inverse_func")]
    return ((f"{kind.__name__}.{name}", held[name]) for name in names)


def _overridden(part: Any) -> bool:
    """Whether an object's own attribute hides a method of its class."""
    held = getattr(part, "__dict__", {})
    return any(callable(getattr(type(part), name, None)) and callable(held[name]) for name in held)


def _is_built_in(kind: type) -> bool:
    return kind.__module__ in ("builtins", "numpy")


def _is_elementwise(function: object) -> bool:
    """Whether it is one of NumPy's own functions of one number."""
    if function is None:
        return True
    own: Any = getattr(np, str(getattr(function, "__name__", "")), None)
    if not isinstance(own, np.ufunc) or function is not own:
        return False
    return own.nin == own.nout == 1 and own.signature is None


def _applies_ufuncs(held: Mapping[str, Any]) -> bool:
    functions = (held.get("func"), held.get("inverse_func"))
    arguments = (held.get("kw_args"), held.get("inv_kw_args"))
    return all(map(_is_elementwise, functions)) and not any(arguments)


def _has_a_tree(held: Mapping[str, Any]) -> bool:
    """Whether neighbours are found without BLAS, whose last digits choose among equal distances."""
    return held.get("_fit_method") in ("kd_tree", "ball_tree")


def _draws_nothing(held: Mapping[str, Any]) -> bool:
    return held.get("strategy") not in ("stratified", "uniform")


_WITH_FUNCTIONS = ("FunctionTransformer", "TransformedTargetRegressor")
_CONDITIONS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "FunctionTransformer": _applies_ufuncs,
    "TransformedTargetRegressor": _applies_ufuncs,
    "KNeighborsClassifier": _has_a_tree,
    "KNeighborsRegressor": _has_a_tree,
    "DummyClassifier": _draws_nothing,
}
