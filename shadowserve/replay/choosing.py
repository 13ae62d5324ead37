"""Which recorded requests to send: the slow ones, those on which the versions differed, or a finding's examples.

Lanes have written down each comparison that they made; what they had not come to, or did not score, is in none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.records import Role
from shadowserve.report import build
from shadowserve.state.places import Places
from shadowserve.state.shelves import find

SLOW, DIVERGENT = "slow", "divergent"
SLOWEST = 0.95
"""Rank among a lane's timed requests from which one is slow."""
_COLUMNS = ["position", "lane_ms", "champion_ms", "disagreement", "tolerant"]


def chosen(which: str, places: Places, deployment: str, challenger: str | None) -> frozenset[int]:
    """Return the positions of a deployment's requests that are meant.

    Parameters
    ----------
    which : str
        ``slow``: those that took a version longer than 95 % of what it was timed on. ``divergent``: those whose answers
        are not equal within tolerance. Else the id of a finding: its examples.
    challenger : str, optional
        Whose lane is asked, by default the first one's.

    Raises
    ------
    SettingsError
        If there is no such finding, or none of the requests is known to be so.
    UnreachableError
        If the deployment's comparisons are not there any more.
    """
    shelf = find(places, deployment)
    if shelf.deployment is None:
        raise UnreachableError(str(shelf.reason))
    number = build.number_of(shelf.deployment, challenger)
    if which not in (SLOW, DIVERGENT):
        report = build.build(shelf.places, shelf.deployment, challenger=number)
        return _examples(which, report["findings"])
    files = sorted(shelf.places.lane(Role.CHALLENGER, number).parts.glob("*.parquet"))
    found = frozenset(_slow(files) if which == SLOW else _divergent(files))
    if not found:
        raise SettingsError(
            f"--only {which}: the lane of v{number} has written down no such request. Comparisons are written when a "
            "window closes; 'shadowserve report' says what there is."
        )
    return found


def _examples(which: str, findings: list[dict[str, object]]) -> frozenset[int]:
    for one in findings:
        if one["id"] == which:
            places = one["examples"]
            if isinstance(places, list) and places:
                return frozenset(map(int, places))
            raise SettingsError(f"--only {which}: that finding has no examples. Take another one.")
    ids = ", ".join(str(one["id"]) for one in findings) or "none"
    raise SettingsError(
        f"--only {which}: write slow, divergent, or the id of a finding. There are: {ids}."
    )


def _divergent(files: Sequence[Path]) -> Iterator[int]:
    for table in map(_read, files):
        known = ~np.isnan(table["disagreement"].to_numpy(zero_copy_only=False).astype(np.float64))
        apart = ~table["tolerant"].to_numpy(zero_copy_only=False).astype(np.bool_)
        yield from table["position"].to_numpy()[known & apart].tolist()


def _slow(files: Sequence[Path]) -> Iterator[int]:
    tables = [_read(file) for file in files]
    for column in ("lane_ms", "champion_ms"):
        times = [np.asarray(table[column].to_numpy(zero_copy_only=False), np.float64) for table in tables]  # fmt: skip
        known = np.concatenate(times) if times else np.zeros(0)
        if not np.isfinite(known).any():
            continue
        limit = np.nanquantile(known, SLOWEST)
        for table, own in zip(tables, times, strict=True):
            yield from table["position"].to_numpy()[own > limit].tolist()


def _read(file: Path) -> pa.Table:
    return pq.read_table(file, columns=_COLUMNS)
