"""Typing parity: where only one of two versions has a signature, requests are typed alike for both.

A caller's answer is never typed by another version's signature. So a challenger without one borrows the
champion's; and beside a champion without one, a challenger's numbers are laid out as the champion's are.
"""

from __future__ import annotations

from dataclasses import replace

from shadowserve.schema.columns import UNTYPED, Column
from shadowserve.schema.rows import ColumnName
from shadowserve.schema.schema import Schema
from shadowserve.versions.version import Version

NUMBERS = frozenset({"integer", "long", "float", "double"})


def beside(own: Schema, champion: Schema) -> Schema:
    """Return how a challenger's requests are typed.

    Parameters
    ----------
    own, champion : Schema
        Each by its own records alone.

    Returns
    -------
    Schema
        `own` where both have a signature, or neither.

    Examples
    --------
    >>> signed = Schema.from_signature({"inputs": '[{"name": "age", "type": "long"}]'})
    >>> beside(Schema.from_names(["age", "new"]), signed).columns[0].type
    'long'
    """
    if champion.is_typed and not own.is_typed:
        return _borrowed(own, champion)
    if own.is_typed and not champion.is_typed:
        return replace(own, columns=tuple(map(_loosened, own.columns)))
    return own


def _borrowed(own: Schema, champion: Schema) -> Schema:
    if own.is_open and not own.features:
        return replace(
            own, columns=champion.columns, tensors=champion.tensors, named=champion.named
        )
    known = {column.key: column for column in champion.columns}
    names: tuple[ColumnName, ...] = own.features or tuple(c.name for c in own.columns)
    mine = {column.key: column for column in own.columns}
    return replace(
        own,
        columns=tuple(
            known.get(str(name)) or mine.get(str(name)) or Column(name, UNTYPED) for name in names
        ),
    )


def _loosened(column: Column) -> Column:
    if column.type in NUMBERS:
        return replace(column, type=UNTYPED, kind="number")
    return replace(column, type=UNTYPED) if column.type == "boolean" else column


def said(champion: Version, challenger: Version) -> str | None:
    """Say whose signature is missing and what that means; None where none is, or both are.

    Parameters
    ----------
    champion, challenger : Version
        As their records are.
    """
    ours, theirs = (bool((v.signature or {}).get("inputs")) for v in (champion, challenger))
    one, other = champion.pin.label, challenger.pin.label
    if ours and not theirs:
        return (
            f"{other} has no signature: its requests are typed by {one}'s. Log {other} with a "
            "signature before it serves alone"
        )
    if theirs and not ours:
        return (
            f"{one} has no signature: numbers reach {other} as they reach {one}, as float64, not "
            f"as {other}'s own signature says. Log {one} with a signature"
        )
    return None
