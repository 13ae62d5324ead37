"""How much of what the champion gains over the constant answer a challenger loses, at every look.

With losses h of the challenger, c of the champion and k of the constant answer, "it loses at most a
share rho of the champion's gain" is ``mean(h - (1 - rho) c - rho k) <= 0``: linear in the three, so no
ratio is estimated, and each rho is a bounded mean that is judged by a bet. At rho = 1 it says that the
challenger is no worse than the constant answer; at rho = 0, than the champion.

Where a champion is nearly always right, a share of its gain is many times its loss. So a second limit
holds, as linear: at most twice the champion's loss, and a tenth of the margin on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, inf, isfinite, isnan, log, nan
from typing import Any, Self

import numpy as np

from shadowserve.labels.losses import OWN, RANK, Wrong
from shadowserve.labels.scale import Scale, scale_of
from shadowserve.labels.shares import SHARES, reach
from shadowserve.labels.terms import Terms
from shadowserve.statistics.sequential import MeanSequence
from shadowserve.statistics.sequential.evidence import KNOTS

TIMES, ON_TOP = 2.0, 0.1
"""How many times the champion's loss a challenger's may be, and the share of the margin on top of it."""

MOST_WANTED = 10_000_000


class Loss:
    """One measure of both versions and of the constant answer on the same requests.

    Parameters
    ----------
    measure : str
        ``error`` (share wrong), ``brier`` (half the squared distance of the probabilities from the
        truth, 0 to 1), ``log_loss`` (nats), ``absolute_error``, ``squared_error``, ``miss`` (share
        of the truth that is not in the list), ``rank_loss`` (1 less one over its rank), ``rank``
        (1 less the AUC, by fresh pairs), ``cost`` (by the policy's matrix), ``own`` (what the team's
        function says). Larger is worse.
    terms : Terms
        How much may be lost, and the cap where one is declared.
    decides : bool
        Whether the verdict rests on it; then how much is lost is known more finely.

    Attributes
    ----------
    n, first : int
        Labels taken in; of them those that only set the cap and judge nothing.
    """

    def __init__(self, measure: str, terms: Terms, *, decides: bool = False) -> None:
        self.measure = measure
        self.allowed = terms.allowed
        self.scale = scale_of(measure, terms)
        self.n = self.first = self.without_constant = 0
        self.totals = np.zeros(3)
        shares = SHARES if decides else (0.0, 1.0)
        self._shares = tuple(sorted({*shares, self.allowed}))
        self._seen: dict[float, MeanSequence] = {}
        self._below = dict.fromkeys(self._shares, -inf)
        self._above = dict.fromkeys(self._shares, -inf)
        self._times: MeanSequence | None = None
        self._times_below = self._times_above = -inf
        self._declare()

    def _declare(self) -> None:
        """Fix the ranges once the cap is known: whatever comes later is clipped there, and counted."""
        cap = self.scale.cap
        if cap is None or self._seen:
            return
        least, low, high = self._least(cap), self._least(cap), cap
        if self.measure == RANK:
            low = high = cap / 2  # the constant's AUC is a half, always
        for share in self._shares:
            champion = sorted(((1 - share) * least, (1 - share) * cap))
            constant = sorted((share * low, share * high))
            # As far as the difference can reach on either side: with less, the proof would not
            # hold.
            most = max(cap - champion[0] - constant[0], champion[1] + constant[1] - least)
            self._seen[share] = MeanSequence(-most, most)
        if self.allowed > 0 and self.measure != OWN:
            self._times = MeanSequence(-TIMES * cap, TIMES * cap)

    def _least(self, cap: float) -> float:
        """Return the least that counts: a team's own function may speak of gains."""
        return -cap if self.measure == OWN else 0.0

    def add(self, seen: Sequence[Wrong]) -> None:
        """Take in losses of requests; those that are not finite are left out."""
        judged = []
        for one in seen:
            if not one.known:
                continue
            self.n += 1
            if isnan(
                one.constant
            ):  # none is known: then the champion's own loss is the measure of it
                self.without_constant += 1
                one = one._replace(constant=2 * one.champion)
            # Of all labels and uncapped: the means show what a cap hides.
            self.totals += one[:3]
            if self.scale.takes(one.scale):
                self.first += 1
            else:
                judged.append(one[:3])
        self._declare()
        if judged and self.scale.cap is not None:
            cap = self.scale.cap
            self._judge(np.clip(np.asarray(judged, dtype=np.float64), self._least(cap), cap))

    def _judge(self, losses: np.ndarray) -> None:
        champion, challenger, constant = losses.T
        for share, seen in self._seen.items():
            seen.add(challenger - (1 - share) * champion - share * constant)
            # The highest e-value so far is as valid as today's, so nothing proven is taken back.
            self._below[share] = max(self._below[share], seen.log_e_below(0.0))
            self._above[share] = max(self._above[share], seen.log_e_above(0.0))
        if self._times is not None:
            on_top = ON_TOP * self.allowed
            self._times.add(challenger - (TIMES - on_top) * champion - on_top * constant)
            self._times_below = max(self._times_below, self._times.log_e_below(0.0))
            self._times_above = max(self._times_above, self._times.log_e_above(0.0))

    @property
    def champion(self) -> float:
        """The champion's mean, uncapped; NaN before the first."""
        return self._mean(0)

    @property
    def challenger(self) -> float:
        """The challenger's mean on the same requests, uncapped; NaN before the first."""
        return self._mean(1)

    @property
    def constant(self) -> float:
        """The constant answer's mean on the same requests, uncapped; NaN before the first."""
        return self._mean(2)

    def _mean(self, which: int) -> float:
        return float(self.totals[which] / self.n) if self.n else nan

    @property
    def judged(self) -> int:
        """Labels that are judged."""
        return self._seen[0.0].n if self._seen else 0

    @property
    def champion_gains(self) -> bool:
        """Whether the champion has beaten the constant answer so far."""
        return self.champion < self.constant

    def interval(self, alpha: float) -> tuple[float | None, float | None]:
        """Range of challenger minus champion, capped, valid at every look; None before it is known."""
        return self._seen[0.0].interval(alpha) if self.judged else (None, None)

    def lost(self, *, alpha: float, broken_alpha: float) -> tuple[float | None, float | None]:
        """Return the shares of the champion's gain that it loses at least, and at most.

        None where either is not proven. What was proven once stays so; the limit itself is one of the
        shares, so that these never contradict `standing`.
        """
        enough, too_much = log(1 / alpha), log(1 / broken_alpha)
        most = reach(self._shares, self.allowed, lambda s: self._below[s] >= enough, down=True)
        least = reach(self._shares, self.allowed, lambda s: self._above[s] >= too_much, down=False)
        return least, most

    def is_useful(self, alpha: float) -> bool:
        """Whether the challenger is proven better than the constant answer."""
        return self._below[1.0] >= log(1 / alpha)

    def is_within_times(self, alpha: float) -> bool:
        """Whether its loss is proven to be at most twice the champion's, where that is asked for."""
        return self._times is None or self._times_below >= log(1 / alpha)

    def is_beyond_times(self, alpha: float) -> bool:
        """Whether its loss is proven to be more than twice the champion's."""
        return self._times is not None and self._times_above >= log(1 / alpha)

    def standing(self, *, alpha: float, broken_alpha: float) -> str:
        """Return ``kept``, ``broken`` or ``undecided``.

        Kept is what loses no more than allowed, beats the constant answer, and has done both by its
        uncapped means so far. Broken loses more, and is worse than the champion.

        Parameters
        ----------
        alpha, broken_alpha : float
            What proving either may spend.
        """
        enough, too_much = log(1 / alpha), log(1 / broken_alpha)
        worse = min(self.allowed, 0.0)
        beyond = self._above[self.allowed] >= too_much or self.is_beyond_times(broken_alpha)
        if beyond and self._above[worse] >= too_much:
            return "broken"
        within = self._below[self.allowed] >= enough and self.is_within_times(alpha)
        proven = within and self.is_useful(alpha)
        return "kept" if proven and self.means_keep and not self.scale.is_too_small else "undecided"

    @property
    def means_keep(self) -> bool:
        """Whether the uncapped means lie within the limit and below the constant's: what a cap hides."""
        champion, challenger, constant = self.champion, self.challenger, self.constant
        limit = (1 - self.allowed) * champion + self.allowed * constant
        if self._times is not None:
            on_top = ON_TOP * self.allowed
            limit = min(limit, (TIMES - on_top) * champion + on_top * constant)
        return challenger <= limit and challenger < constant

    def needed(self, *, alpha: float, broken_alpha: float) -> int | None:
        """Return how many more labels decide, if they look like those so far; None if none would."""
        if not self._seen:
            return max(1, self.scale.wants)
        limit, useful = self._seen[self.allowed], self._seen[1.0]
        if not limit.n or self.scale.is_too_small:
            return None
        if limit.mean > 0:
            return limit.needed(0.0, alpha=broken_alpha)
        each = [one.needed(0.0, alpha=alpha) for one in (limit, useful, self._times or useful)]
        return None if None in each else max(n for n in each if n is not None)

    def needed_if_equal(self, *, alpha: float) -> int | None:
        """Return how many more labels it takes where the challenger gains as much as the champion.

        A rule of thumb from the spread so far: ``2 log(1 / alpha) variance / gap^2``, half as much again
        for not knowing the best bet beforehand. None where the champion gains nothing.
        """
        if not self.judged:
            return None
        # The sequence's own counts tell the spread, so that no label need be kept.
        seen = self._seen[self.allowed]
        unit = seen.counts / seen.n
        values = seen.low + KNOTS * (seen.high - seen.low)
        variance = float(unit @ values**2) - float(unit @ values) ** 2
        gap = self.allowed * (self.constant - self.champion)
        if gap <= 0:
            return None
        wanted = 1.5 * 2 * log(1 / alpha) * (variance + gap**2) / gap**2
        return max(1, ceil(min(wanted, MOST_WANTED)) - seen.n)

    def to_dict(self, *, alpha: float, broken_alpha: float | None = None) -> dict[str, Any]:
        """Return what is known as JSON-able values."""
        low, high = self.interval(alpha)
        least, most = self.lost(alpha=alpha, broken_alpha=broken_alpha or alpha)
        return {
            "measure": self.measure,
            "n": self.n,
            "judged": self.judged,
            "champion": _shown(self.champion),
            "challenger": _shown(self.challenger),
            "constant": _shown(self.constant),
            "difference": _shown(self.challenger - self.champion),
            "low": low,
            "high": high,
            "alpha": alpha,
            "allowed": self.allowed,
            "lost": {"low": least, "high": most},
            "cap": self.scale.cap,
            "beyond_first_range": self.scale.outside,
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "measure": self.measure,
            "n": self.n,
            "first": self.first,
            "without_constant": self.without_constant,
            "totals": self.totals.tolist(),
            "times": [self._times_below, self._times_above, self._times.state()]
            if self._times is not None
            else None,
            "scale": self.scale.state(),
            "shares": [
                [share, self._below[share], self._above[share], seen.state()]
                for share, seen in self._seen.items()
            ],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], terms: Terms, *, decides: bool) -> Self:
        """Read what `state` wrote under the same terms."""
        it = cls(state["measure"], terms, decides=decides)
        it.n, it.first, it.without_constant = (
            state[name] for name in ("n", "first", "without_constant")
        )
        it.totals = np.asarray(state["totals"], dtype=np.float64)
        it.scale = Scale.from_state(state["scale"])
        if state["times"] is not None:
            it._times_below, it._times_above, times = state["times"]
            it._times = MeanSequence.from_state(times)
        for share, below, above, seen in state["shares"]:
            it._below[share], it._above[share] = below, above
            it._seen[share] = MeanSequence.from_state(seen)
        return it


def _shown(value: float) -> float | None:
    return value if isfinite(value) else None
