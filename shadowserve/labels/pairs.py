"""Pairs of a label and the answer that it belongs to, as far as both have come since the last time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_PAIRS = """
SELECT l.id, l.label, l.received_ns, a.id, a.arrived_ns, a.champion, a.lane_answer, a.scores,
    a.first, c.scores,
    (SELECT min(b.id) FROM answer b WHERE b.request_id = a.request_id AND b.lane = a.lane),
    (SELECT count(*) FROM answer b WHERE b.request_id = a.request_id AND b.lane = a.lane),
    a.position
"""
_NEW_LABELS = f"""{_PAIRS} FROM label l
JOIN answer a ON a.request_id = l.request_id AND a.lane = :lane AND a.id <= :upto
LEFT JOIN answer c ON c.lane = :control AND c.position = a.position
WHERE l.id > :after ORDER BY l.id, a.id
"""
_NEW_ANSWERS = f"""{_PAIRS} FROM answer a
JOIN label l ON l.request_id = a.request_id AND l.id <= :known
LEFT JOIN answer c ON c.lane = :control AND c.position = a.position
WHERE a.lane = :lane AND a.id > :after AND a.id <= :upto ORDER BY a.id
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A label and the answer that it belongs to.

    Parameters
    ----------
    label, champion, challenger, champion_scores, challenger_scores : str or None
        JSON.
    of_first : bool
        Whether its request is the first of its entity.
    is_first : bool
        Whether it is the earliest answer with this request id.
    n_alike : int
        How many requests of the lane bear this id.
    position : int
        The request's identity.
    """

    label: str
    received_ns: int
    arrived_ns: int
    champion: str | None
    challenger: str | None
    challenger_scores: str | None
    of_first: bool
    champion_scores: str | None
    is_first: bool
    n_alike: int
    position: int = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """How far a lane's labels and answers have been paired: ids of the last of each."""

    label: int = 0
    answer: int = 0


def pairs_of(
    connection: sqlite3.Connection, *, lane: str, control: str | None, since: Marks, upto: Marks
) -> Iterator[Pair]:
    """Yield what has come together since: new labels on old answers, and labels on new answers."""
    names = {"lane": lane, "control": control or ""}
    # A label and an answer that are both new come by the second query alone.
    old = {**names, "upto": since.answer, "after": since.label}
    new = {**names, "known": upto.label, "after": since.answer, "upto": upto.answer}
    for query, values in ((_NEW_LABELS, old), (_NEW_ANSWERS, new)):
        for row in connection.execute(query, values):
            yield _pair(row)


def _pair(row: Sequence[Any]) -> Pair:
    (
        _,
        label,
        received,
        answer,
        arrived,
        champion,
        challenger,
        scores,
        own,
        theirs,
        first,
        n,
        place,
    ) = row
    return Pair(
        label,
        received,
        arrived,
        champion,
        challenger,
        scores,
        bool(own),
        theirs,
        answer == first,
        n,
        place,
    )
