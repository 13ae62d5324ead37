"""How wrong each version was, request by request, and the difference between the two.

What the two share cancels in a paired difference, so far fewer labels decide than two separate
error rates would take. Each difference is clipped to a declared range and judged by a sequence that
holds at every look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Self

import numpy as np

from shadowserve.divergence import Kind
from shadowserve.labels.chosen import OwnLoss
from shadowserve.labels.typed import class_key
from shadowserve.sequential import MeanSequence, paired_mean

DECLARE_FROM = 200
"""Labels after which the clip of a loss without a bound of its own is declared."""

CLIP_RANK = 0.995
LEAST_PROBABILITY = 1e-3
OWN = "own"
Rule = Callable[[Any, Any], dict[str, float]]
_BOUNDS = {"error": 1.0, "brier": 1.0, "log_loss": 1.0, "miss": 1.0, "rank_loss": 1.0}
_DECISIVE = {
    Kind.LABEL: "error",
    Kind.PROBABILITY: "brier",
    Kind.NUMBER: "absolute_error",
    Kind.RANKING: "miss",
    Kind.SET: "miss",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One request of which the truth is known.

    Parameters
    ----------
    truth : sequence
        One label a row.
    champion, challenger : sequence of JSON values
        The answers, one a row.
    champion_scores, challenger_scores : mapping of class to probability, optional
        Keys as in `typed.class_key`; None where one was not computed.
    """

    truth: Sequence[Any]
    champion: Sequence[Any]
    challenger: Sequence[Any]
    champion_scores: Mapping[str, float] | None = None
    challenger_scores: Mapping[str, float] | None = None


