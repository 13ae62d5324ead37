"""What lanes saw, window by window: the series behind a report's pictures, and what happened meanwhile.

A lane closes a window each minute or thousand requests, for years. A report holds at most `MOST` points
of a series: beyond that neighbours are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import Finding
from shadowserve.records import Role
from shadowserve.state.deployment import LaneName
from shadowserve.state.ends import Ends
from shadowserve.state.lane_file import Window
from shadowserve.state.lane_reading import closed_windows
from shadowserve.state.places import Places

MOST = 120

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One closed window, or several neighbours joined.

    Parameters
    ----------
    since, until : float
        Seconds since the epoch, by the lane's clock when it opened and closed.
    n : int
        Requests.
    metrics : tuple of (int, mapping)
        Of each window: its requests and its metrics by name.
    """

    since: float
    until: float
    n: int
    metrics: tuple[tuple[int, Metrics], ...]

    def mean(self, name: str) -> float | None:
        """Return a metric's mean, each window weighted by its requests; None where none has it."""
        known = [(n, told[name]) for n, told in self.metrics if name in told]
        whole = sum(n for n, _ in known)
        return sum(n * value for n, value in known) / whole if whole else None

    def most(self, name: str) -> float | None:
        """Return a metric's largest value: a p99 of several windows cannot be had from theirs."""
        return max((told[name] for _, told in self.metrics if name in told), default=None)

    def share(self, *names: str) -> float | None:
        """Return the share of the requests that counters have counted."""
        whole = sum(told.get("ledger/requests", n) for n, told in self.metrics)
        counted = sum(told.get(name, 0.0) for _, told in self.metrics for name in names)
        return counted / whole if whole else None


