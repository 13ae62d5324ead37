"""Asking old requests again, in the challenger's lane and in the control's, once disagreement jumped.

The stream's detector is a screen. When it speaks, sixteen old requests of before the jump are scored
twice now, and sixteen more after each hundred requests; they were scored twice then, alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from shadowserve.comparison.comparing import Scoring
from shadowserve.comparison.learned import Learned
from shadowserve.comparison.replayed import LOOKS, MAX_MS, Replayed, Seen, Trial, Weighed, outcome
from shadowserve.lane.kept import Kept, KeptRequests
from shadowserve.lane.observing import Observer
from shadowserve.records import Request, worker_of
from shadowserve.state.lane_file import Unwritable
from shadowserve.state.lane_reading import summary
from shadowserve.statistics.changepoint import Change
from shadowserve.statistics.tally.samples import hash_positions

PER_LOOK = 16
LOOK_EVERY = 100
MOST_ASKED = 256
STEADY_FROM = 100
"""Requests scored twice without a difference from which any request is known to be answered alike."""
PATIENCE = 1_000
"""Requests for which the control is waited for after the last question."""
ENOUGH = 64
"""So many that are all answered as before say that it was the traffic."""

Differ = Callable[[Request, bytes, bytes | None], bool]


@dataclass(slots=True)
class Replays:
    """The challenger's side.

    Parameters
    ----------
    learned : callable
        Gives what the lane has learnt.
    observer : Observer
    differ : callable
        Whether two answers to a request are not alike.
    kept : KeptRequests
        Where old requests are.
    read_kept : callable
        Reads some of them.
    theirs : callable
        What the control says to the same requests, by position; None where there is no control.
    """

    learned: Callable[[], Learned]
    observer: Observer
    differ: Differ
    kept: KeptRequests
    read_kept: Callable[[Sequence[int]], list[Kept]]
    theirs: Callable[[], Mapping[int, Seen] | None]
    mark: Callable[[Sequence[int]], None] = lambda _: None
    _n: int = 0
    _next: int = 0
    _over_at: int | None = None

    def keep(self, request: Request, answer: bytes) -> None:
        """Keep a request that was scored twice, alike."""
        if not self._is_slow():
            with suppress(Unwritable):  # on a full disk fewer old requests are kept
                self.kept.keep(request, answer)

    def read(self, requests: Sequence[Request]) -> None:
        """Count requests as they are read."""
        self._n += len(requests)

    def take(self, scoring: Scoring) -> None:
        """Keep any request once the version is known to be steady."""
        noise = self.learned().noise.again
        is_steady = noise.n >= STEADY_FROM and noise.mean == 0
        answer = scoring.observation.answer
        if is_steady and answer is not None and scoring.request.status == 200:
            self.keep(scoring.request, answer)

    def due(self) -> None:
        """Look into a jump, if there is one."""
        learned = self.learned()
        known = learned.replayed
        if known.proven is not None or self._is_slow():
            return
        if known.trial is None:
            change = learned.outputs.change.change()
            if change is None:
                return
            known.tries += 1
            known.trial = self._begin(learned, change, number=known.tries)
            self._over_at = None
        if self._n >= self._next:
            self._next = self._n + LOOK_EVERY
            self._ask_more(known.trial)
        self._decide(learned, known, known.trial)

    def _is_slow(self) -> bool:
        return self.learned().usual_ms() > MAX_MS

    def _begin(self, learned: Learned, change: Change, *, number: int) -> Trial:
        moment = learned.milestones.locate(change.position)
        arrived = moment.arrived_wall_ns if moment else 0
        worker = worker_of(change.position)
        # Within a worker the position says what came before; among workers only the clock does.
        old = [
            place
            for place in self.kept.before(arrived)
            if place < change.position or worker_of(place) != worker
        ]
        # Drawn by the trial's number, so that each trial begins with other requests.
        drawn = hash_positions(np.asarray(old, dtype=np.int64), salt=number).tolist()
        pool = [place for _, place in sorted(zip(drawn, old, strict=True))]
        return Trial(number, change, arrived, pool[:MOST_ASKED])

    def _ask_more(self, trial: Trial) -> None:
        per_look = min(PER_LOOK, max(5, -(-len(trial.pool) // LOOKS)))
        asked = trial.pool[len(trial.seen) : len(trial.seen) + per_look]
        if asked:
            trial.looks += 1
            for one in self.read_kept(asked):
                place, then = one.request.position, one.lane_answer
                if self.kept.begin(place, trial.number):
                    trial.seen[place] = self._ask(one.request, then, look=trial.looks)
            # What has made room since, or did not let its process live, is asked no more.
            gone = set(asked) - set(trial.seen)
            trial.pool = [place for place in trial.pool if place not in gone]

    def _decide(self, learned: Learned, known: Replayed, trial: Trial) -> None:
        theirs = self.theirs()
        weighed = trial.weigh(theirs)
        if trial.is_proven(weighed, alpha=learned.outputs.change.alpha):
            known.proven, known.trial = outcome(trial, weighed), None
        elif self._is_over(trial, weighed):
            known.traffic, known.trial = outcome(trial, weighed), None
            # The traffic explains the jump; a detector that went on would speak again at once.
            learned.outputs.change = learned.outputs.change.anew()

    def _is_over(self, trial: Trial, weighed: Weighed) -> bool:
        """Whether there is nothing left to ask or to wait for, or nothing to be seen in so many."""
        if weighed.replayed >= ENOUGH and not weighed.changed:
            return True
        if len(trial.seen) < len(trial.pool):
            return False
        self._over_at = self._n + PATIENCE if self._over_at is None else self._over_at
        return weighed.replayed == len(trial.seen) or self._n >= self._over_at

    def _ask(self, request: Request, then: bytes, *, look: int) -> Seen:
        return ask(self.observer, request, then, differ=self.differ, mark=self.mark, look=look)


@dataclass(slots=True)
class ReplaysForOthers:
    """The control's side: it asks its version what challengers' lanes ask theirs.

    Parameters
    ----------
    asked : callable
        Positions that each challenger has asked, by version.
    read_kept : callable
        Reads some requests that a version's lane has kept.
    """

    learned: Callable[[], Learned]
    observer: Observer
    differ: Differ
    asked: Callable[[], Mapping[int, Sequence[int]]]
    read_kept: Callable[[int, Sequence[int]], list[Kept]]
    mark: Callable[[Sequence[int]], None] = lambda _: None

    def read(self, requests: Sequence[Request]) -> None:
        """Do nothing."""

    def take(self, scoring: Scoring) -> None:
        """Do nothing."""

    def due(self) -> None:
        """Answer what challengers have asked since."""
        known = self.learned().replayed
        for version, positions in self.asked().items():
            before = known.answers.get(version, {})
            answers = {place: before[place] for place in positions if place in before}
            wanted = [place for place in positions if place not in before][:PER_LOOK]
            for one in self.read_kept(version, wanted):
                answers[one.request.position] = ask(
                    self.observer, one.request, one.request.answer, differ=self.differ, mark=self.mark
                )  # fmt: skip
            known.answered(version, answers)


def ask(
    observer: Observer,
    request: Request,
    then: bytes,
    *,
    differ: Differ,
    mark: Callable[[Sequence[int]], None],
    look: int = 0,
) -> Seen:
    """Score an old request twice, and lay both answers beside the one of then."""
    mark([request.position])
    typed = observer.typed(request)
    # Twice: a version that differs from itself must not pass for one that has changed.
    one, two = (observer.alone(typed).answer for _ in range(2))
    failed = one is None or two is None
    alike = one is two if failed else not differ(request, one or b"", two)
    apart = differ(request, then, one), differ(request, then, two)
    return Seen(alone=alike and all(apart), other=not alike and not all(apart), look=look)


def asked_by(files: Callable[[], Mapping[int, Path]]) -> Callable[[], dict[int, list[int]]]:
    """Return what tells the old requests that challengers' lanes have asked, by their state files."""

    def asked() -> dict[int, list[int]]:
        told = {version: summary(file, "replayed") for version, file in files().items()}
        trials = {v: orjson.loads(one)["trial"] for v, one in told.items() if one}
        return {
            v: [place for place, *_ in trial["seen"]] if trial else []
            for v, trial in trials.items()
        }

    return asked


def answered_by(file: Path, version: int) -> Callable[[], dict[int, Seen]]:
    """Return what tells the control's answers to a challenger's questions, by its state file."""

    def theirs() -> dict[int, Seen]:
        told = summary(file, "replayed")
        return Replayed.from_state(orjson.loads(told)).answers.get(version, {}) if told else {}

    return theirs
