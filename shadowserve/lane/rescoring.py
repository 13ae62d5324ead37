"""Scoring a small share again, alone and in a batch, to see whether a version agrees with itself.

Divergence means nothing below a version's own noise. Of every eighty requests the last eight are
scored a second time, each by itself and then in one batch; answers that differ from the first are
noise, or depend on their neighbours. Every fifth time the timed walk is compared with the model's own
path.

Where several processes score for a version, what is scored a second time is scored by another one than the
first time. Now and then a request that shared a call is scored alone, and laid beside the answer that it had
among the neighbours that it really had.

Requests on which the version differs from the champion are doubted besides, one in ten of all at
most, one in fifty of those that a lane behind the traffic scores in batches: what is wrong with a version
is there on the second scoring too, noise mostly is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from shadowserve.comparison.bursts import burst_of
from shadowserve.comparison.comparing import Comparer
from shadowserve.comparison.doubt import Doubt
from shadowserve.comparison.failures import Differing, Noise
from shadowserve.divergence import without
from shadowserve.lane.batch_size import CALL_MS
from shadowserve.lane.observing import Observer, Typed
from shadowserve.records import Observation, Request
from shadowserve.wire.likeness import alike
from shadowserve.wire.protocols import Protocol

EVERY = 80
BATCH = 8
PROVE_EVERY = 5
EVERY_SHARED = 400
"""Of requests that shared a call, one in so many is scored alone: where many share, few are scored alone."""
MAX_MS = 50.0
DOUBTED_SHARE = 0.1
DOUBTED_SHARE_BEHIND = 0.02
MOST_IN_A_ROW = 16
SCORE_MOVED = 1e-4
"""A probability that moved by less did so by the sums of single precision, in another order."""


class Rescorer:
    """Scores a share of what the lane scored again.

    Parameters
    ----------
    observer : Observer
        The lane's own; its times of second scorings are dropped.
    protocols : mapping of name to Protocol
        How each answer is read.
    ignore : collection of str
        Fields of the answer that may differ.
    comparer : Comparer, optional
        The lane's own; without it nothing is doubted.
    hold : callable
        Marks positions as in hand, before each call.

    Attributes
    ----------
    elsewhere : callable
        Given a request and who scored it, scores it in another process; None where there is none.
    steady : callable or None
        Is told each request that was scored twice, alike, with the answer.
    during : callable
        Gives the context within which requests are scored a second time, so that its length is known.
    """

    def __init__(
        self,
        observer: Observer,
        protocols: dict[str, Protocol],
        *,
        ignore: Collection[str] = (),
        comparer: Comparer | None = None,
        hold: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> None:
        self._hold = hold
        self._observer = observer
        self._protocols = protocols
        self._ignore = frozenset(ignore)
        self._recent: deque[tuple[Typed, Observation]] = deque(maxlen=BATCH)
        self._n = self._n_shared = 0
        self.elsewhere: Callable[[Typed, int], Observation | None] = lambda _typed, _by: None
        self._comparer = comparer
        self._doubts_left = 1.0
        self.steady: Callable[[Request, bytes], None] | None = None
        self.during: Callable[[], AbstractContextManager[None]] = nullcontext

    def offer(self, typed: Typed, first: Observation, noise: Noise, *, by: int = 0) -> None:
        """Remember a scored request; now and then, score the last ones again.

        Parameters
        ----------
        by : int
            Number of the scorer that scored it, 0 for the lane's own process.
        """
        if first.answer is None or first.times is None:
            return
        took_ms, shared = (first.times.total_ns - first.times.phases_ns[0]) / 1e6, False
        if first.times.batch_requests > 1:
            shared, self._n_shared = True, self._n_shared + 1
            if self._n_shared % EVERY_SHARED == 0 and took_ms <= CALL_MS:
                with self.during():
                    self._beside(typed, first, noise, by=by)
        if took_ms > MAX_MS:
            return  # a slow request, or batch, is not made slower: its deadline runs
        if shared:
            self._doubt(typed, first.answer, noise, alone=False, by=by)
            return
        self._recent.append((typed, first))
        self._n += 1
        if self._n % EVERY == 0 and len(self._recent) == BATCH:
            with self.during():
                self._again(noise)
        self._doubt(typed, first.answer, noise, alone=True, by=by)

    def _beside(self, typed: Typed, first: Observation, noise: Noise, *, by: int) -> None:
        """Lay the answer that a request had in its call beside two that it is given alone."""
        alone, again = self._alone(typed, by), self._alone(typed, by)
        noise.add(
            again=self._differing([typed], [alone], [again]),
            together=self._differing([typed], [alone], [first]),
            positions=[typed.request.position],
        )

    def _doubt(self, typed: Typed, first: bytes, noise: Noise, *, alone: bool, by: int = 0) -> None:
        """Score again where the version differs from the champion, to see whether it still does.

        Not within bursts, whose times are paired with the control's. An answer from a batch may also
        differ from the second one because of its neighbours, so it says nothing of wandering.
        """
        request, rows = typed.request, typed.rows
        share = DOUBTED_SHARE if alone else DOUBTED_SHARE_BEHIND
        self._doubts_left = min(self._doubts_left + share, MOST_IN_A_ROW)
        if self._doubts_left < 1 or self._comparer is None or rows is None:
            return
        if request.status != 200 or request.answer == first or burst_of(request.position):
            return
        apart = self._comparer.apart(request, request.answer, first)
        if not apart.any():
            return
        self._doubts_left -= 1
        with self.during():
            second = self._alone(typed, by).answer
        if second is None:
            return  # that it fails now and then is told as that
        wandered = self._comparer.apart(request, first, second)
        if wandered.shape != apart.shape:
            wandered = np.full(apart.shape, wandered.max(initial=0.0))
        # A difference persists where it exceeds what the version differs from itself.
        persisting = np.where(apart > 0, wandered < apart, np.nan)
        differs = self.differ(typed.request, first, second) if alone else None
        noise.doubt(Doubt(request.position, rows, persisting), differs=differs)

    def _again(self, noise: Noise) -> None:
        batch = [typed for typed, _ in self._recent]
        firsts = [first for _, first in self._recent]
        again = self._differing(batch, firsts, [self._alone(typed) for typed in batch])
        for typed, first, differs in zip(batch, firsts, again.answers, strict=True):
            if self.steady is not None and first.answer is not None and not differs:
                self.steady(typed.request, first.answer)
        together = None
        if self._may_batch(batch):
            self._hold([typed.request.position for typed in batch])
            together = self._differing(batch, firsts, self._observer.together(batch))
        if self._n % (PROVE_EVERY * EVERY) == 0:
            noise.proved(self._observer.prove(batch[-1]))
        noise.add(
            again=again, together=together, positions=[typed.request.position for typed in batch]
        )

    def _alone(self, typed: Typed, by: int = 0) -> Observation:
        seen = self.elsewhere(typed, by)
        if seen is not None:
            return seen
        self._hold([typed.request.position])
        return self._observer.alone(typed)

    def _may_batch(self, batch: Sequence[Typed]) -> bool:
        """Whether these could be laid end to end, be the version batched now or not."""
        params = [typed.rows.params for typed in batch if typed.rows is not None]
        return self._observer.scorer.sharing.able and all(own == params[0] for own in params)

    def _differing(
        self, batch: Sequence[Typed], firsts: Sequence[Observation], seconds: Sequence[Observation]
    ) -> Differing:
        both = list(zip(firsts, seconds, strict=True))
        return Differing(
            answers=[
                _both_answer(first, second)
                and self.differ(typed.request, first.answer or b"", second.answer)
                for typed, (first, second) in zip(batch, both, strict=True)
            ],
            scores=[
                not np.allclose(first.scores, second.scores, rtol=0, atol=SCORE_MOVED)
                for first, second in both
                if first.scores is not None and second.scores is not None
            ],
        )

    def differ(self, request: Request, first: bytes, second: bytes | None) -> bool:
        """Whether two answers to a request are not alike, fields that may differ aside."""
        if first == second:
            return False
        if second is None:
            return True
        read = self._protocols[request.protocol].read
        one, two = (without(read(answer), self._ignore) for answer in (first, second))
        return not alike(one, two)


def _both_answer(first: Observation, second: Observation) -> bool:
    """Whether two scorings can be compared: one that fails, or is null, wanders no more than it fails."""
    answered = first.answer is not None and second.answer is not None
    return answered and bool(first.nonfinite) == bool(second.nonfinite)
