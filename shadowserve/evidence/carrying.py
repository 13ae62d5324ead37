"""The writer's life: carry, wait, try again; and at the end bring what can be brought.

The first turn writes a run and its facts and reads them back, so that a start tells within seconds
whether evidence will arrive. What archived deployments left is carried too, after today's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from shadowserve.evidence.archived import Archived
from shadowserve.evidence.condition import FIRST_PAUSE_S, Condition
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.evidence.writer import Report, Writer
from shadowserve.faults import fault_of
from shadowserve.state.deployment import Deployment
from shadowserve.state.following import Followed
from shadowserve.state.pace import Pace
from shadowserve.state.places import Places

LOOK_S = 1.0
PUBLISH_S = 15.0

_log = logging.getLogger("shadowserve.evidence")


class Carrier:
    """Carries a deployment's evidence, and what archived ones left.

    Parameters
    ----------
    report : callable, optional
        Builds a challenger's report.
    """

    def __init__(
        self, places: Places, deployment: Deployment, *, report: Report | None = None
    ) -> None:
        self._followed = Followed(places, deployment)
        self.writer = Writer(places, deployment, report=report)
        self.condition = Condition(places.arrival)
        self.pace = Pace(places.wider)
        self._archived = Archived(places)
        self._proven = False
        self._publish_at = time.monotonic() + PUBLISH_S
        self._hopeless = False

    def run(self, stop: threading.Event, *, loaded: Callable[[], None] = lambda: None) -> None:
        """Work until asked to stop; `loaded` is called once MLflow's client has been imported."""
        first = True
        while not stop.is_set():
            arrived = self._attempt(self._turn)
            if first:
                loaded()
            first = False
            stop.wait(LOOK_S if arrived else self.condition.pause_s())

    def flush(self, *, until: float) -> None:
        """Bring what is left, with report and tables, and end the runs.

        Parameters
        ----------
        until : float
            Monotonic seconds. Where it may pass it is tried until then; else once.
        """
        while True:
            began = time.monotonic()
            # What needs somebody does not pass within seconds.
            if self._attempt(self._last) or self._hopeless:
                return
            took = time.monotonic() - began
            # A try takes runs up before it ends them: one that was cut off would leave them going on.
            if time.monotonic() + FIRST_PAUSE_S + 2 * took > until:
                return
            time.sleep(FIRST_PAUSE_S)

    def say_what_is_left(self) -> None:
        """Log how many windows wait for the next start."""
        waiting = self.writer.waiting
        if waiting:
            _log.warning("%d windows have not arrived; they wait for the next start.", waiting)
        else:
            _log.info("all closed windows have arrived.")

    def _turn(self) -> None:
        self.writer.take(self._followed.now())
        self.writer.turn()
        self.writer.take_leave()
        if time.monotonic() >= self._publish_at:
            self.writer.publish()
            self._publish_at = time.monotonic() + PUBLISH_S
        if not self._proven:
            self.writer.prove()
            self._proven = True
        self._archived.turn()

    def _last(self) -> None:
        """Bring what can be brought: a window that is refused keeps no run open."""
        failures = []
        self.writer.take(self._followed.now())
        writer = self.writer
        for bring in (writer.turn, writer.take_leave, writer.publish, writer.finish):
            try:
                bring()
            except UndeliveredError as error:
                failures.append(error)
                # Nothing else gets through to a server that does not answer.
                if error.kind == "sink_dead":
                    break
        if failures:
            raise failures[0]

    def _attempt(self, what: Callable[[], None]) -> bool:
        """Try, and write down how it went; whatever happens, the process goes on."""
        self.writer.shipping.thrifty = self.pace.slowed
        try:
            what()
        except UndeliveredError as error:
            failure = error
        except Exception as error:  # a fault of ours must not lose what waits
            failure = _own_fault(error)
        else:
            self._hopeless = False
            self.pace.taken()
            self.condition.good(self._lanes(), late=self._archived.told())
            return True
        if failure.throttled:
            self.pace.refused()
        # Said once; how it stands since then is told by status and page.
        if self.condition.failures == 0:
            _log.warning("%s Evidence waits.", failure)
        self.condition.bad(failure, self._lanes(), late=self._archived.told())
        self._hopeless = failure.hopeless or failure.kind == "sink_dead"
        return False

    def _lanes(self) -> dict[str, dict[str, object]]:
        return {str(lane): count for lane, count in self.writer.counts.items()}


def _own_fault(error: Exception) -> UndeliveredError:
    """Tell a fault of the writer by its type and place; its text may quote anything."""
    fault = fault_of(error)
    told = f"The evidence writer failed: {fault.type} at {fault.frame}."
    return UndeliveredError(told, kind="sink_error", hopeless=True)
