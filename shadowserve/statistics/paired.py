"""Paired timings: a test, from bursts of pairs, of whether the challenger is slower than the control.

Timings are noisier than values and come in moods that last for thousands of requests. So the two take
turns on one core, request by request, within a burst: what slows the place then slows both. One burst is
one observation, the median logarithm of what callers wait with the challenger over what they wait with
the control. It is judged at few looks, each over eight stretches of time, which must agree.

Callers wait for the whole answer, so both times count with the server's own beside them. A
challenger may add a tenth to what callers wait, and never less than `FLOOR_MS`. So a model of a
tenth of a millisecond is not rejected for being twice as slow as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, isnan, log, nan, sqrt
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from shadowserve.statistics.epochs import (
    GROWTH,
    STRETCHES,
    Epoch,
    FloatArray,
    deviation,
    epochs,
    look,
    spent,
)
from shadowserve.statistics.stored import Part, Stored, each, listed, plain, tupled

FLOOR_MS = 1.0
"""A version that takes so much longer, in ms, is never too slow for it: no caller notices it."""

LEAST_PAIRS = 8
"""Pairs from which a burst counts; one has `BURST_LENGTH` less `BURST_WARMUP` of them."""

MOST_BURSTS = 512
"""Neighbours are joined by twos beyond so many.

