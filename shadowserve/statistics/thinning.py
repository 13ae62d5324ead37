"""Which share of the traffic a lane scores while it is far behind, if the team lets it thin.

The traffic is cut into blocks, as for measuring. A block's share is fixed when its first request is read, from
how far behind the lane was by then, and is kept with the cursor: no request's cost or answer decides whether
it is scored, and a lane that is killed goes on with the same shares. Within a block a hash decides, of the
entity where one is named, else of the position. What is scored at a small share is scored at every larger
one, so that lanes which thin differently still meet the same requests.

Each request counts by the inverse of its share (D. G. Horvitz & D. J. Thompson 1952, "A generalization of
sampling without replacement from a finite universe", section 3). A share depends on the past alone, so sums
weighted like this are unbiased also where what makes a lane slow, and so thins it, is what it disagrees on.
"""

from __future__ import annotations

from typing import ClassVar

from shadowserve.statistics.stored import Part, Stored, numbered, plain

SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Of the requests; the last is the least, so that no weight is above 16."""

BEHIND_S = 60.0
"""A lane is thinned only when the oldest request that it has not read is so old."""

CAUGHT_UP_S = 5.0
LOOK_NS = 20 * 10**9
CATCH_UP_S = 1_800.0
"""A lane that would take longer than this to catch up, at the pace of the last look, scores less."""

CALM = 3
"""Looks in a row that find a lane caught up before it scores more again."""

MOST_CALM = 96
SOON = 45
"""A lane that falls behind within so many looks after it scored more waits twice as long the next time."""

MOST_STEPS = 1_000
"""Changes of share that are remembered of each worker; what is older was read by every lane long ago."""

Block = tuple[int, int]


class Thinning(Stored):
    """The shares of one lane, by block.

    Attributes
    ----------
    level : int
        Place in `SHARES` of what the next block gets.
    since_ns : int
        When that was decided, since the epoch; 0 before it ever was.

    Examples
    --------
    >>> thinning = Thinning()
    >>> thinning.share((0, 0))
    1.0
    >>> for seconds in (20, 40, 60):
    ...     _ = thinning.look(100.0 + seconds, now_ns=seconds * 10**9)
    >>> thinning.share((0, 0)), thinning.share((0, 1))
    (1.0, 0.25)
    """

    parts: ClassVar = {
        "steps": numbered(
            Part(lambda held: [list(one) for one in held], lambda told: list(map(tuple, told)))
        ).at("_steps"),
        "last": numbered(plain).at("_last"),
        "level": plain,
        "since_ns": plain,
        "looked_ns": plain.at("_looked_ns"),
        "lag_s": plain.at("_lag_s"),
        "calm": plain.at("_calm"),
        "needed": plain.at("_needed"),
        "looks": plain.at("_looks"),
    }

    def __init__(self) -> None:
        self.level = 0
        self.since_ns = 0
        self._steps: dict[int, list[tuple[int, float]]] = {}
        self._last: dict[int, int] = {}
        self._looked_ns = 0
        self._lag_s = 0.0
        self._calm = 0
        self._needed = CALM
        self._looks = MOST_CALM

    @property
    def now(self) -> float:
        """The share that the next block gets."""
        return SHARES[self.level]

    @property
    def ever(self) -> bool:
        """Whether any block was thinned."""
        return any(share < 1 for steps in self._steps.values() for _, share in steps)

    def share(self, block: Block, *, given: float | None = None) -> float:
        """Return the share of a block; fixed when it is first asked for.

        Parameters
        ----------
        block : (worker, number)
        given : float, optional
            What another lane has decided; by default this lane's own share of now.
        """
        worker, number = block
        if number > self._last.get(worker, -1):
            self._last[worker] = number
            share = self.now if given is None else given
            steps = self._steps.setdefault(worker, [])
            if (steps[-1][1] if steps else 1.0) != share:
                steps.append((number, share))
                del steps[:-MOST_STEPS]
        return self.told(block) or 1.0

    def told(self, block: Block) -> float | None:
        """Return the share that was fixed for a block; None for one that has not been asked for."""
        worker, number = block
        if number > self._last.get(worker, -1):
            return None
        steps = self._steps.get(worker, [])
        return next((share for first, share in reversed(steps) if first <= number), 1.0)

    def end(self, *, now_ns: int) -> bool:
        """Let later blocks be scored whole again at once; tell whether that is a change."""
        was, self.level = self.level, 0
        if was:
            self.since_ns = now_ns
        return bool(was)

    def rest(self) -> None:
        """Judge no pace over the time until the next look: the lane stands still on purpose."""
        self._looked_ns = 0

    def look(self, lag_s: float, *, now_ns: int) -> bool:
        """Decide, now and then, whether later blocks are thinned more or less; tell whether that changed.

        Parameters
        ----------
        lag_s : float
            Age of the oldest request that has not been read, 0 if there is none.
        now_ns : int
            Since the epoch; where the clock was set back, the next look is at once.
        """
        passed_ns = now_ns - self._looked_ns
        if 0 <= passed_ns < LOOK_NS:
            return False
        first = not self._looked_ns or passed_ns < 0
        gained_s, before = (0.0 if first else self._lag_s - lag_s), self.level
        self._looked_ns, self._lag_s = now_ns, lag_s
        self._looks += 1
        self._calm = self._calm + 1 if lag_s <= CAUGHT_UP_S else 0
        pace = gained_s / (passed_ns / 1e9)
        if not first and lag_s > BEHIND_S and pace * CATCH_UP_S < lag_s:
            if self._looks <= SOON:  # it had just scored more, and could not bear it
                self._needed = min(MOST_CALM, 2 * self._needed)
            self.level = min(len(SHARES) - 1, self.level + 1)
            self._looks = MOST_CALM
        elif self._calm >= self._needed and self.level:
            self.level -= 1
            self._calm = self._looks = 0
        if self.level == before:
            return False
        self.since_ns = now_ns
        return True