@dataclass(slots=True)
class History:
    """The closed windows of lanes, read once: what is closed does not change."""

    _known: dict[Path, list[tuple[int, Point]]] = field(default_factory=dict)
    _series: dict[Path, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    _one_at_a_time: Lock = field(default_factory=Lock)

    def points(self, file: Path) -> list[Point]:
        """Return a lane's windows in their order, joined where they are more than `MOST`.

        Raises
        ------
        UnreadableError
            If its file is there and cannot be read.
        """
        with self._one_at_a_time:
            return _few([point for _, point in self._read(file)])

    def series(self, file: Path, name: LaneName) -> dict[str, Any]:
        """Return a lane's windows as columns; what was told before is told again until one closes.

        Raises
        ------
        UnreadableError
            If its file is there and cannot be read.
        """
        with self._one_at_a_time:
            known = self._read(file)
            if file not in self._series or self._series[file][0] != len(known):
                points = _few([point for _, point in known])
                self._series[file] = (len(known), _series(points, name))
            return self._series[file][1]

    def keep(self, files: Collection[Path]) -> None:
        """Forget all other files: challengers come and go for years."""
        with self._one_at_a_time:
            for gone in self._known.keys() - set(files):
                self._forget(gone)

    def _read(self, file: Path) -> list[tuple[int, Point]]:
        known = self._known.setdefault(file, [])
        # The newest known window is read again: where it is another, so is the whole file.
        after = known[-1][0] - 1 if known else -1
        found = [(window.number, _point(window)) for window in closed_windows(file, after=after)]
        if known and found[:1] != known[-1:]:
            self._forget(file)
            return self._read(file)
        known.extend(found[1:] if known else found)
        return known

    def _forget(self, file: Path) -> None:
        del self._known[file]
        self._series.pop(file, None)


def _point(window: Window) -> Point:
    metrics = ((window.n, orjson.loads(window.metrics)),)
    return Point(window.opened_ns / 1e9, window.closed_ns / 1e9, window.n, metrics)


def _few(points: Sequence[Point]) -> list[Point]:
    width = ceil(len(points) / MOST) or 1
    return [_joined(points[i : i + width]) for i in range(0, len(points), width)]


def _joined(points: Sequence[Point]) -> Point:
    return Point(
        points[0].since,
        points[-1].until,
        sum(one.n for one in points),
        tuple(window for one in points for window in one.metrics),
    )


_FAILED = tuple(f"ledger/{name}" for name in ("challenger_error", "timed_out", "crashed"))
_MEANS: Mapping[str, str] = {
    "disagreement": "divergence/disagreement",
    "champion_p50_ms": "latency_ms/champion/p50",
    "lane_p50_ms": "latency_ms/{role}/p50",
    "response_p50_ms": "latency_ms/response/p50",
}
_MOSTS: Mapping[str, str] = {
    "champion_p99_ms": "latency_ms/champion/p99",
    "lane_p99_ms": "latency_ms/{role}/p99",
    "response_p99_ms": "latency_ms/response/p99",
    "lag_ms": "latency_ms/lag/max",
}


def over_time(
    places: Places, known: Facts, findings: Sequence[Finding], history: History | None = None
) -> dict[str, Any]:
    """Return the series of the challenger's lane and of the control's, and what happened meanwhile."""
    history = history or History()
    control = LaneName(Role.CONTROL, known.champion.number)
    lanes = [("challenger", known.lane.name)]
    lanes += [("control", control)] if known.deployment.control else []
    return {
        **{told: history.series(_file(places, name), name) for told, name in lanes},
        "events": list(_events(known, findings)),
    }


def of_step(
    places: Places, lanes: Sequence[LaneName], step: str, history: History
) -> dict[str, Any]:
    """Return one step's times by role, window by window: median, p99 and the slowest."""
    found: dict[str, Any] = {}
    for name in lanes:
        points = history.points(_file(places, name))
        for role in ("champion", name.role.value):
            # Each lane tells of the champion too; the challenger's saw the most of it.
            found.setdefault(role, _step(points, f"feature_ms/{role}/{step}"))
    return found


def _step(points: Sequence[Point], prefix: str) -> dict[str, Any]:
    timed = [one for one in points if one.mean(f"{prefix}/p50") is not None]
    return {
        "until": [one.until for one in timed],
        "n": [one.n for one in timed],
        "p50_ms": [one.mean(f"{prefix}/p50") for one in timed],
        "p99_ms": [one.most(f"{prefix}/p99") for one in timed],
        "max_ms": [one.most(f"{prefix}/max") for one in timed],
    }


def _file(places: Places, name: LaneName) -> Path:
    return places.lane(name.role, name.version, name.stay).state


def _series(points: Sequence[Point], name: LaneName) -> dict[str, Any]:
    def told(of: Mapping[str, str], read: Callable[[Point, str], float | None]) -> dict[str, Any]:
        named = {key: metric.format(role=name.role.value) for key, metric in of.items()}
        return {key: [read(one, metric) for one in points] for key, metric in named.items()}

    return {
        "since": [one.since for one in points],
        "until": [one.until for one in points],
        "n": [one.n for one in points],
        "failed": [one.share(*_FAILED) for one in points],
        **told(_MEANS, Point.mean),
        **told(_MOSTS, Point.most),
    }


def _events(known: Facts, findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    """Yield what may explain a change: the start, ends of processes, labels, and the change itself."""
    yield _event(_seconds(known.deployment.started), "start", f"{known.name} in the shadow")
    for who, ends in known.ledger.ends.items():
        if (at := _last(ends)) is not None:
            yield _event(at, "restart", f"{who} ended: {ends.last['cause']}" if ends.last else who)
    if known.losses is not None:
        for at, told in zip(known.losses.arrived, ("first label", "newest label"), strict=False):
            yield _event(at, "labels", told)
    for one in findings:
        since = known.moment(one.since) if one.kind == "change_point" else None
        if since is not None:
            yield _event(since.arrived_wall_ns / 1e9, "change", "answers changed")


def _last(ends: Ends) -> float | None:
    return _seconds(str(ends.last["at"])) if ends.last is not None else None


def _event(at: float, kind: str, told: str) -> dict[str, Any]:
    return {"at": at, "kind": kind, "says": told}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
