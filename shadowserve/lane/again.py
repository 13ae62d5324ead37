"""Scoring failed requests again later, in the challenger's lane and in the control's.

Requests lie in memory alone until then: a lane that restarts tries those no more. After the first few a
lane spends one call in three on it at most, and one in thirty once enough is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import orjson

from shadowserve import wire
from shadowserve.comparison.comparing import Scoring
from shadowserve.comparison.lasting import (
    COMPANIONS,
    ERROR,
    HOLE,
    KINDS,
    WAITS,
    Answers,
    Lasting,
    Tried,
)
from shadowserve.lane.observing import Observer, Typed
from shadowserve.records import Observation, Outcome, Request
from shadowserve.state.lane_reading import summary
from shadowserve.wire import protocols as doors

FIRST_APART, FIRST = 10, 16
APART = 40
APART_KNOWN = 400
"""Requests between two that are tried again: of the first few, then, and once `ENOUGH` have lasted."""
ENOUGH = 12
USUAL_MS = 20.0
"""Versions that take longer try less often, in proportion."""
MOST_SEEN = 1_024
MOST_WAITING = 256


class Second(Protocol):
    """Something that scores requests a second time, beside the lane's own work."""

    def read(self, requests: Sequence[Request]) -> None:
        """Look at requests as they are read from the journal."""

    def take(self, scoring: Scoring) -> None:
        """Look at what was just scored."""

    def due(self) -> None:
        """Score what is due."""


@dataclass(slots=True)
class _Waiting:
    kind: str
    begun: int
    requests: list[tuple[Request, int]]
    tried: Tried


@dataclass(slots=True)
class Again:
    """The challenger's side: which requests are tried again, and when.

    Parameters
    ----------
    observer : Observer
    lasting : callable
        Gives what is kept of it.
    protocols : mapping of name to Protocol
        How an answer is read.
    mark : callable
        Says what is in hand before it is scored.
    usual_ms : callable
        What a request takes the version.
    elsewhere : callable
        Given a request and who scored it first, scores it in another process; None where there is none.
    """

    observer: Observer
    lasting: Callable[[], Lasting]
    protocols: Mapping[str, doors.Protocol]
    mark: Callable[[Sequence[int]], None] = lambda _: None
    usual_ms: Callable[[], float] = lambda: 0.0
    elsewhere: Callable[[Typed, int], Observation | None] = lambda _typed, _by: None
    _n: int = 0
    _last: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, -(10**9)))
    _begun: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    _known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    _fine: deque[Scoring] = field(default_factory=lambda: deque(maxlen=COMPANIONS))
    _waiting: list[_Waiting] = field(default_factory=list)
    _seen: dict[bytes, None] = field(default_factory=dict)

    def read(self, requests: Sequence[Request]) -> None:
        """Do nothing: what is scored tells more."""

    def take(self, scoring: Scoring) -> None:
        """Begin to try a request on which the challenger alone failed."""
        self._n += 1
        if scoring.outcome is Outcome.CHALLENGER_ERROR:
            self._begin(ERROR, scoring)
        elif scoring.outcome is not Outcome.BOTH_OK:
            return
        elif not scoring.observation.nonfinite:
            self._fine.append(scoring)
        elif self._is_whole(scoring.request):
            self._begin(HOLE, scoring)

    def _is_whole(self, request: Request) -> bool:
        """Whether the champion answered without a null; not where its answer cannot be read."""
        try:
            return not wire.nonfinite(self.protocols[request.protocol].read(request.answer))
        except Exception:  # an answer that no reader takes is told elsewhere
            return False

    def _begin(self, kind: str, scoring: Scoring) -> None:
        request = scoring.request
        apart = FIRST_APART if self._begun[kind] < FIRST else APART
        apart = APART_KNOWN if self._known[kind] >= ENOUGH else apart
        apart = int(apart * max(1.0, self.usual_ms() / USUAL_MS))
        # Six that it answered well go along: in an outage they fail as well.
        if self._n - self._last[kind] < apart or len(self._fine) < COMPANIONS:
            return
        digest = blake2b(request.body or b"", digest_size=8).digest()
        if digest in self._seen:
            return  # the same request again says nothing new
        self._seen[digest] = None
        while len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self._last[kind] = self._n
        self._begun[kind] += 1
        self._waiting.append(
            _Waiting(
                kind,
                self._n,
                [(one.request, one.by) for one in (scoring, *self._fine)],
                Tried(request.position),
            )
        )
        self.lasting().ask(request.position)

    def due(self) -> None:
        """Score again what has waited long enough."""
        for one in [w for w in self._waiting if self._n - w.begun >= WAITS[len(w.tried.failed)]]:
            failed = [_fails(self._again(*first), one.kind) for first in one.requests]
            one.tried.failed.append(failed)
            if one.tried.is_over:
                self._waiting.remove(one)
                self._known[one.kind] += one.tried.lasting()[0]
                self.lasting().end(one.kind, one.tried)

    def _again(self, request: Request, by: int) -> Observation:
        # Marked first: should the process die here, it is known of which request.
        self.mark([request.position])
        typed = self.observer.typed(request)
        seen = self.elsewhere(typed, by)
        if seen is None:
            self.mark([request.position])
            seen = self.observer.alone(typed)
        return seen


@dataclass(slots=True)
class _Asked:
    request: Request
    read_at: int
    done: int = 0


@dataclass(slots=True)
class AgainForOthers:
    """The control's side: it scores again what challengers' lanes ask for.

    Parameters
    ----------
    answers : callable
        Gives what is kept of it.
    wanted : callable
        Positions that challengers ask for.
    """

    observer: Observer
    answers: Callable[[], Answers]
    wanted: Callable[[], Collection[int]]
    mark: Callable[[Sequence[int]], None] = lambda _: None
    _n: int = 0
    _waiting: list[_Asked] = field(default_factory=list)

    def read(self, requests: Sequence[Request]) -> None:
        """Keep those requests that are asked for, as they are read from the journal."""
        wanted = self.wanted()
        for request in requests:
            self._n += 1
            if request.position in wanted and len(self._waiting) < MOST_WAITING:
                self._waiting.append(_Asked(request, self._n))

    def take(self, scoring: Scoring) -> None:
        """Do nothing: challengers say what to score."""

    def due(self) -> None:
        """Score again what has waited long enough."""
        for one in [w for w in self._waiting if self._n - w.read_at >= WAITS[w.done]]:
            self.mark([one.request.position])
            seen = self.observer.alone(self.observer.typed(one.request))
            fine = seen.fault is None and not seen.nonfinite
            self.answers().add(one.request.position, fine=fine)
            one.done += 1
            if one.done == len(WAITS):
                self._waiting.remove(one)


def _fails(seen: Observation, kind: str) -> bool:
    return seen.fault is not None if kind == ERROR else seen.fault is None and seen.nonfinite > 0


def asked_by(files: Callable[[], Sequence[Path]]) -> Callable[[], frozenset[int]]:
    """Return what tells the positions that challengers' lanes ask for, by their state files."""

    def wanted() -> frozenset[int]:
        told = (summary(file, "lasting") for file in files())
        return frozenset(place for one in told if one for place in orjson.loads(one)["asked"])

    return wanted
