"""The change point of a stream of disagreement: right until request 1,200, then wrong.

A feature feed goes stale, a table is swapped, a cache fills up. The mean over all requests hides
it; the moment it began explains it. `ChangeDetector` watches one stream per lane for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shadowserve.statistics.sequential import two_rates
from shadowserve.statistics.sequential.evidence import FloatArray
from shadowserve.statistics.stored import Stored, array, each, listed, maybe, plain, record, tupled

BLOCK = 16
"""Rows between two candidate beginnings. The row itself is sought among the recent ones at the end."""

CHECK_EVERY = 128
"""Rows between two looks. Each look weighs all candidates; fewer looks find a change later."""

PER_LEVEL = 64
"""Blocks of one length; beyond it the two oldest are joined.

More would place an old beginning more exactly, and make each look dearer.
"""

RECENT = 1_024
"""Rows kept one by one, as many as the youngest level covers: there a beginning is dated to the row."""

_FEWEST_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the mean.

    Parameters
    ----------
    position : int
        Position of the first row after the change, as given to `ChangeDetector.add`.
    row : int
        The same as a count of rows, from 0.
    before, after : float
        Mean before the change, and from it until now.
    evidence : float
        Log evidence when it was found; ``log(1 / alpha)`` was needed.
    resolution : int
        The true beginning was sought among rows this far apart; 1 for a change found soon.
    """

    position: int
    row: int
    before: float
    after: float
    evidence: float
    resolution: int


