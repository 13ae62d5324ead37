"""The answer that is the same for every request: what a version must beat to be of any use.

It is made of the labels *before* the one that is judged, so that it is a bet as fair as a version's:
the share of each class so far, the most frequent class, the running mean, the median, the items that
were right most often, or the answer that would have cost the least.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from shadowserve.statistics.stored import Stored, counted, of, plain, table
from shadowserve.statistics.tally import Quantiles
from shadowserve.statistics.tally.keys import class_key

MAX_CLASSES = 1_000
"""Classes or items that are counted by name, first come first served."""

CANDIDATES = 8
"""Constant answers that a team's own function is asked about."""

_SMOOTHING = 0.5


class Constant(Stored):
    """What labels so far would have one answer always.

    Parameters
    ----------
    numbers : bool
        Whether labels are numbers, so that their mean and median are wanted.

    Attributes
    ----------
    n : int
        Labels, one a row; lists count each of their items.
    counts : Counter of str
        By `class_key`.
    """

    parts: ClassVar = {
        "numbers": plain.at("_numbers"),
        "n": plain,
        "counts": counted,
        "n_numbers": plain.at("_n_numbers"),
        "total": plain.at("_total"),
        "sketch": of(Quantiles).at("_sketch"),
        "own": table.at("_own"),
    }
    given = ("numbers",)

    def __init__(self, *, numbers: bool = False) -> None:
        self._numbers = numbers
        self.n = 0
        self.counts: Counter[str] = Counter()
        self._n_numbers, self._total = 0, 0.0
        self._sketch = Quantiles()
        self._own: dict[str, float] = {}

    def add(self, truth: Sequence[Any]) -> None:
        """Take in the labels of one request, one a row."""
        items = [item for row in truth for item in (row if isinstance(row, list) else [row])]
        for item in items:
            self.n += 1
            key = class_key(item)
            if key in self.counts or len(self.counts) < MAX_CLASSES:
                self.counts[key] += 1
        if self._numbers:
            self._add_numbers([float(item) for item in items if isinstance(item, int | float)])

    def _add_numbers(self, numbers: Sequence[float]) -> None:
        if numbers:
            self._n_numbers += len(numbers)
            self._total += sum(numbers)
            self._sketch.add(np.asarray(numbers, dtype=np.float64))

    @property
    def mode(self) -> str | None:
        """The most frequent class; None before the first label."""
        return max(self.counts, key=lambda key: self.counts[key]) if self.counts else None

    @property
    def mean(self) -> float | None:
        """The mean of labels that are numbers; None where there are none."""
        return self._total / self._n_numbers if self._n_numbers else None

    @property
    def median(self) -> float | None:
        """The median of labels that are numbers, from a sketch; None where there are none."""
        return float(self._sketch.quantile(0.5)) if self._n_numbers else None

    def share(self, key: str) -> float:
        """Return the share of a class among the labels so far."""
        return self.counts[key] / self.n if self.n else 0.0

    @property
    def rarest(self) -> str | None:
        """The rarest class of which there was a label; None with fewer than two classes."""
        return min(self.counts, key=lambda k: self.counts[k]) if len(self.counts) > 1 else None

    def shares(self, classes: Iterable[str]) -> dict[str, float]:
        """Return the probability of each class, with half a label added to each.

        Parameters
        ----------
        classes : iterable of str
            Classes that versions know, whether labels have shown them or not.
        """
        known = dict.fromkeys([*self.counts, *classes])
        whole = sum(self.counts.values()) + _SMOOTHING * len(known)
        return {key: (self.counts[key] + _SMOOTHING) / whole for key in known}

    def items(self, n: int) -> list[Any]:
        """Return the items that were right most often, as many as a version shows."""
        return [json.loads(key) for key, _ in self.counts.most_common(n)]

    def cheapest(self, costs: Mapping[str, Mapping[str, float]]) -> str | None:
        """Return the answer that would have cost the least by a matrix of costs; None before a label."""
        answers = dict.fromkeys(answer for row in costs.values() for answer in row)
        if not self.counts:
            return None
        return min(
            answers,
            key=lambda a: sum(n * cost_of(costs, key, a) for key, n in self.counts.items()),
        )

    def own(self, function: Callable[[Any, Any], float], truth: Sequence[Any]) -> float:
        """Return what the best constant answer so far costs now by a team's own function.

        NaN before there is one. Each candidate's sum is kept, and a newcomer begins with the best one's.
        """
        keys = [key for key, _ in self.counts.most_common(CANDIDATES)]
        best = min(self._own.values(), default=0.0)
        asked = {key: json.loads(key) for key in keys}
        # Numbers hardly repeat, so their median is asked about as well.
        if self.median is not None and len(self.counts) > CANDIDATES:
            asked = {**asked, "median": self.median}
        if not asked:
            return float("nan")
        now = {
            key: float(np.mean([function(row, answer) for row in truth]))
            for key, answer in asked.items()
        }
        # Chosen by what came before, and only then charged for this label.
        chosen = min(asked, key=lambda key: self._own.get(key, best))
        self._own = {key: self._own.get(key, best) + cost for key, cost in now.items()}
        return now[chosen]


def cost_of(costs: Mapping[str, Mapping[str, float]], truth: str, answer: str) -> float:
    """Return what an answer costs; one that the matrix lacks costs as much as the worst.

    NaN for a label that the matrix lacks: nobody knows what it is worth.

    Examples
    --------
    >>> costs = {'"fraud"': {'"fraud"': 0.0, '"fine"': 50.0}}
    >>> cost_of(costs, '"fraud"', '"fine"'), cost_of(costs, '"fraud"', '"none"')
    (50.0, 50.0)
    """
    row = costs.get(truth)
    if row is None:
        return float("nan")
    return row.get(answer, max(max(each.values()) for each in costs.values()))
