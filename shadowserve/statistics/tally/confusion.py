"""The confusion table: champion's labels against the lane's, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self
from zlib import crc32

from shadowserve.statistics.tally.keys import as_text
from shadowserve.statistics.tally.state import State, checked, labelled

OTHER = "other"
MAX_LABELS = 64
MAX_MARGINS = 1_000
"""Labels whose share on each side is counted by name; the rest share `BUCKETS` by their hash."""

BUCKETS = 256


class Confusion:
    """Table of champion's label against the lane's label.

    At most `max_labels` labels have rows and columns of their own, first come first served; the
    rest share the row "other". Agreement is counted apart and stays exact. So does chance for the
    first thousand labels: the agreement of two sides by their shares of each label alone. Labels
    beyond share buckets; what different labels in one bucket add is taken off on average.

    >>> c = Confusion()
    >>> c.add(["a", "a", "b"], ["a", "b", "b"])
    >>> c.summary()["agreement"]
    0.6666666666666666
    """

    __slots__ = ("_labels", "_margins", "_pairs", "_rest", "agree", "max_labels", "n")

    def __init__(self, max_labels: int = MAX_LABELS) -> None:
        self.max_labels = max_labels
        self.n = 0
        self.agree = 0
        self._labels: dict[str, None] = {}
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._margins: dict[str, list[int]] = {}
        self._rest = [[0] * BUCKETS, [0] * BUCKETS]

    def add(self, champion: Sequence[Any], lane: Sequence[Any]) -> None:
        """Take a batch: two sequences of n_rows labels (strings, numbers, booleans)."""
        for (a, b), n in _count_pairs(champion, lane).items():
            self.n += n
            self.agree += n * (a == b)
            self._pairs[self._slot(a), self._slot(b)] += n
            self._say(a, 0, n)
            self._say(b, 1, n)

    def _say(self, label: str, side: int, n: int) -> None:
        """Count how often a side says a label."""
        if label not in self._margins and len(self._margins) >= MAX_MARGINS:
            self._rest[side][crc32(label.encode()) % BUCKETS] += n
        else:
            self._margins.setdefault(label, [0, 0])[side] += n

    def _slot(self, label: str) -> str:
        if label not in self._labels:
            # Never replaced by a commoner label: its cells so far could not be told from "other".
            if len(self._labels) >= self.max_labels:
                return OTHER
            self._labels[label] = None
        return label

    def kappa(self) -> float | None:
        """Cohen's kappa (1960): agreement beyond chance; 1 same, 0 chance, below 0 worse.

        None without rows, or where both sides always say one and the same label.
        """
        if self.n == 0:
            return None
        chance = self._by_chance() / self.n**2
        return None if chance >= 1 else (self.agree / self.n - chance) / (1 - chance)

    def _by_chance(self) -> float:
        """Return how many of n^2 pairs of rows bear the same label."""
        named = sum(a * b for a, b in self._margins.values())
        by_chance = sum(self._rest[0]) * sum(self._rest[1]) / BUCKETS
        shared = sum(a * b for a, b in zip(self._rest[0], self._rest[1], strict=True))
        # Two different labels share a bucket once in `BUCKETS`; that share is taken off.
        return named + max(0.0, (shared - by_chance) / (1 - 1 / BUCKETS))

    def _shares(self) -> tuple[Counter[str], Counter[str]]:
        champion: Counter[str] = Counter()
        lane: Counter[str] = Counter()
        for (a, b), n in self._pairs.items():
            champion[a] += n
            lane[b] += n
        return champion, lane

    def summary(self) -> dict[str, Any]:
        """Return n, agreement, kappa, both sides' label shares and the cells, largest first.

        Labels are JSON text: `1`, `"1"`, `true`.
        """
        n = max(self.n, 1)
        sides = [{label: k / n for label, k in c.most_common()} for c in self._shares()]
        cells = sorted(self._pairs.items(), key=lambda cell: (-cell[1], cell[0]))
        return {
            "n": self.n,
            "agreement": self.agree / n if self.n else None,
            "kappa": self.kappa(),
            "champion": sides[0],
            "lane": sides[1],
            "cells": [{"champion": a, "lane": b, "n": k} for (a, b), k in cells],
        }

    def state(self) -> State:
        """Return labels and cells."""
        return labelled(
            "confusion",
            max_labels=self.max_labels,
            n=self.n,
            agree=self.agree,
            labels=list(self._labels),
            cells=[[a, b, k] for (a, b), k in self._pairs.items()],
            margins=[[label, *both] for label, both in self._margins.items()],
            rest=self._rest if any(map(any, self._rest)) else None,
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote."""
        s = checked(state, "confusion")
        it = cls(s["max_labels"])
        it.n, it.agree = s["n"], s["agree"]
        it._labels = dict.fromkeys(s["labels"])
        it._pairs = Counter({(a, b): k for a, b, k in s["cells"]})
        if "margins" in s:
            it._margins = {label: [a, b] for label, a, b in s["margins"]}
            it._rest = s["rest"] or it._rest
        else:
            it._spread()
        return it

    def _spread(self) -> None:
        """Take the margins from the cells, as an earlier release kept them: "other" is of many labels."""
        for side, counted in enumerate(self._shares()):
            for label, n in counted.items():
                if label == OTHER:
                    each, left = divmod(n, BUCKETS)
                    self._rest[side] = [each + (place < left) for place in range(BUCKETS)]
                else:
                    self._say(label, side, n)


def _count_pairs(champion: Sequence[Any], lane: Sequence[Any]) -> Counter[tuple[str, str]]:
    try:
        # the type goes into the key, since Python takes True, 1 and 1.0 for one and the same
        raw = Counter(zip(champion, lane, map(type, champion), map(type, lane), strict=True))
    except TypeError:  # lists and dicts as labels
        return Counter(zip(map(as_text, champion), map(as_text, lane), strict=True))
    counted: Counter[tuple[str, str]] = Counter()
    for (a, b, _, _), n in raw.items():
        counted[as_text(a), as_text(b)] += n
    return counted
