"""The identity check: the timed walk and the model's own path give the same output, bit for bit.

At load, and in lanes on a share of batches, both score the same batch. Where they differ although
the model agrees with itself, a coarser plan is sought. The first has its inputs sliced as
scikit-learn slices them, the next leave single parts whole, and the last times the model as one
step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from shadowserve.faults import fault_of
from shadowserve.schema.rows import Rows

from .compiling import compile  # noqa: A004 - the package's own word
from .plan import Plan

CALLS = 3
"""Calls of the model that one comparison makes."""


class Agreement(StrEnum):
    """How a plan's output compares with the model's own."""

    IDENTICAL = "identical"
    NONDETERMINISTIC = "nondeterministic"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Identity:
    """The outcome of one comparison on one batch.

    Parameters
    ----------
    agreement : Agreement
        Nondeterministic: the model's own path differs from itself, so nothing can be said.
    where : str
        In what they differ, such as ``"dtype"`` or ``"values"``; empty when identical. No values.
    """

    agreement: Agreement
    where: str = ""

    @property
    def holds(self) -> bool:
        """Whether timing may be kept."""
        return self.agreement is not Agreement.DIFFERS


def check_identity(plan: Plan, rows: Rows) -> Identity:
    """Compare a plan's output with the model's own on the same rows.

    Parameters
    ----------
    plan : Plan
        Run once; the model's own path runs twice, once before and once after.
    rows : Rows
        At least one row.

    Raises
    ------
    Exception
        What the model's own path raises: such rows can't be compared.
    """
    # The model's own path once before and once after: what differs from itself refutes no walk.
    before = plan.stock(rows)
    try:
        where = difference(before, plan.run(rows).output)
    except BaseException as error:  # the stock path has just succeeded on the same rows
        where = f"raised {fault_of(error).type}"
    if difference(before, plan.stock(rows)):
        return Identity(Agreement.NONDETERMINISTIC, where)
    return Identity(Agreement.DIFFERS if where else Agreement.IDENTICAL, where)


def verify(plan: Plan, rows: Rows) -> Plan:
    """Return the finest plan of the same model whose output is the model's own.

    Parameters
    ----------
    plan : Plan
        As compiled.
    rows : Rows
        A batch such as the model will see; its input example, or a few recorded requests.

    Returns
    -------
    Plan
        The given one where it holds; its notes say if the model is nondeterministic.
    """
    return verified(plan, rows)[0]


def verified(plan: Plan, rows: Rows) -> tuple[Plan, int]:
    """Return what `verify` does, and how often the model was called for it."""
    calls = 0
    for candidate in _ever_coarser(plan):
        identity = check_identity(candidate, rows)
        calls += CALLS
        if identity.agreement is Agreement.NONDETERMINISTIC:
            note = "The model gives another output each time; its timing cannot be checked."
            return replace(candidate, notes=(*candidate.notes, note)), calls
        if identity.holds:
            return candidate, calls
    return compile(plan.model, method=plan.method, opaque=("",), exact=True), calls


def like(plan: Plan, model: Any) -> Plan:
    """Return the plan of another instance of the same version, as coarse as one that was verified."""
    whole = compile(model, method=plan.method, serial=plan.serial)
    opaque = [path for path in whole.parts if path not in plan.parts]
    same = compile(model, method=plan.method, serial=plan.serial, opaque=opaque, exact=plan.exact)
    if same.steps != plan.steps:
        same = compile(model, method=plan.method, opaque=("",), exact=True)
    return replace(same, notes=plan.notes)


def _ever_coarser(plan: Plan) -> Iterator[Plan]:
    def again(opaque: tuple[str, ...]) -> Plan:
        return compile(
            plan.model, method=plan.method, serial=plan.serial, opaque=opaque, exact=True
        )

    yield plan
    yield again(())
    # The deepest part alone costs the least detail; only then are several left whole at once.
    deepest_first = sorted(plan.parts, key=lambda path: (-path.count("/"), not path, path))
    inner = [path for path in deepest_first if path]
    for path in inner:
        yield again((path,))
    for count in range(2, len(inner) + 1):
        yield again(tuple(inner[:count]))


def difference(one: Any, other: Any) -> str:
    """Return in what two outputs differ, bit for bit; an empty string where in nothing.

    Parameters
    ----------
    one, other : Any
        Arrays, sparse matrices, frames, series, lists or mappings of such, or scalars. NaN equals
        NaN of the same bits; -0.0 differs from 0.0. Memory layout does not matter.

    Examples
    --------
    >>> difference(np.array([0.0]), np.array([-0.0]))
    'values'
    >>> difference(np.array([1]), np.array([1.0]))
    'dtype'
    """
    if type(one) is not type(other):
        return "type"
    for kind, compare in _COMPARISONS.items():
        if isinstance(one, kind):
            return compare(one, other)
    # NaN is the one value that differs from itself.
    return "" if one == other or (one != one and other != other) else "values"


def _arrays(one: np.ndarray, other: np.ndarray) -> str:
    if one.dtype != other.dtype:
        return "dtype"
    if one.shape != other.shape:
        return "shape"
    if one.dtype.hasobject:
        return _lists(one.ravel().tolist(), other.ravel().tolist())
    # Bytes, since == takes 0.0 for -0.0, and no NaN for itself.
    return "" if one.tobytes() == other.tobytes() else "values"


def _sparse(one: Any, other: Any) -> str:
    if one.shape != other.shape:
        return "shape"
    if one.format not in ("csr", "csc"):
        return _arrays(one.toarray(), other.toarray())
    parts = ((one.data, other.data), (one.indices, other.indices), (one.indptr, other.indptr))
    return next(filter(None, (_arrays(*pair) for pair in parts)), "")


def _frames(one: pd.DataFrame, other: pd.DataFrame) -> str:
    if not one.columns.identical(other.columns):
        return "columns"
    if not one.index.identical(other.index):
        return "index"
    places = range(one.shape[1])
    return next(filter(None, (_series(one.iloc[:, k], other.iloc[:, k]) for k in places)), "")


def _series(one: pd.Series, other: pd.Series) -> str:
    if one.dtype != other.dtype:
        return "dtype"
    if one.name != other.name or not one.index.identical(other.index):
        return "index"
    return _arrays(one.to_numpy(), other.to_numpy())


def _lists(one: Any, other: Any) -> str:
    if len(one) != len(other):
        return "length"
    return next(filter(None, map(difference, one, other)), "")


def _mappings(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> str:
    if list(one) != list(other):
        return "keys"
    return _lists(list(one.values()), list(other.values()))


_COMPARISONS: dict[Any, Callable[[Any, Any], str]] = {
    np.ndarray: _arrays,
    sp.spmatrix: _sparse,
    sp.sparray: _sparse,
    pd.DataFrame: _frames,
    pd.Series: _series,
    list: _lists,
    tuple: _lists,
    dict: _mappings,
}
