"""The request timeout: callers of a slow call get a 504, and a call without end costs its worker.

Nothing can end a call of a model from inside, but the event loop lives beside it. Callers behind a slow
call go on waiting. Where it does not end at all, they get a 503 before the worker is replaced.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from shadowserve.faults import tell
from shadowserve.serving.bentoml_worker import hang_limit_s
from shadowserve.serving.champion import Champion
from shadowserve.serving.work import Served, Work
from shadowserve.state.counters import Counters

LOOK_S = 0.1

_log = logging.getLogger(__name__)


class Patience:
    """Looks at the champion's line from the event loop, a few times a second.

    Parameters
    ----------
    champion : Champion
        Whose callers wait.
    counters : Counters
        This worker's counts.
    timeout_s : float
        How long a call of the model may take before its callers get a 504.
    give_up : callable
        Called once, when a call does not end; everybody who waits has been answered.
    clock : callable
        Monotonic nanoseconds.
    """

    def __init__(
        self,
        champion: Champion,
        counters: Counters,
        *,
        timeout_s: float,
        give_up: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._champion = champion
        self._counters = counters
        self._timeout_s = timeout_s
        self._hang_s = hang_limit_s(timeout_s)
        self._give_up = give_up
        self._clock = clock
        self._looked_ns = clock()
        self._call: object = None
        self._seen_s = 0.0
        self._given_up = False

    def look(self) -> None:
        """Answer those whose call takes too long; give up a worker whose call does not end.

        To be called on the event loop. What passed unseen, in a frozen container, counts as a moment.
        """
        now_ns = self._clock()
        since_s, self._looked_ns = (now_ns - self._looked_ns) / 1e9, now_ns
        batch, started_ns = self._champion.in_call
        # A call is known by when it began: short ones in a row are no long one.
        if not batch or started_ns != self._call:
            self._call, self._seen_s = started_ns if batch else None, 0.0
            return
        self._seen_s += min(since_s, 5 * LOOK_S)
        if self._seen_s < self._timeout_s:
            return
        for work in _waiting(batch):
            self._counters.add("timed_out")
            tell(_log, "request %s: no answer after %g s", work.request_id, self._timeout_s)
            _end(work, 504)
        if self._seen_s >= self._hang_s and not self._given_up:
            self._given_up = True
            # Nobody in line may be left behind in a process that ends.
            for work in _waiting(self._champion.withdraw()):
                self._counters.add("not_ready")
                _end(work, 503)
            self._give_up()


def _waiting(works: Sequence[Work]) -> list[Work]:
    return [work for work in works if not work.done.done()]


def _end(work: Work, status: int) -> None:
    work.done.set_result(Served(work, status, b""))
