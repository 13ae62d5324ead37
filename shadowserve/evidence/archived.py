"""What archived deployments left behind, delivered whatever is served today.

Each has patience of its own: one whose run was deleted must not make today's evidence look failed, nor
slow it down. A window that was open when its lane ended is closed here, since no lane comes back to it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shadowserve.errors import ShadowserveError
from shadowserve.evidence.leaving import close_window
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.evidence.writer import Writer
from shadowserve.faults import fault_of
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 3600.0

_log = logging.getLogger("shadowserve.evidence")


@dataclass(slots=True)
class _Shelf:
    """One archived deployment with something to deliver."""

    writer: Writer
    due_s: float = 0.0
    failures: int = 0
    reason: str | None = None


class Archived:
    """Carries what archived deployments left, the newest first, at most one a turn.

    Parameters
    ----------
    places : Places
        The state directory; each deployment of its archive that still waits is one shelf.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, places: Places, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shelves = [_Shelf(writer) for writer in _left_behind(places)]

    def turn(self) -> None:
        """Deliver one shelf whose time has come; what fails waits longer and longer."""
        due = [shelf for shelf in self._shelves if self._clock() >= shelf.due_s]
        if not due:
            return
        # One a turn: a long archive must not hold up today's windows.
        shelf = due[-1]
        try:
            shelf.writer.turn()
            shelf.writer.finish(archived=True)
        except UndeliveredError as error:
            self._postpone(shelf, str(error))
        except Exception as error:  # today's evidence must not wait for it
            fault = fault_of(error)
            self._postpone(shelf, f"{fault.type} at {fault.frame}")
        else:
            self._shelves.remove(shelf)

    def told(self) -> list[dict[str, object]]:
        """Return what waits, by deployment, as `evidence.json` tells it."""
        return [
            {
                "deployment": shelf.writer.deployment.id,
                "waiting": shelf.writer.waiting,
                "reason": shelf.reason,
            }
            for shelf in self._shelves
        ]

    def _postpone(self, shelf: _Shelf, reason: str) -> None:
        if shelf.reason != reason:
            _log.warning("of %s: %s", shelf.writer.deployment.id, reason)
        shelf.reason, shelf.failures = reason, shelf.failures + 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(shelf.failures - 1, 10))
        shelf.due_s = self._clock() + pause_s


def _left_behind(places: Places) -> Iterator[Writer]:
    """Yield a writer for each archived deployment with windows that wait, or a run that goes on."""
    for root in places.shelves:
        shelf = Places(root)
        try:
            deployment = deployments.read(shelf)
            if deployment is None:
                continue
            close_windows(shelf, deployment)
            writer = Writer(shelf, deployment)
        except (ShadowserveError, OSError, sqlite3.Error) as error:
            known = isinstance(error, ShadowserveError)
            told = str(error) if known else f"{fault_of(error).type} in {root}."
            _log.warning("%s Its evidence stays where it is.", told)
            continue
        if writer.waiting or writer.unfinished:
            yield writer


def close_windows(places: Places, deployment: Deployment) -> None:
    """Close what the lanes of an archived deployment left open."""
    for name in (*deployment.lanes, *deployment.left_lanes):
        close_window(places, name)