A look needs eight stretches of time. Of 256 rows and more, each of them still holds 32.
"""

LIVES_APART = 0.03
"""Two processes of one version differ by 2 % each, as long as they live."""

_NEEDED_MOST = 1_000
"""Times the bursts so far, beyond which it is not told how many more are needed: nobody waits so long."""


@dataclass(frozen=True, slots=True)
class WaitRatio:
    """What callers wait with the challenger over what they wait with the control.

    Parameters
    ----------
    ratio, low, high : float
        Estimate and bounds as they are judged, the allowance for two processes included. NaN, 0 and
        inf before the first look.
    n_bursts : int
        Bursts that the latest look counted.
    work : float
        The same estimate of the two times by themselves.
    """

    ratio: float
    low: float
    high: float
    n_bursts: int
    work: float = nan


def _none_for_nan(value: float) -> float | None:
    return None if isnan(value) else value


def _nan_for_none(value: float | None) -> float:
    return nan if value is None else value


def _six_columns(rows: Sequence[Sequence[float]]) -> FloatArray:
    return np.asarray(rows, dtype=np.float64).reshape(-1, 6)


class PairedBursts(Stored):
    """Bursts of pairs of one challenger and the control, in bounded memory.

    The first burst judges nothing. It measures the control's time and the server's own part, and
    fixes for good what is added to both times (`beside_ms`).

    Parameters
    ----------
    margin : float
        Share of the callers' wait by which the challenger may be slower.

    Examples
    --------
    >>> import numpy as np
    >>> rng, pairs = np.random.default_rng(0), PairedBursts(margin=0.1)
    >>> for burst in range(40):
    ...     times = 20 * rng.lognormal(0, 0.1, (2, 16))
    ...     pairs.add(burst, times[0], 1.5 * times[1], server_ms=np.full(16, 0.3))
    >>> pairs.is_slower(alpha=0.001), pairs.is_not_slower(alpha=0.05)
    (True, False)
    """

    parts: ClassVar = {
        "margin": plain,
        "beside_ms": plain,
        "control_ms": Part(_none_for_nan, _nan_for_none),
        "n_bursts": plain,
        "n_pairs": plain,
        "lives": listed,
        "bursts": Part(np.ndarray.tolist, _six_columns).at("_bursts"),
        "most": each(tupled).at("_most"),
        "epochs": each(Part(Epoch.to_row, Epoch.of_row)),
    }
    given = ("margin",)

    def __init__(self, *, margin: float = 0.10) -> None:
        self.margin = margin
        self.beside_ms: float | None = None
        self.control_ms = nan
        self.n_bursts = 0
        self.n_pairs = 0
        self.lives: list[int] = []
        self._bursts = np.zeros((0, 6))
        self._most: list[tuple[float, float]] = []
        self.epochs: list[Epoch] = []

    def add(
        self,
        arrived_ns: float,
        control_ms: ArrayLike,
        challenger_ms: ArrayLike,
        *,
        server_ms: ArrayLike = (),
        life: int = 0,
    ) -> None:
        """Take in one burst.

        Parameters
        ----------
        arrived_ns : float
            When its first request came, by any clock that all bursts share.
        control_ms, challenger_ms : array-like of shape (n_pairs,)
            Times of the same requests. Pairs with NaN, or a time of 0 or less, are left out.
        server_ms : array-like
            What the server took besides the model for some requests.
        life : int
            Tells the pair of processes from those before and after.
        """
        control, challenger = (
            np.atleast_1d(np.asarray(ms, dtype=np.float64)) for ms in (control_ms, challenger_ms)
        )
        timed = (control > 0) & (challenger > 0)
        control, challenger = control[timed], challenger[timed]
        if control.size < LEAST_PAIRS:
            return
        if self.beside_ms is None:
            # A burst that set the yardstick cannot be measured by it.
            self._calibrate(control, np.asarray(server_ms, dtype=np.float64))
            return
        # Bounded, though a lane that restarts for ever has no end of lives.
        if life not in self.lives and len(self.lives) < MOST_BURSTS:
            self.lives.append(life)
        self.n_bursts += 1
        self.n_pairs += control.size
        beside = self.beside_ms
        # A median, since one pause of the machine within a burst would carry the mean.
        level = float(np.median(np.log((challenger + beside) / (control + beside))))
        work = float(np.median(np.log(challenger / control)))
        sums = (float(control.sum()), float(challenger.sum()))
        row = (float(arrived_ns), 1.0, level, *sums, work)
        self._bursts = np.vstack([self._bursts, row])
        pairs = [*self._most, *zip(control.tolist(), challenger.tolist(), strict=True)]
        self._most = sorted(pairs, key=max)[-2:]
        # Each look spends some of alpha, so they come at fixed counts, not whenever a report is read.
        if len(self.epochs) < len(due := epochs(self.n_bursts)):
            self.epochs.append(look(len(due), self._bursts, self._most))
        if len(self._bursts) > MOST_BURSTS:
            self._bursts = joined(self._bursts)

    def _calibrate(self, control_ms: FloatArray, server_ms: FloatArray) -> None:
        self.control_ms = float(np.median(control_ms))
        own = float(np.median(server_ms)) if server_ms.size else 0.0
        # So that a margin of the whole wait is never less than `FLOOR_MS`.
        self.beside_ms = max(own, FLOOR_MS / self.margin - self.control_ms, 0.0)

    @property
    def allowance(self) -> float:
        """By how much two processes of one version may differ, as the logarithm of a ratio."""
        if self.beside_ms is None:
            return LIVES_APART
        # Processes differ in the model's part of the wait; the server's is one and the same.
        return LIVES_APART * self.control_ms / (self.control_ms + self.beside_ms)

    def interval(self, alpha: float, *, alpha_low: float | None = None) -> WaitRatio:
        """Return the ratio of waits with bounds that only ever come closer while they agree.

        Parameters
        ----------
        alpha : float
            Probability that the upper bound is ever wrong.
        alpha_low : float, optional
            The same of the lower bound; by default as much.
        """
        low, high = -inf, inf
        for epoch in self.epochs:
            lower = epoch.above(alpha_low or alpha) - self.allowance
            upper = epoch.below(alpha) + self.allowance
            if not low <= epoch.level <= high:  # it is not what it was: begin anew
                low, high = lower, upper
            # Alpha covers all looks at once, so the bounds of all looks hold together.
            low, high = max(low, lower), min(high, upper)
        if not self.epochs:
            return WaitRatio(nan, 0.0, inf, 0)
        last = self.epochs[-1]
        work = exp(float(np.mean(last.works)))
        return WaitRatio(exp(last.level), exp(low), exp(high), last.n_bursts, work)

    def is_slower(self, *, alpha: float, margin: float | None = None) -> bool:
        """Whether it is proven, at any look, that callers wait longer by more than `margin`."""
        return self.interval(alpha).low > 1 + (self.margin if margin is None else margin)

    def is_not_slower(self, *, alpha: float) -> bool:
        """Whether it is proven, at any look, that callers wait longer by less than the margin."""
        return self.interval(alpha).high < 1 + self.margin

    def needed(self, *, alpha: float, alpha_low: float) -> int | None:
        """How many more bursts decide, if they look like those so far.

        Returns
        -------
        int or None
            None before the first look, or where a thousand times as many would not do.
        """
        if not self.epochs:
            return epochs(STRETCHES)[0] - self.n_bursts
        last, limit = self.epochs[-1], log(1 + self.margin)
        slower = last.level > limit
        room = abs(last.level - limit) - self.allowance
        error, n_bursts, number = deviation(last.levels), last.n_bursts, last.number
        while n_bursts < _NEEDED_MOST * last.n_bursts:
            number, n_bursts = number + 1, ceil(n_bursts * GROWTH)
            share = spent(alpha_low if slower else alpha, number)
            half = float(student.ppf(1 - share, STRETCHES - 1))
            # The standard error falls with the root of the bursts.
            if half * error * sqrt(last.n_bursts / n_bursts) < room:
                return max(1, n_bursts - self.n_bursts)
        return None

    def takes_more(self, *, share: float) -> float | None:
        """Return how many times the control's time it takes in sum, where that is by `share` more.

        None where it is not. At the latest look the sums, without the two pairs that took longest,
        must differ by so much. In each of eight stretches the challenger's sum must be the larger.
        """
        if not self.epochs:
            return None
        last = self.epochs[-1]
        control, challenger = (
            # One request that takes seconds is a finding of its own and must not decide a sum.
            sum(side) - sum(pair[at] for pair in last.most)
            for at, side in enumerate((last.control_ms, last.challenger_ms))
        )
        always = all(b > a for a, b in zip(last.control_ms, last.challenger_ms, strict=True))
        if control <= 0 or not always or challenger < (1 + share) * control:
            return None
        return challenger / control


def joined(bursts: FloatArray) -> FloatArray:
    """Join neighbours in time by twos: their observations' mean, their sums' sum.

    Examples
    --------
    >>> joined(np.array([[1.0, 1, 0.0, 5, 6, 0.0], [2.0, 1, 0.5, 1, 2, 1.0]])).tolist()
    [[1.0, 2.0, 0.25, 6.0, 8.0, 0.5]]
    """
    rows = bursts[np.argsort(bursts[:, 0], kind="stable")]
    odd = len(rows) % 2
    first, second = rows[odd::2], rows[odd + 1 :: 2]
    weight = first[:, 1] + second[:, 1]
    means = [(first[:, 1] * first[:, at] + second[:, 1] * second[:, at]) / weight for at in (2, 5)]
    sums = first[:, 3:5] + second[:, 3:5]
    both = np.column_stack([first[:, 0], weight, means[0], sums, means[1]])
    return np.vstack([rows[:odd], both])


def slower(levels: ArrayLike, *, limit: float, alpha: float) -> bool:
    """Whether observations in the order of time, one a burst, are proven above a limit at any look."""
    seen = np.asarray(levels, dtype=np.float64)
    order = np.zeros((seen.size, 6))
    order[:, 0], order[:, 1], order[:, 2] = np.arange(seen.size), 1.0, seen
    looks = [look(number, order[:n]) for number, n in enumerate(epochs(seen.size), 1)]
    return any(one.above(alpha) > limit for one in looks)
