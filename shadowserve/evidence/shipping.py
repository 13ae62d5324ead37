"""Shipping closed windows of a lane: their metrics together, then each one's comparisons and traces."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from shadowserve.evidence import bounding, tables
from shadowserve.evidence.lane_runs import LaneRuns
from shadowserve.evidence.points import Points, points_of
from shadowserve.evidence.shipped import Shipped
from shadowserve.evidence.traces import Sides, traces_of
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.records import Role
from shadowserve.report.one_request import inputs_of
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_file import Window
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import LanePlaces, Places

LOST = "shadowserve.windows_without_comparisons"
"""A run's tag: how many of its windows lost their comparisons while MLflow was away."""
MAX_TRACE_REFUSALS = 4
"""How often in a row traces are tried before windows go without."""

_log = logging.getLogger("shadowserve.evidence")


class Shipping:
    """What carries windows, in an order that makes it safe to die anywhere.

    Attributes
    ----------
    thrifty : bool
        Whether traces stay away, since MLflow asks for fewer calls.
    untraced : Counter of LaneName
        Windows that came without traces.
    rest : mapping of LaneName to dict or None
        Metrics of the last window beyond those that a run's table can show.
    """

    def __init__(self, places: Places, deployment: Deployment, shipped: Shipped) -> None:
        self._places, self._deployment, self._shipped = places, deployment, shipped
        self.thrifty = False
        self.untraced: Counter[LaneName] = Counter()
        self.rest: dict[LaneName, dict[str, Any] | None] = {}
        self._trace_refusals = 0

    def _files(self, lane: LaneName) -> LanePlaces:
        return self._places.lane(lane.role, lane.version, lane.stay)

    def ship(self, lane: LaneName, windows: Sequence[Window], runs: LaneRuns) -> None:
        """Carry a few windows: their metrics together, then each one's part and traces."""
        began = time.monotonic()
        points = [self._points(lane, window) for window in windows]
        self._tell_names(lane, points, runs)
        refused = runs.store.log(runs.of(lane), [p for one in points for p in one.points])
        if refused:
            _log.warning("MLflow refuses %d metrics of %s: %s", len(refused), lane, refused[:5])
        for window in windows:
            whole = self._put_part(lane, window, runs)
            if not whole:
                lost = self._shipped.lost(str(lane)) + 1
                runs.store.tag(runs.of(lane), {LOST: str(lost)})
            self._shipped.arrived(str(lane), window.number, lost=not whole)
        spent = time.monotonic() - began
        _log.info("%s: %d windows to %d, %.2f s", lane, len(windows), windows[-1].number, spent)

    def _points(self, lane: LaneName, window: Window) -> Points:
        """Return a window's points, and remember their names before they are sent."""
        known = self._shipped.sent(str(lane))
        found = points_of(window, known=known)
        if new := found.names - known:
            # Noted before they are sent: a name too many is only room lost, one too few breaks a
            # series off.
            self._shipped.add_sent(str(lane), new)
        self.rest[lane] = bounding.table(found.rest, window=window.number) if found.rest else None
        return found

    def _tell_names(self, lane: LaneName, points: Sequence[Points], runs: LaneRuns) -> None:
        """Store the mapping of renamed metrics before the first of them."""
        known = self._shipped.names(str(lane))
        renamed = {name: safe for one in points for name, safe in one.renamed.items()}
        if renamed.keys() - known.keys():
            options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
            text = orjson.dumps({**known, **renamed}, option=options).decode()
            runs.store.put_text(runs.of(lane), text, "metric_names.json")
            self._shipped.add_names(str(lane), renamed)

    def _put_part(self, lane: LaneName, window: Window, runs: LaneRuns) -> bool:
        """Carry a window's comparisons and traces; False if they had to make room and are gone."""
        if not window.part:
            return True
        path = self._files(lane).parts / window.part
        if not path.exists():
            _log.warning("part %s of %s is gone; only its metrics arrive", window.part, lane)
            return False
        runs.store.put_file(runs.of(lane), path, "comparisons")
        if self.thrifty:
            self.untraced[lane] += 1
        else:
            self._trace(lane, path, runs)
        return True

    def _trace(self, lane: LaneName, part: Path, runs: LaneRuns) -> None:
        summaries = snapshot(self._files(lane).state).summaries
        columns = {
            Role.CHAMPION: tables.step_columns(summaries, "champion"),
            lane.role: tables.step_columns(summaries, "lane"),
        }
        deployment = self._deployment
        sides = Sides(
            runs.of(lane),
            lane,
            deployment.champion.number,
            columns,
            inputs=lambda place: inputs_of(self._places, self._files(lane), place, deployment),
        )
        try:
            runs.store.trace(runs.experiment, traces_of(part, sides))
            self._trace_refusals = 0
        except UndeliveredError as error:
            self._trace_refusals += error.kind == "sink_error"
            # A server that does not answer refuses everything, so that says nothing of traces.
            if error.kind == "sink_dead" or self._trace_refusals <= MAX_TRACE_REFUSALS:
                raise
            self.untraced[lane] += 1  # a server that takes none must not hold up the windows
            if self._trace_refusals == MAX_TRACE_REFUSALS + 1:
                _log.warning("windows go without traces: %s", error)
