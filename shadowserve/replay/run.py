"""A replay: recorded requests made ready, sent in time, and what became of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from shadowserve.records import Request
from shadowserve.replay import account
from shadowserve.replay.ahead import Ahead
from shadowserve.replay.capacity import Step
from shadowserve.replay.connection import Sendable
from shadowserve.replay.pace import Pace, even
from shadowserve.replay.recording import Recording
from shadowserve.replay.sending import Bounds, Ended, Sender
from shadowserve.replay.tally import Tally, Which
from shadowserve.replay.target import Target, paths

MOST_HEADS = 4_096


@dataclass(slots=True)
class Replay:
    """One replay of a recording to a target, under one id.

    Parameters
    ----------
    recording : Recording
    target : Target
    bounds : Bounds
    stopping : callable
        Asked whether somebody wants to stop.
    told : callable
        Told each request's end, for progress.
    """

    recording: Recording
    target: Target
    bounds: Bounds
    stopping: Callable[[], bool] = lambda: False
    told: Callable[[Ended], None] = lambda _end: None
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    _heads: dict[tuple[str, str, int], bytes] = field(default_factory=dict)

    def run(
        self, pace: Pace, *, length_s: float | None, limit: int | None, repeat: bool = False
    ) -> Done:
        """Send the recording at a pace, for so long and so many at most; `repeat` begins again at its end."""
        found = islice(self._requests(repeat=repeat), limit)
        return self._send(self._due(found, pace, length_s))

    def steps(
        self, seconds: float, look: Callable[[], account.Look] | None
    ) -> Callable[[float], Step | None]:
        """Return what tries a rate for some seconds, over and over through the recording."""
        requests = self._requests(repeat=True)

        def step(rate: float) -> Step | None:
            before = look() if look is not None else None
            some = islice(requests, max(1, round(rate * seconds)))
            done = self._send(self._due(some, even(rate), None))
            if done.unfinished or self.stopping() or not done.tally.sent:
                return None
            return Step(rate, seconds, done.tally, before, look() if look is not None else None)

        return step

    def _requests(self, *, repeat: bool) -> Iterator[Request]:
        """Yield what can be sent; over and over, if there is any of it."""
        known = paths(self.recording.model)
        while True:
            n = 0
            for n, request in enumerate(self.recording.read(known), 1):  # noqa: B007
                yield request
            if not repeat or not n:
                return

    def _due(
        self, requests: Iterable[Request], pace: Pace, length_s: float | None
    ) -> Iterator[Sendable]:
        for request in requests:
            due_s = pace(request.arrived_wall_ns)
            if length_s is not None and due_s > length_s:
                return
            body = request.body or b""
            data = self._head(request, len(body)) + body
            yield Sendable(due_s, data, Which(request.position, request.request_id))

    def _head(self, request: Request, length: int) -> bytes:
        key = (request.protocol, request.content_type, length)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            path = paths(self.recording.model)[request.protocol]
            head = self.target.head(path, request.content_type, length, mark=self.id)
            self._heads[key] = head
        return head

    def _send(self, due: Iterator[Sendable]) -> Done:
        tally = Tally()

        def tell(end: Ended) -> None:
            tally(end)
            self.told(end)

        with (
            closing(Ahead(due)) as ahead,
            closing(Sender(self.target, self.bounds, tell=tell, stopping=self.stopping)) as sender,
        ):
            ahead.fill()
            seconds = sender.run(ahead)
            if ahead.failure is not None:
                raise ahead.failure
            return Done(tally, seconds, sender.left, sender.was_full)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it.

    Parameters
    ----------
    seconds : float
        From the first request to the last answer.
    unfinished : int
        Requests that were in flight when it was stopped.
    was_full : bool
        Whether requests had to wait since too many were in flight.
    """

    tally: Tally
    seconds: float
    unfinished: int
    was_full: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        told = self.tally.to_dict()
        return {
            **told,
            "seconds": round(self.seconds, 3),
            "sent_per_s": round(self.tally.sent / self.seconds, 2) if self.seconds else 0.0,
            "unfinished": self.unfinished,
            "waited_in_line": self.was_full,
        }
