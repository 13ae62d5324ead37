"""Carrying one deployment's evidence to MLflow, lane by lane and window by window.

The order makes it safe to die anywhere: metrics, then the part, then traces, then the note that the
window has arrived. Each of them, done twice, is done once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from shadowserve.errors import UnreadableError
from shadowserve.evidence import accepted, bounding, links, parts
from shadowserve.evidence.lane_runs import LaneRuns
from shadowserve.evidence.leaving import close_window, has_ended, leaving
from shadowserve.evidence.publishing import (
    RESTARTS,
    VERDICT,
    publish_notes,
    publish_tables,
    report_files,
)
from shadowserve.evidence.shipped import Shipped
from shadowserve.evidence.shipping import Shipping
from shadowserve.evidence.sink import Sink
from shadowserve.evidence.store import Store
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.faults import fault_of
from shadowserve.labels.working_copy import working_copy
from shadowserve.records import Role
from shadowserve.state import acceptances, switches
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_file import Window
from shadowserve.state.lane_reading import closed_windows, snapshot
from shadowserve.state.places import LanePlaces, Places

TOGETHER = 10
"""How many windows of one lane share a call where many wait."""
BOUND_S = 30.0
"""How often the disk that parts take is looked at."""
START = "shadowserve.start"
"""A run's tag: the start that last wrote to it and read it back."""

Report = Callable[[Places, Deployment, int], Mapping[str, Any]]
"""Builds the report of a challenger, given by its number."""

_log = logging.getLogger("shadowserve.evidence")


def _connect(deployment: Deployment) -> Sink:
    """Open the store; its addresses with credentials are told to this process alone."""
    tracking = os.environ.get("SHADOWSERVE_TRACKING_URI") or deployment.tracking_uri
    return Store(tracking, os.environ.get("SHADOWSERVE_REGISTRY_URI"))