class ChangeDetector(Stored):
    """Watches a stream of values in [0, 1] for one lasting change of its mean, up or down.

    Parameters
    ----------
    alpha : float
        Probability of ever crying wolf on a stream of constant mean, however long it runs.
    lasting : int
        Rows before and after a change that it takes to call it one. A burst that is shorter is none.

    Notes
    -----
    For every candidate beginning there is an e-process: the mixture likelihood before and after,
    against the best common rate (`two_rates`). Their weighted sum is compared with 1 / alpha. It is
    a Shiryaev-Roberts sum (J. Shin, A. Ramdas, A. Rinaldo 2024, "E-detectors: a nonparametric
    framework for sequential change detection", NEJSDS 2(2)). Its weights add up to one, which
    bounds the probability of a false alarm instead of their rate. Candidates lie 16 rows apart
    among recent rows and double with age, so memory grows with the logarithm of the stream.

    The bound holds for rows that are independent given the past mean. Real traffic comes in bursts.
    So counts are divided by the design effect, the variance of block means over that of independent
    rows, measured on both sides of the candidate. That part is calibrated by simulation (``python
    -m benchmarks.calibration``), not proven.

    Examples
    --------
    >>> import numpy as np
    >>> detector = ChangeDetector()
    >>> detector.add(np.repeat([0.0, 1.0], [1200, 800]), np.arange(5000, 7000))
    >>> detector.change().position
    6200
    """

    parts: ClassVar = {
        "alpha": plain,
        "lasting": plain,
        "n": plain,
        "total": plain,
        "levels": each(each(listed)).at("_levels"),
        "recent": array(np.float64).at("_recent"),
        "positions": array(np.int64).at("_positions"),
        "found": maybe(record(Change)).at("_found"),
        "until": tupled.at("_until"),
        "whole": plain.at("_is_whole").young,
    }
    given = ("alpha", "lasting")

    def __init__(self, alpha: float = 0.01, *, lasting: int = 256) -> None:
        self.alpha = alpha
        self.lasting = lasting
        self.n = 0
        self.total = 0.0
        self._levels: list[list[list[float]]] = []  # blocks [n, total, first position]
        self._recent = np.zeros(0)
        self._positions = np.zeros(0, dtype=np.int64)
        self._found: Change | None = None
        self._until = (0, 0.0)  # rows and their sum before the change
        self._is_whole = True

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Self:
        """Read what `state` wrote."""
        it = super().from_state(state)
        if it._found is not None and "whole" not in (state or {}):
            # An earlier release kept no rows beyond what it found.
            it._recent, it._positions = np.zeros(0), np.zeros(0, dtype=np.int64)
        return it

    def add(self, values: ArrayLike, positions: ArrayLike) -> None:
        """Take in rows in the order of the stream.

        Parameters
        ----------
        values : array-like of shape (n_rows,)
            Disagreement in [0, 1]; rows with NaN are left out.
        positions : array-like of shape (n_rows,), int
            Where each row stands in the journal.
        """
        seen = np.atleast_1d(np.asarray(values, dtype=np.float64))
        known = ~np.isnan(seen)
        rows = np.clip(seen[known], 0.0, 1.0)
        places = np.atleast_1d(np.asarray(positions, dtype=np.int64))[known]
        at = 0
        while at < rows.size:
            # Looks fall on fixed rows of the stream, so that the batches it comes in change nothing.
            upto = at + CHECK_EVERY - self.n % CHECK_EVERY
            self._take(rows[at:upto], places[at:upto])
            at = upto

    def change(self) -> Change | None:
        """Return the change if one was found; its `after` mean goes on with the stream."""
        if self._found is None:
            return None
        rows, total = self._until
        after = (self.total - total) / (self.n - rows)
        return Change(**{**asdict(self._found), "after": after})

    def anew(self) -> ChangeDetector:
        """Return a detector that goes on from what it found, and knows the rows since then.

        They are what a next change is told from, so that one soon after is seen as well. At most the last
        `RECENT` rows are handed on.
        """
        fresh = ChangeDetector(self.alpha, lasting=self.lasting)
        if self._found is not None:
            since = max(0, self._found.row - (self.n - self._recent.size))
            fresh.add(self._recent[since:], self._positions[since:])
        return fresh

    def _take(self, values: FloatArray, positions: NDArray[np.int64]) -> None:
        self.n += values.size
        self.total += float(values.sum())
        self._recent = np.concatenate([self._recent, values])
        self._positions = np.concatenate([self._positions, positions])
        if self.n % CHECK_EVERY:
            return
        if self._found is not None:
            self._recent, self._positions = self._recent[-RECENT:], self._positions[-RECENT:]
            return
        totals = self._recent[-CHECK_EVERY:].reshape(-1, BLOCK).sum(axis=1).tolist()
        starts = self._positions[-CHECK_EVERY::BLOCK].tolist()
        for total, start in zip(totals, starts, strict=True):
            self._push([BLOCK, total, start], level=0)
        self._recent, self._positions = self._recent[-RECENT:], self._positions[-RECENT:]
        self._look()

    def _push(self, block: list[float], *, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        blocks = self._levels[level]
        blocks.append(block)
        if len(blocks) > PER_LEVEL:
            # The two oldest become one of twice their length: candidates grow sparse with age.
            (n, total, start), (more, added, _) = blocks.pop(0), blocks.pop(0)
            self._push([n + more, total + added, start], level=level + 1)

    def _look(self) -> None:
        # A higher level holds older blocks.
        blocks = np.array([block for level in reversed(self._levels) for block in level])
        n, total = blocks[:-1, :2].cumsum(axis=0).T
        needed = log(1 / self.alpha)
        evidence = self._evidence(n, total)
        # A weighted sum passes no bar that its largest member misses: most looks end here.
        if not n.size or evidence.max() < needed:
            return
        split = int(evidence.argmax()) + 1
        # A burst that has only begun may pass; a beginning without a past is no change.
        if not self.lasting <= n[split - 1] <= self.n - self.lasting:
            return
        effect = _design_effect(blocks, split=split)
        combined = np.logaddexp.reduce(self._evidence(n, total, effect=effect) + _log_weight(n))
        if combined >= needed:
            self._settle(blocks, split=split, evidence=float(combined))

    def _evidence(self, n: FloatArray, total: FloatArray, *, effect: float = 1.0) -> FloatArray:
        """Log evidence for a change after the first `n` rows, whose values add up to `total`."""
        younger, rest = self.n - n, self.total - total
        evidence = two_rates(n / effect, total / effect, younger / effect, rest / effect)
        return np.asarray(evidence, dtype=np.float64)

    def _settle(self, blocks: FloatArray, *, split: int, evidence: float) -> None:
        """Fix the beginning: the row, if it is recent, that splits the stream best."""
        rows, total = int(blocks[:split, 0].sum()), float(blocks[:split, 1].sum())
        position, resolution = int(blocks[split, 2]), int(blocks[split - 1, 0])
        first = self.n - self._recent.size
        if rows > first:
            n = first + np.arange(1.0, self._recent.size)
            # What came before each recent row, reckoned from the end: older rows are no longer there.
            sums = self.total - self._recent[::-1].cumsum()[::-1][1:]
            best = int(self._evidence(n, sums).argmax())
            rows, total, resolution = int(n[best]), float(sums[best]), 1
            position = int(self._positions[rows - first])
        self._until = (rows, total)
        after = (self.total - total) / (self.n - rows)
        self._found = Change(position, rows, total / rows, after, evidence, resolution)


def _log_weight(rows: FloatArray) -> FloatArray:
    """Log weights 1 / (i (i + 1)) of the i-th candidate; over all candidates they add up to 1."""
    index = np.maximum(rows / BLOCK, 1)
    return np.asarray(-np.log(index) - np.log(index + 1), dtype=np.float64)


def _design_effect(blocks: FloatArray, *, split: int) -> float:
    """How many rows carry the information of one, at least 1, seen at the worst of several scales.

    Neighbouring blocks are joined by twos, fours and so on: rows that come in bursts show when the
    blocks are longer than the bursts.
    """
    effects = [1.0]
    for joined in (1, 2, 4, 8, 16):
        parts = [_join(part, joined) for part in (blocks[:split, :2], blocks[split:, :2])]
        # A variance of so few means is chance itself.
        if sum(part.shape[0] for part in parts) < _FEWEST_BLOCKS:
            break
        rates = [part[:, 1].sum() / part[:, 0].sum() if part.size else 0.0 for part in parts]
        excess = sum(
            ((p[:, 1] - p[:, 0] * r) ** 2).sum() for p, r in zip(parts, rates, strict=True)
        )
        # The variance of independent draws of 0 and 1.
        expected = sum(p[:, 0].sum() * r * (1 - r) for p, r in zip(parts, rates, strict=True))
        if expected > 0:
            effects.append(float(excess / expected))
    return max(effects)


def _join(blocks: FloatArray, joined: int) -> FloatArray:
    whole = blocks.shape[0] // joined * joined
    joint = blocks[blocks.shape[0] - whole :].reshape(-1, joined, 2).sum(axis=1)
    return np.asarray(joint, dtype=np.float64)
