"""What lanes have recorded of single requests: one of them whole, or the answers of the latest.

A lane's comparisons lie in its parts, the newest ones in its state file. The oldest parts go once they have
arrived in MLflow and their disk is wanted; what lay in them can be read there, and no longer here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.lane import tables
from shadowserve.state.lane_reading import open_comparisons, open_pieces
from shadowserve.state.places import LanePlaces

_LOST = (OSError, pa.ArrowInvalid)
"""What reading a part raises that has just gone, to make room, or that a loss of power has cut short."""
LATEST = 2_000
"""Requests whose answers are laid side by side in a picture."""


def request(lane: LanePlaces, position: int) -> dict[str, Any] | None:
    """Return what a lane recorded of a request; None where it has not, or where that is here no longer.

    Returns
    -------
    dict or None
        As `lane.tables.SCHEMA` names it, its maps as dicts and both predictions as JSON values.

    Raises
    ------
    UnreadableError
        If the lane's file is there and cannot be read.
    """
    for rows in _holding(lane, position):
        if rows.num_rows:
            return _told(rows.slice(0, 1).to_pylist(maps_as_pydicts="lossy")[0])
    return None


def _holding(lane: LanePlaces, position: int) -> Iterator[pa.Table]:
    """Yield from each place that may hold a request the rows that are of it."""
    for part in _parts(lane.parts):
        least, most = part.stem.split("-")
        # With several workers the ranges of parts overlap.
        if int(least) <= position <= int(most):
            try:
                yield pq.read_table(part, filters=[("position", "=", position)])
            except _LOST:
                continue
    rows = _open(lane.state)
    yield rows.filter(pa.compute.equal(rows["position"], position))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    sides = {name: orjson.loads(row[name]) for name in ("champion_prediction", "lane_prediction")}
    return {**row, **sides}


def latest_answers(lane: LanePlaces, *, most: int = LATEST) -> list[tuple[Any, Any]]:
    """Return the champion's and the lane's answers to the latest requests that both answered, row by row."""
    names = ["champion_prediction", "lane_prediction", "outcome"]
    found = [_open(lane.state).select(names)]
    for part in sorted(_parts(lane.parts), key=_written, reverse=True):
        if sum(one.num_rows for one in found) >= most:
            break
        try:
            found.append(pq.read_table(part, columns=names))
        except _LOST:
            continue
    pairs: list[tuple[Any, Any]] = []
    for row in (row for one in found for row in one.to_pylist()):
        if len(pairs) >= most:
            break
        if row["outcome"] == "both_ok":
            champion, own = orjson.loads(row[names[0]]), orjson.loads(row[names[1]])
            pairs += zip(champion, own, strict=False)
    return pairs[:most]


def _parts(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("[0-9]*-[0-9]*.parquet"))


def _written(part: Path) -> float:
    try:
        return part.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _open(state: Path) -> pa.Table:
    """Return what lies in no part yet."""
    return tables.joined(list(open_comparisons(state)), list(open_pieces(state)))
