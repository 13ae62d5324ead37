"""Paired latency ratio: whether the challenger is slower than the control on the same requests.

Timings are noisier than values, come in moods that last for many requests, and two processes of one
version differ by up to 2 % for ever. So the ratio is taken per request, its median per burst, and a
claim needs a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shadowserve.sequential import QuantileSequence

BURST = 4
"""Pairs to a median: a quarter of what the control times of one burst."""

WARM_UP = 16
"""What it times of one burst: with the lane's own warm-up, the first 220 requests count nothing."""


_LAGS = np.arange(1, 201)


@dataclass(frozen=True, slots=True)
class RatioInterval:
    """Median paired ratio, challenger / control: above 1 the challenger is slower.

    Parameters
    ----------
    ratio, low, high : float
        Estimate and interval, the interval valid at every look; NaN, 0 and inf where there is not
        enough to say.
    n : int
        Pairs that count.
    warm_up : int
        Pairs left out at the start.
    """

    ratio: float
    low: float
    high: float
    n: int
    warm_up: int


class PairedRatio:
    """Watches the ratio of two latencies of the same requests, at every look.

    Parameters
    ----------
    burst : int
        Consecutive pairs whose median is one observation. Noise that lasts shorter cancels.
    warm_up : int
        First pairs to leave out: a cold cache is no slow model.

    Notes
    -----
    The median of burst medians is judged by a `QuantileSequence`; S. Howard, A. Ramdas (2022). That
    assumes nothing about the shape of the noise, but independent bursts. Moods that outlast a burst
    are allowed for by their design effect. With r the correlation of neighbouring bursts, corrected for
    its bias (M. Kendall 1954, "Note on bias in the estimation of autocorrelation", Biometrika 41), and
    r^k that of bursts k apart, on which side of the median they lie is correlated by 2/pi arcsin(r^k)
    (W. Sheppard 1899, for normal levels). This part is calibrated by simulation.

    Examples
    --------
    >>> import numpy as np
    >>> control_ms = np.random.default_rng(0).lognormal(1.0, 0.5, 2_000)
    >>> pairs = PairedRatio()
    >>> pairs.add(control_ms, 1.3 * control_ms)
    >>> pairs.is_slower(margin=0.10, alpha=0.05), pairs.is_slower(margin=0.40, alpha=0.05)
    (True, False)
    """

    def __init__(self, *, burst: int = BURST, warm_up: int = WARM_UP) -> None:
        self.burst = burst
        self.warm_up = warm_up
        self.n = 0
        self._open = np.zeros(0)
        self._neighbours = np.zeros(6)  # bursts, sum, squares, products of neighbours, first, last
        self._medians = QuantileSequence(0.5, low=1e-2, high=1e2, relative=0.0025)

    def add(self, control_ms: ArrayLike, challenger_ms: ArrayLike) -> None:
        """Take in pairs in the order of the requests, two arrays of shape (n_pairs,).

        Pairs with NaN or a time of 0 or less are left out. A timeout counts as its deadline.
        """
        control = np.atleast_1d(np.asarray(control_ms, dtype=np.float64))
        challenger = np.atleast_1d(np.asarray(challenger_ms, dtype=np.float64))
        timed = (control > 0) & (challenger > 0)
        ratios: NDArray[np.float64] = challenger[timed] / control[timed]
        cold = min(ratios.size, max(0, self.warm_up - self.n))
        self.n += ratios.size
        ratios = np.concatenate([self._open, ratios[cold:]])
        whole = ratios.size // self.burst * self.burst
        medians = np.median(ratios[:whole].reshape(-1, self.burst), axis=1)
        self._open = ratios[whole:]
        self._medians.add(medians)
        for level in np.log(medians).tolist():
            count, total, squares, products, first, last = self._neighbours.tolist()
            products += last * level if count else 0.0
            first = first if count else level
            self._neighbours[:] = (
                count + 1, total + level, squares + level**2, products, first, level,
            )  # fmt: skip

    @property
    def effect(self) -> float:
        """How many bursts carry the information of one, at least 1."""
        count, total, squares, products, first, last = self._neighbours.tolist()
        if count < 3:
            return 1.0
        mean = total / count
        variance = squares / count - mean**2
        if variance <= 1e-12:
            return 1.0
        together = products - mean * (2 * total - first - last) + (count - 1) * mean**2
        raw = together / (count - 1) / variance
        correlation = min(max(raw + (1 + 4 * raw) / count, 0.0), 0.95)
        return float(1 + 2 * np.arcsin(correlation**_LAGS).sum() * 2 / np.pi)

    def interval(self, alpha: float) -> RatioInterval:
        """Median ratio with the interval that holds it at every look with 1 - alpha."""
        low, high = self._medians.interval(alpha, effect=self.effect)
        counted = max(0, self.n - self.warm_up)
        return RatioInterval(self._medians.estimate, low, high, counted, self.n - counted)

    def is_slower(self, *, margin: float = 0.10, alpha: float) -> bool:
        """Whether the challenger is proven slower by more than `margin`, at any look."""
        return self._medians.is_above(1 + margin, alpha=alpha, effect=self.effect)

    def is_not_slower(self, *, margin: float = 0.10, alpha: float) -> bool:
        """Whether the challenger is proven slower by less than `margin`, if at all."""
        return self._medians.is_below(1 + margin, alpha=alpha, effect=self.effect)

    def needed(self, *, margin: float = 0.10, alpha: float) -> int | None:
        """How many more pairs decide whether it is slower by `margin`, if they look like those so far.

        Returns
        -------
        int or None
            None where there is nothing to go by, or where a thousand times as many would not do.
        """
        bursts = self._medians.needed(1 + margin, alpha=alpha, effect=self.effect)
        if self._medians.n == 0:
            return None
        return None if bursts is None else bursts * self.burst

    def state(self) -> dict[str, Any]:
        """Everything as JSON-able values; `from_state` gives the same sequence back."""
        return {
            "burst": self.burst,
            "warm_up": self.warm_up,
            "n": self.n,
            "open": self._open.tolist(),
            "neighbours": self._neighbours.tolist(),
            "medians": self._medians.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PairedRatio:
        """Rebuild what `state` wrote."""
        pairs = cls(burst=state["burst"], warm_up=state["warm_up"])
        pairs.n = state["n"]
        pairs._open = np.asarray(state["open"], dtype=np.float64)
        pairs._neighbours = np.asarray(state["neighbours"], dtype=np.float64)
        pairs._medians = QuantileSequence.from_state(state["medians"])
        return pairs


def paired_ratio(control_ms: ArrayLike, challenger_ms: ArrayLike, *, alpha: float) -> RatioInterval:
    """Ratio of two arrays of latencies of the same requests; see `PairedRatio`."""
    pairs = PairedRatio()
    pairs.add(control_ms, challenger_ms)
    return pairs.interval(alpha)