class Loss:
    """One measure of both versions on the same requests.

    Parameters
    ----------
    measure : str
        ``error`` (share wrong), ``brier`` (half the squared distance of the probabilities from the
        truth, 0 to 1), ``log_loss`` (nats), ``absolute_error``, ``squared_error``, ``miss`` (share
        of the truth that is not in the list), ``rank_loss`` (1 less one over its rank), ``own``
        (what the team's function says). Larger is worse.
    """

    def __init__(self, measure: str) -> None:
        self.measure = measure
        self.champion_total = 0.0
        self.challenger_total = 0.0
        self.n = 0
        self.difference = paired_mean(_BOUNDS[measure]) if measure in _BOUNDS else None
        self._waiting: list[tuple[float, float]] = []

    def add(self, pairs: Sequence[tuple[float, float]]) -> None:
        """Take in (champion, challenger) losses of requests; pairs that are not finite are left out."""
        known = [pair for pair in pairs if np.isfinite(pair).all()]
        self.n += len(known)
        self.champion_total += sum(champion for champion, _ in known)
        self.challenger_total += sum(challenger for _, challenger in known)
        self._waiting += known
        if self.difference is None and self.n >= DECLARE_FROM:
            self._declare()
        if self.difference is not None and self._waiting:
            apart = np.asarray(self._waiting, dtype=np.float64)
            self.difference.add(apart[:, 1] - apart[:, 0])
            self._waiting = []

    def _declare(self) -> None:
        """Fix the clip at what the champion alone has shown, once and for good."""
        errors = [champion for champion, _ in self._waiting]
        clip = float(np.quantile(errors, CLIP_RANK)) or max(max(p) for p in self._waiting) or 1.0
        self.difference = paired_mean(clip)

    @property
    def champion(self) -> float:
        """The champion's mean; NaN before the first."""
        return self.champion_total / self.n if self.n else float("nan")

    @property
    def challenger(self) -> float:
        """The challenger's mean on the same requests; NaN before the first."""
        return self.challenger_total / self.n if self.n else float("nan")

    @property
    def unit(self) -> float:
        """What one unit of a limit means: 1 for bounded losses, else the champion's mean."""
        return 1.0 if self.measure in _BOUNDS else self.champion

    def interval(self, alpha: float) -> tuple[float | None, float | None]:
        """Range of challenger minus champion, valid at every look; None before it is known."""
        return self.difference.interval(alpha) if self.difference is not None else (None, None)

    def standing(self, limit: float, *, alpha: float, broken_alpha: float) -> str:
        """Return ``kept``, ``broken`` or ``undecided`` for a limit on the increase.

        Parameters
        ----------
        limit : float
            In `unit`.
        alpha, broken_alpha : float
            What proving either may spend.
        """
        if self.difference is None or not self.difference.n:
            return "undecided"
        allowed = limit * self.unit
        if self.difference.is_above(allowed, alpha=broken_alpha):
            return "broken"
        return "kept" if self.difference.is_below(allowed, alpha=alpha) else "undecided"

    def needed(self, limit: float, *, alpha: float, broken_alpha: float) -> int | None:
        """Return how many more labels decide a limit; None where that cannot be told."""
        if self.difference is None:
            return DECLARE_FROM - self.n
        allowed = limit * self.unit
        spent = broken_alpha if self.difference.mean > allowed else alpha
        return self.difference.needed(allowed, alpha=spent)

    def to_dict(self, *, alpha: float) -> dict[str, Any]:
        """Return what is known as JSON-able values."""
        low, high = self.interval(alpha)
        return {
            "measure": self.measure,
            "n": self.n,
            "champion": self.champion if self.n else None,
            "challenger": self.challenger if self.n else None,
            "difference": self.challenger - self.champion if self.n else None,
            "low": low,
            "high": high,
            "alpha": alpha,
            "clip": self.difference.high if self.difference is not None else None,
            "clipped": self.difference.clipped if self.difference is not None else 0,
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "measure": self.measure,
            "n": self.n,
            "champion": self.champion_total,
            "challenger": self.challenger_total,
            "difference": self.difference.state() if self.difference is not None else None,
            "waiting": self._waiting,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        it = cls(state["measure"])
        it.n, it.champion_total, it.challenger_total = (
            state["n"],
            state["champion"],
            state["challenger"],
        )
        if state["difference"] is not None:
            it.difference = MeanSequence.from_state(state["difference"])
        it._waiting = [(a, b) for a, b in state["waiting"]]
        return it


def decisive(kind: Kind | None, chosen: str = "") -> str | None:
    """Return the measure that a verdict rests on; None for kinds of output that have none.

    Parameters
    ----------
    chosen : str
        As in the policy.
    """
    if kind is None:
        return None
    return OWN if ":" in chosen else chosen or _DECISIVE.get(kind)


def losses_of(
    request: Labelled, kind: Kind, own: OwnLoss | None = None
) -> dict[str, tuple[float, float]]:
    """Return the (champion, challenger) losses of one request by measure, means over its rows.

    Probabilities give further measures where both versions' are known, and so does a function of the
    team's own.
    """
    rules: dict[Kind, Rule] = {
        Kind.LABEL: _label,
        Kind.NUMBER: _number,
        Kind.PROBABILITY: _nothing,
        Kind.RANKING: _list,
        Kind.SET: _list,
    }
    found = _sides(rules.get(kind, _nothing), request)
    ours, theirs = request.champion_scores, request.challenger_scores
    if ours and theirs and len(request.truth) == 1:
        key = class_key(request.truth[0])
        champion, challenger = _scored(ours, key), _scored(theirs, key)
        found |= {name: (champion[name], challenger[name]) for name in champion}
    if own is not None:
        found |= _sides(lambda truth, answer: {OWN: float(own(truth, answer))}, request)
    return found


def _sides(rule: Rule, request: Labelled) -> dict[str, tuple[float, float]]:
    champion = _mean([rule(t, a) for t, a in zip(request.truth, request.champion, strict=True)])
    challenger = _mean([rule(t, a) for t, a in zip(request.truth, request.challenger, strict=True)])
    return {name: (champion[name], challenger[name]) for name in champion}


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} if rows else {}


def _label(truth: Any, answer: Any) -> dict[str, float]:
    return {"error": float(class_key(truth) != class_key(answer))}


def _number(truth: Any, answer: Any) -> dict[str, float]:
    """Tell how far a number is off; NaN where there is none, which counts nowhere."""
    try:
        apart = abs(float(answer) - float(truth))
    except (TypeError, ValueError):
        apart = float("nan")
    return {"absolute_error": apart, "squared_error": apart**2}


def _list(truth: Any, answer: Any) -> dict[str, float]:
    wanted = {class_key(item) for item in (truth if isinstance(truth, list) else [truth])}
    shown = [class_key(item) for item in (answer if isinstance(answer, list) else [answer])]
    ranks = [place for place, item in enumerate(shown, start=1) if item in wanted]
    missed = len(wanted - set(shown)) / max(1, len(wanted))
    return {"miss": missed, "rank_loss": 1 - 1 / ranks[0] if ranks else 1.0}


def _nothing(_truth: Any, _answer: Any) -> dict[str, float]:
    return {}


def _scored(scores: Mapping[str, float], key: str) -> dict[str, float]:
    own = min(max(scores.get(key, 0.0), LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    squared = sum((p - (name == key)) ** 2 for name, p in scores.items()) + (key not in scores)
    return {"brier": squared / 2, "log_loss": -log(own)}