class Writer:
    """What carries one deployment's evidence.

    Parameters
    ----------
    places : Places
        A state directory, or the shelf of an archived one.
    report : callable, optional
        Builds a challenger's report; none is published without it.
    connect : callable, optional
        Makes the store; called again after nobody answered.
    parts_budget : int
        Bytes of disk for all lanes' comparisons.

    Attributes
    ----------
    counts : mapping of LaneName to dict
        Run, windows arrived and waiting, as last counted, windows that came without traces or
        without their comparisons, and the run's page.
    shipping : Shipping
        What carries windows.
    """

    def __init__(
        self,
        places: Places,
        deployment: Deployment,
        *,
        report: Report | None = None,
        connect: Callable[[], Sink] | None = None,
        parts_budget: int = parts.BUDGET_BYTES,
    ) -> None:
        self.places = places
        self.deployment = deployment
        self._shipped = Shipped(places.evidence, deployment.id)
        self.shipping = Shipping(places, deployment, self._shipped)
        self._connect = connect or (lambda: _connect(deployment))
        self._report = report
        self._parts_budget = parts_budget
        self._bound_at = 0.0
        self._runs: LaneRuns | None = None
        self._published: dict[LaneName, object] = {}
        self._pages: dict[LaneName, str] = {}
        self.counts = {lane: self._count(lane) for lane in self.lanes}

    def take(self, deployment: Deployment) -> None:
        """Go on with the same deployment, whoever has joined it or left."""
        if deployment == self.deployment:
            return
        self.deployment = deployment
        if self._runs is not None:
            self._runs.deployment = deployment

    @property
    def lanes(self) -> tuple[LaneName, ...]:
        """The lanes of which something may have yet to arrive: those that work, then those that have left."""
        return (*self.deployment.lanes, *leaving(self.places, self.deployment, self._shipped))

    @property
    def waiting(self) -> int:
        """How many closed windows of all lanes have not arrived, as last counted."""
        return sum(count["waiting"] for count in self.counts.values())

    def turn(self) -> None:
        """Carry what waits. What one lane cannot deliver holds up no other.

        Raises
        ------
        UndeliveredError
            The first failure, after every lane had its turn, or at once where nobody answers.
        """
        failures = [error for lane in self.lanes for error in self._try(lane)]
        self._bound_parts()
        if failures:
            raise failures[0]

    def publish(self) -> None:
        """Bring tables, report and verdict up to date for lanes that went on since the last time.

        Raises
        ------
        UndeliveredError
            As `turn`, but at the first failure.
        """
        for lane in self.deployment.lanes:
            self._publish(lane)

    def _publish(self, lane: LaneName) -> None:
        seen = snapshot(self._files(lane).state)
        # Labels change a report long after the last request; so does what the team accepts or promotes.
        news = (
            seen.outcomes,
            _labels(self.places.labels),
            accepted.news(self.places, self.deployment.id),
            switches.read(self.places, self.deployment.id),
        )
        if seen.outcomes and self._published.get(lane) != news:
            with self._watched(lane) as runs:
                publish_tables(runs.store, runs.of(lane), seen.summaries)
                if rest := self.shipping.rest.get(lane):
                    text = orjson.dumps(rest).decode()
                    runs.store.put_text(runs.of(lane), text, bounding.TABLE)
                self._publish_report(lane, runs)
            self._published[lane] = news

    def take_leave(self) -> None:
        """Bring what the lanes that have left and ended still have, and finish their runs.

        Raises
        ------
        UndeliveredError
            As `turn`, but at the first failure.
        """
        for lane in leaving(self.places, self.deployment, self._shipped):
            if not has_ended(self.places, lane):
                continue
            close_window(self.places, lane)
            for error in self._try(lane):
                raise error
            self._publish(lane)
            with self._watched(lane) as runs:
                runs.finish_one(lane)
            self.counts[lane] = self._count(lane)

    @property
    def unfinished(self) -> bool:
        """Whether a run of a lane was begun and not marked as finished."""
        names = [str(lane) for lane in (*self.deployment.lanes, *self.deployment.left_lanes)]
        return any(self._shipped.run_id(n) and not self._shipped.is_finished(n) for n in names)

    def prove(self) -> None:
        """Write the facts of this start to the first lane's run and read them back.

        Raises
        ------
        UndeliveredError
            If MLflow refuses them, or gives back something else.
        """
        for lane in self.deployment.lanes[:1]:
            told = {"deployment": self.deployment.id, "options": self.deployment.options.to_dict()}
            text = orjson.dumps(told, option=orjson.OPT_INDENT_2, default=str).decode()
            tags = {START: self.deployment.start}
            with self._watched(lane) as runs:
                runs.store.prove(runs.of(lane), tags=tags, text=text, name="start.json")

    def finish(self, *, archived: bool = False) -> None:
        """Mark the runs as finished; a later start of the same deployment takes them up again.

        Parameters
        ----------
        archived : bool
            Whether they ended when their last window was closed, and not now.
        """
        if self._runs is not None:
            self._runs.finish(ended_ms=self._ended_ms() if archived else None)

    def _ended_ms(self) -> dict[LaneName, int]:
        windows = {
            lane: closed_windows(self._files(lane).state, after=-1)[-1:]
            for lane in (*self.deployment.lanes, *self.deployment.left_lanes)
        }
        return {lane: last[0].closed_ns // 10**6 for lane, last in windows.items() if last}

    def _try(self, lane: LaneName) -> Iterator[UndeliveredError]:
        try:
            with self._watched(lane) as runs:
                fragment = links.run(runs.experiment, runs.of(lane))
                whole = links.address(self.deployment.tracking_uri, fragment)
                self._pages[lane] = whole or fragment
                # A few windows at a time: what has arrived is noted between them, and a death
                # repeats little.
                while waiting := self._closed(lane)[:TOGETHER]:
                    self.shipping.ship(lane, waiting, runs)
        except UndeliveredError as error:
            yield error
        finally:
            self.counts[lane] = self._count(lane)

    @contextmanager
    def _watched(self, lane: LaneName) -> Iterator[LaneRuns]:
        """Connect if need be; after a failure trust neither run nor, if nobody answered, connection."""
        if self._runs is None:
            self._runs = LaneRuns(self._connect(), self._shipped, self.deployment)
        try:
            yield self._runs
        except UndeliveredError as error:
            self._runs.doubt(lane)
            # A refusal leaves the connection good; without an answer it may be half open for
            # minutes.
            if error.kind == "sink_dead":
                self._runs = None
            raise

    def _files(self, lane: LaneName) -> LanePlaces:
        return self.places.lane(lane.role, lane.version, lane.stay)

    def _closed(self, lane: LaneName) -> list[Window]:
        """Return the windows that wait, in order and without a gap."""
        after = self._shipped.delivered(str(lane))
        found = closed_windows(self._files(lane).state, after=after)
        # Beyond a gap nothing is carried: what has arrived is remembered as one number.
        return [window for i, window in enumerate(found) if window.number == after + 1 + i]

    def _count(self, lane: LaneName) -> dict[str, Any]:
        return {
            "run_id": self._shipped.run_id(str(lane)),
            "arrived": self._shipped.delivered(str(lane)) + 1,
            "waiting": len(self._closed(lane)),
            "untraced": self.shipping.untraced[lane],
            "lost": self._shipped.lost(str(lane)),
            "page": self._pages.get(lane),
        }

    def _publish_report(self, lane: LaneName, runs: LaneRuns) -> None:
        if lane.role is not Role.CHALLENGER:
            publish_notes(lane, runs, self.deployment, None)
        if self._report is None or lane.role is not Role.CHALLENGER:
            return
        try:
            as_it_was = self.deployment.until(lane)
            report = self._report(self.places, as_it_was, lane.version)
            files = report_files(report, self.places, as_it_was)
            said = acceptances.read(self.places, self.deployment.id)
        except Exception as error:  # a report that fails must not hold up the windows
            fault = fault_of(error)
            _log.error("the report of %s cannot be built: %s at %s", lane, fault.type, fault.frame)
            return
        run_id = runs.of(lane)
        for name, text in files.items():
            runs.store.put_text(run_id, text, name)
        restarts = sum(one["restarts"] for one in report.get("ledger", {}).get("lanes", ()))
        if restarts:
            runs.store.tag(run_id, {RESTARTS: str(restarts)})
        accepted.publish_accepted(runs.store, run_id, said, challenger=lane.version)
        if verdict := report.get("verdict"):
            runs.store.tag(run_id, {VERDICT: str(verdict)})
        publish_notes(lane, runs, as_it_was, report)

    def _bound_parts(self) -> None:
        """Keep the newest parts of all lanes, whether MLflow takes them or not."""
        if time.monotonic() < self._bound_at:
            return
        self._bound_at = time.monotonic() + BOUND_S
        waiting = {lane: self._closed(lane) for lane in self.lanes}
        _, lost = parts.bound(
            {
                self._files(lane).parts: frozenset(w.part or "" for w in w_)
                for lane, w_ in waiting.items()
            },
            budget=self._parts_budget,
        )
        if lost:
            _log.warning(
                "%d parts made room before MLflow took them; the metrics of their windows will arrive",
                len(lost),
            )


def _labels(path: Path) -> int:
    """Return how many labels have come; -1 where that cannot be read now."""
    try:
        with working_copy(path) as copy:
            return copy.counts()["labels"] if copy else 0
    except UnreadableError:
        return -1
