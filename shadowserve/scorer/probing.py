"""The probes of a version at load: its input example, alone and in company, each call counted.

Made-up company proves nothing for a version: a model that sorts its rows may answer three of them
right. It can only speak against one. So a version of known structure is tried for good measure.
Unknown code is served row by row, whatever comes of this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from shadowserve import wire
from shadowserve.errors import ShadowserveError
from shadowserve.schema.rows import Rows, concat
from shadowserve.schema.schema import Schema
from shadowserve.wire.cut import has_outputs
from shadowserve.wire.likeness import apart, field_of

PROBE_ROWS = 8
COMPANY = 3
WARM_S = 30.0
"""Seconds after which warming stops; sizes left out are slow for the first callers in such a batch."""


class Scored(Protocol):
    """What one call gives; `scorer.Scored` is one."""

    @property
    def output(self) -> Any:
        """The raw prediction for all rows."""


class Scorer(Protocol):
    """What is tried; `scorer.Scorer` is one."""

    def score(self, rows: Rows) -> Scored:
        """Score typed rows."""

    def split(self, output: Any, lengths: Sequence[int]) -> list[Any]:
        """Cut a batch's prediction into the requests' own."""


_MADE_UP: Mapping[str, Any] = {
    "boolean": True, "integer": 1, "long": 1, "float": 1.0, "double": 1.0, "string": "text",
    "datetime": "2026-01-01T00:00:00", "binary": "AA==",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the tries.

    Parameters
    ----------
    deterministic : bool
        Whether the example was answered twice alike.
    differs : bool
        Whether a row was answered differently alone and in company, in what is steady on two calls.
    multi_output : bool
        Whether the example was answered with a list of arrays, one an output.
    calls : int
        How often the model was called.
    """

    deterministic: bool = True
    differs: bool = False
    multi_output: bool = False
    calls: int = 0


def try_alone(scorer: Scorer, example: Rows) -> Tried:
    """Score the example twice by itself.

    Raises
    ------
    Exception
        Whatever the model raises: it would fail in production too.
    """
    first = scorer.score(example).output
    (one,) = scorer.split(first, [example.n_rows])
    (two,) = scorer.split(scorer.score(example).output, [example.n_rows])
    outputs = has_outputs(first, example.n_rows) and len(first) != example.n_rows
    same = _numbers(one) == _numbers(two)
    return Tried(deterministic=same, multi_output=outputs, calls=2)


def try_in_company(scorer: Scorer, example: Rows) -> Tried:
    """Score rows of the example alone, twice each, then among others, in one order and the other.

    Raises
    ------
    Exception
        Whatever the model raises on its own example; what it says to made-up rows is its own affair.
    """
    calls = 0

    def answers(rows: Sequence[Rows]) -> list[Any]:
        nonlocal calls
        calls += 1
        lengths = [row.n_rows for row in rows]
        found = scorer.split(scorer.score(concat(rows)).output, lengths)
        return [_numbers(part) for part in found]

    rows = [example.part(at, at + 1) for at in range(min(example.n_rows, COMPANY))]
    alone = [answers([row])[0] for row in rows]
    # What wanders on a second call says nothing of neighbours.
    noisy = {field_of(leaf) for row, one in zip(rows, alone, strict=True) for leaf in apart(one, answers([row])[0])}  # fmt: skip
    with contextlib.suppress(BaseException):  # it may refuse what was made up
        stranger = rows[0].varied()
        alone.append(answers([stranger])[0])
        rows.append(stranger)
    for order in _orders(len(rows)):
        try:
            together = answers([rows[at] for at in order])
        except BaseException:
            # It answered each row alone, so failing in company is a difference.
            return Tried(not noisy, True, calls=calls)
        for at, found in zip(order, together, strict=True):
            if any(field_of(leaf) not in noisy for leaf in apart(alone[at], found)):
                return Tried(not noisy, True, calls=calls)
    return Tried(not noisy, False, calls=calls)


def _orders(n_rows: int) -> list[list[int]]:
    """Return arrangements: as they are, the other way round, and each among copies of the first."""
    forth = list(range(n_rows))
    return [forth, forth[::-1], [*([0] * (PROBE_ROWS - n_rows)), *forth]]


def warm_batches(
    scorer: Scorer, example: Rows, *, most: int, patience_s: float = WARM_S
) -> tuple[int, ...]:
    """Score batches of every number of rows that serving makes, the large ones first.

    A model that is compiled for each number of rows is compiled here, and not while a caller waits.

    Returns
    -------
    tuple of int
        The numbers of rows that were called; not all where that takes longer than `patience_s`.
    """
    row = example.part(0, 1)
    doubling = [1 << power for power in range(most.bit_length()) if 1 << power <= most]
    sizes = dict.fromkeys([most, *reversed(doubling), *range(most, 0, -1)])
    until = monotonic() + patience_s
    done: list[int] = []
    for size in sizes:
        # The largest is called in any case, however long that takes.
        if done and monotonic() > until:
            break
        wire.answer(scorer.score(concat([row] * size)).output)
        done.append(size)
    return tuple(done)


def made_up(schema: Schema) -> Rows | None:
    """Return a row of the signature's types, for a version without an input example.

    None where the signature does not say enough to make one.
    """
    if not schema.columns or not all(column.type in _MADE_UP for column in schema.columns):
        return None
    values = [_MADE_UP[column.type] for column in schema.columns]
    with contextlib.suppress(ShadowserveError):
        if not schema.named:
            return schema.type_lists([values])
        return schema.type_records(
            [dict(zip((column.key for column in schema.columns), values, strict=True))]
        )
    return None


def in_units(example: Rows) -> list[Rows]:
    """Return the example with its dates held in other units; empty where it has none.

    A table of dates in seconds, or in microseconds, holds the same moments.
    """
    dates = [name for name, values in example.columns.items() if values.dtype.kind == "M"]
    if not dates:
        return []
    return [
        example._replace(
            columns={
                name: values.astype(f"M8[{unit}]") if name in dates else values
                for name, values in example.columns.items()
            },
        )
        for unit in ("us", "s")
    ]


def depends_on_units(scorer: Scorer, example: Rows) -> tuple[bool, int]:
    """Tell whether an answer depends on the unit in which dates are held, and how many calls it took."""
    others = in_units(example)
    if not others:
        return False, 0
    alone = _numbers(scorer.score(example).output)
    for calls, other in enumerate(others, 2):
        with contextlib.suppress(BaseException):  # it may refuse what no request brings
            if any(True for _ in apart(alone, _numbers(scorer.score(other).output))):
                return True, calls
    return False, 1 + len(others)


def _numbers(output: Any) -> Any:
    """Return an output as the JSON values in which it would leave."""
    return wire.read_answer(wire.answer(output))
