"""Scoring a small share again, alone and in a batch, to see whether a version agrees with itself.

Divergence means nothing below a version's own noise. Of every eighty requests the last eight are
scored a second time, each by itself and then in one batch; answers that differ from the first are
noise, or depend on their neighbours. Every fifth time the timed walk is compared with the model's own
path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from shadowserve.divergence import without
from shadowserve.lane.failures import Noise
from shadowserve.lane.observing import Observer, Typed
from shadowserve.protocols import Protocol
from shadowserve.records import Observation
from shadowserve.scoring import alike

EVERY = 80
BATCH = 8
PROVE_EVERY = 5
MAX_MS = 50.0


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
    """

    def __init__(
        self, observer: Observer, protocols: dict[str, Protocol], *, ignore: Collection[str] = ()
    ) -> None:
        self._observer = observer
        self._protocols = protocols
        self._ignore = frozenset(ignore)
        self._recent: deque[tuple[Typed, bytes]] = deque(maxlen=BATCH)
        self._n = 0

    def offer(self, typed: Typed, first: Observation, noise: Noise) -> None:
        """Remember a scored request; now and then, score the last ones again."""
        if first.answer is None or first.times is None or first.times.batch_requests > 1:
            return
        if first.times.total_ns - first.times.phases_ns[0] > MAX_MS * 1e6:
            return  # a slow request is not made slower
        self._recent.append((typed, first.answer))
        self._n += 1
        if self._n % EVERY == 0 and len(self._recent) == BATCH:
            self._again(noise)

    def _again(self, noise: Noise) -> None:
        batch = [typed for typed, _ in self._recent]
        firsts = [answer for _, answer in self._recent]
        again = self._differing(batch, firsts, [self._observer.alone(typed) for typed in batch])
        together = None
        if self._may_batch(batch):
            together = self._differing(batch, firsts, self._observer.together(batch))
        if self._n % (PROVE_EVERY * EVERY) == 0:
            noise.proved(self._observer.prove(batch[-1]))
        noise.add(
            again=again, together=together, positions=[typed.request.position for typed in batch]
        )

    def _may_batch(self, batch: Sequence[Typed]) -> bool:
        """Whether these would ever share a call: a version served unbatched is not tried on it."""
        params = [typed.rows.params for typed in batch if typed.rows is not None]
        return self._observer.scorer.batched and all(own == params[0] for own in params)

    def _differing(
        self, batch: Sequence[Typed], firsts: Sequence[bytes], seconds: Sequence[Observation]
    ) -> list[bool]:
        return [
            self._differ(typed, first, second.answer)
            for typed, first, second in zip(batch, firsts, seconds, strict=True)
        ]

    def _differ(self, typed: Typed, first: bytes, second: bytes | None) -> bool:
        if first == second:
            return False
        if second is None:
            return True
        read = self._protocols[typed.request.protocol].read
        one, two = (without(read(answer), self._ignore) for answer in (first, second))
        return not alike(one, two)
