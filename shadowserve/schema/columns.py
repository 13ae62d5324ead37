"""The columns of a signature, and the refusal of a request that lacks some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from rapidfuzz import fuzz, process

from shadowserve.errors import RequestError
from shadowserve.legible import legible
from shadowserve.schema.casting import cast, infer, rule_for
from shadowserve.schema.nested import nested_rule
from shadowserve.schema.rows import ColumnName
from shadowserve.schema.scalars import SCALARS

UNTYPED = "unknown"
"""What a column without a signature has for its type; no type of MLflow is spelled so."""

Cast = Callable[[Sequence[Any]], np.ndarray]
"""From one column's JSON values to its array. Raises RequestError."""

_SHOWN = 10
"""Names that a refusal lists: a caller sees what is wrong, and a wide table does not fill the log."""

_LOOKED_AT = 100
"""Names, and characters of a name, that are searched for a misspelling.

Comparing two names takes the product of their lengths, and a stranger chooses how many there are.
"""

_ALIKE = 60.0
"""Of a hundred, from where a name counts as a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a signature.

    Parameters
    ----------
    name : str or int
        As the model was trained with; numbered from 0 where the signature has no names.
    type : str
        MLflow's name of the type, or ``unknown`` where there is no signature.
    required : bool
        An optional column may be null or absent.
    spec : mapping, optional
        The signature's own entry, for nested types.
    kind : str, optional
        Where the type is unknown: the kind of values that the model was fitted on; see `infer`.
    """

    name: ColumnName
    type: str
    required: bool = True
    spec: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    kind: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The name as a JSON object spells it."""
        return str(self.name)

    def caster(self) -> Cast:
        """Return the function from this column's JSON values to its array."""
        if self.type == UNTYPED:
            return partial(infer, column=self.name, kind=self.kind)
        if self.type in SCALARS:
            return partial(cast, rule_for(self.type, required=self.required), column=self.name)
        spec = self.spec or {"type": self.type}
        return partial(cast, nested_rule(spec, required=self.required), column=self.name)


def columns_of(inputs: Sequence[Mapping[str, Any]]) -> tuple[tuple[Column, ...], bool]:
    """Read the column entries of a signature.

    Returns
    -------
    columns : tuple of Column
        Numbered from 0 where one of them has no name.
    named : bool
        Whether all have names.
    """
    # If one has no name, only their order tells the columns apart.
    named = all(spec.get("name") is not None for spec in inputs)
    columns = tuple(
        Column(
            name=spec["name"] if named else place,
            type=spec["type"],
            # Older releases of MLflow wrote `optional` in its place.
            required=spec.get("required", not spec.get("optional", False)),
            spec=None if spec["type"] in SCALARS else spec,
        )
        for place, spec in enumerate(inputs)
    )
    return columns, named


def _near(names: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the given names that are nearest to the wanted ones, each once.

    Bounded: whoever sends many long names must not hold up everybody else.
    """
    # Comparing two names takes the product of their lengths.
    candidates = [name for name in given[:_LOOKED_AT] if len(name) <= _LOOKED_AT]
    wanted = [name for name in names if len(name) <= _LOOKED_AT]
    found = (
        process.extractOne(name, candidates, scorer=fuzz.ratio, score_cutoff=_ALIKE)
        for name in wanted
    )
    return list(dict.fromkeys(best[0] for best in found if best is not None))


def lacks(
    names: Sequence[str], *, n_known: int, given: Sequence[str], row: int | None = None
) -> RequestError:
    """Return the refusal that names the missing columns, and those unknown ones that look like misspellings."""
    who = "Request" if row is None else f"Row {row}"
    shown = ", ".join(map(legible, names[:_SHOWN])) + (" and more" if len(names) > _SHOWN else "")
    text = f"{who} lacks {len(names)} of {n_known} features: {shown}."
    if near := ", ".join(map(legible, _near(names[:_SHOWN], given))):
        text += f" Not known: {near}."
    return RequestError(
        f"{text} Order does not matter.", code="missing_column", column=names[0], row=row
    )
