"""What all viewers see: one report built for a challenger at each tick, however many look.

Pages, programs that ask for the report and Prometheus all have theirs from here.

While somebody looks a report may take a twentieth of a CPU, so that on a slow machine ticks are further apart.
While nobody does, one is made each minute at most, for a hundredth of a CPU, so that the first look need not wait
for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.report import build
from shadowserve.report.memory import Memory
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import Places

LEAST_S = 5.0
"""Between two reports of one challenger."""
BUSY = 20.0
"""Of the time, one part in so many is spent on building."""
RESTING_S = 60.0
"""Between two reports while nobody looks."""
RESTING = 100.0
OLD_S = 150.0
"""A picture that is older is no answer to a first look: its viewer waits for the next."""
NICE = 10

_log = logging.getLogger("shadowserve.console")


@dataclass(frozen=True, slots=True)
class Picture:
    """One challenger at one moment.

    Parameters
    ----------
    report : mapping
        With ``now``: requests a second lately.
    made : float
        By the monotonic clock.
    took_s : float
        Of a CPU.
    tick : str
        Names the picture; another console's names are others.
    """

    deployment: str
    report: Mapping[str, Any]
    made: float
    took_s: float
    tick: str

    @property
    def every_s(self) -> float:
        """After how long there is a next one."""
        return max(LEAST_S, BUSY * self.took_s)

    @property
    def age_s(self) -> float:
        """How long ago it was made."""
        return time.monotonic() - self.made

    @property
    def due_in_s(self) -> float:
        """How long until then, 0 if it is due."""
        return max(0.0, self.made + self.every_s - time.monotonic())


@dataclass(slots=True)
class Board:
    """The newest picture of each challenger of one state directory.

    A challenger that has left and comes again has a lane of its own, and no picture of the stay before.
    """

    places: Places
    memory: Memory = field(default_factory=Memory)
    _pictures: dict[LaneName, Picture] = field(default_factory=dict)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _builder: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "report", initializer=_step_back)
    )
    _building: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _counted: dict[LaneName, _Counted] = field(default_factory=dict)
    _n: int = 0
    _changes: int = 0
    _name: str = field(default_factory=partial(secrets.token_hex, 4))

    async def latest(self, deployment: Deployment, challenger: int) -> Picture:
        """Return a picture that is not due; whoever asks first builds it, and the others wait for it.

        Raises
        ------
        ShadowserveError
            If the state directory cannot be read.
        """
        return await self._found(deployment, challenger, lambda known: known.due_in_s > 0)

    async def anew(self, deployment: Deployment, challenger: int) -> Picture:
        """Return a picture that was begun after this was asked; all who ask meanwhile get the same.

        Raises
        ------
        ShadowserveError
            If the state directory cannot be read.
        """
        asked = time.monotonic()
        return await self._found(deployment, challenger, lambda known: known.made >= asked)

    async def _found(
        self, deployment: Deployment, challenger: int, serves: Callable[[Picture], bool]
    ) -> Picture:
        lane = deployment.lane_of(challenger)

        def at_hand() -> Picture | None:
            known = self._pictures.get(lane)
            is_same = known is not None and known.deployment == deployment.id
            return known if known is not None and is_same and serves(known) else None

        if (known := at_hand()) is not None:
            return known
        async with self._one_at_a_time:
            if (known := at_hand()) is not None:
                return known
            loop = asyncio.get_running_loop()
            while True:
                changes = self._changes
                made = await loop.run_in_executor(self._builder, self._make, deployment, challenger)
                if changes == self._changes:  # else it may show what has been changed since
                    self._pictures[lane] = made
                    self._keep({*deployment.lanes, lane})
                    return made

    async def at_hand(self, deployment: Deployment, challenger: int) -> Picture:
        """Return a picture without a wait: the last one where it is not old, while the next is built.

        Raises
        ------
        ShadowserveError
            As `latest`, where there is none.
        """
        known = self._pictures.get(deployment.lane_of(challenger))
        if known is None or known.deployment != deployment.id or known.age_s > OLD_S:
            return await self.latest(deployment, challenger)
        if not known.due_in_s and challenger not in self._building:
            # Kept, or it might be collected before it is done.
            task = asyncio.create_task(self._renew(deployment, challenger))
            self._building[challenger] = task
            task.add_done_callback(lambda _: self._building.pop(challenger, None))
        return known

    async def _renew(self, deployment: Deployment, challenger: int) -> None:
        # Whoever waits for the next picture is told why there is none.
        with contextlib.suppress(ShadowserveError):
            await self.latest(deployment, challenger)

    async def keep(self) -> None:
        """Keep a picture of each challenger at hand, until cancelled."""
        while True:
            took_s = 0.0
            try:
                deployment = deployments.read(self.places)
                if deployment is not None:
                    for number in deployment.numbers:
                        took_s += (await self.latest(deployment, number)).took_s
            except ShadowserveError:
                pass  # whoever asks is told
            except Exception as error:
                fault = fault_of(error)
                _log.error("no report: %s at %s", fault.type, fault.frame)
            await asyncio.sleep(max(RESTING_S, RESTING * took_s) if took_s else LEAST_S)

    def outdate(self) -> None:
        """Let the next who asks get a new picture: somebody has just changed what it shows."""
        self._changes += 1
        self._pictures.clear()

    def _keep(self, lanes: Set[LaneName]) -> None:
        """Forget all other lanes: challengers come and go for years."""
        for known in (self._pictures, self._counted):
            for gone in known.keys() - lanes:
                del known[gone]

    def _make(self, deployment: Deployment, challenger: int) -> Picture:
        began, cpu = time.monotonic(), time.thread_time()
        with _uncollected():
            report = build.build(self.places, deployment, challenger=challenger, memory=self.memory)
        lane = deployment.lane_of(challenger)
        before = self._counted.get(lane)
        if before is None or before.deployment != deployment.id:
            before = _Counted(deployment.id, None)
        self._counted[lane] = counted = before.then(began, report["ledger"]["journal"]["appended"])
        self._n += 1
        return Picture(
            deployment.id,
            {**report, "now": counted.rate},
            began,
            time.thread_time() - cpu,
            f"{self._name}-{self._n}",
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    """How many requests were journaled at a moment, and the rate until then."""

    deployment: str
    at: float | None
    n: int = 0
    rate: Mapping[str, float] | None = None

    def then(self, now: float, n: int) -> _Counted:
        """Return the same of a later moment: a rate is told over `LEAST_S` at least."""
        if self.at is None:
            return _Counted(self.deployment, now, n)
        over_s = now - self.at
        if over_s < LEAST_S:
            return self
        rate = {"rate_per_s": max(n - self.n, 0) / over_s, "over_s": round(over_s, 1)}
        return _Counted(self.deployment, now, n, rate)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile: a first report makes a hundred thousand records, and no garbage among them.

    Looking through them again and again was a third of its time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _step_back() -> None:
    """Leave the CPU to whoever else wants it: on Linux a thread has a priority of its own."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
