"""Counts of the items that fill the lists: concentration and coverage.

Small catalogues are counted exactly. Beyond a bound the rarest items are no longer told apart, and
the summary says so.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from datasketches import frequent_items_error_type, frequent_strings_sketch, hll_sketch

from shadowserve.statistics.tally.keys import as_key, key_text, one_simple_type, text_key
from shadowserve.statistics.tally.state import State, checked, labelled, packed, unpacked

MAX_EXACT_ITEMS = 10_000
_LG_ITEMS = 14
_LG_REGISTERS = 12
_NO_FALSE_NEGATIVES = frequent_items_error_type.NO_FALSE_NEGATIVES


class Items:
    """How often each item is shown in lists of items: concentration and coverage.

    Exact up to `max_exact` distinct items. Beyond it a frequent-items sketch (DataSketches' Misra-
    Gries variant: Anderson et al., IMC 2017) keeps the top items, and a HyperLogLog the number of
    distinct ones. Concentration is then a lower bound and `exact` is False.

    >>> items = Items()
    >>> items.add([["a", "b"], ["a", "c"]])
    >>> items.summary()["top"][0]
    {'item': 'a', 'n': 2, 'share': 0.5, 'reach': 1.0}
    """

    __slots__ = ("_counts", "_distinct", "_frequent", "max_exact", "n_lists", "total")

    def __init__(self, max_exact: int = MAX_EXACT_ITEMS) -> None:
        self.max_exact = max_exact
        self.n_lists = 0
        self.total = 0
        self._counts: Counter[Any] | None = Counter()  # by `as_key`
        self._frequent = frequent_strings_sketch(_LG_ITEMS)
        self._distinct = hll_sketch(_LG_REGISTERS)

    @property
    def exact(self) -> bool:
        """Whether every distinct item is counted."""
        return self._counts is not None

    def add(self, lists: Sequence[Iterable[Any]]) -> None:
        """Take a batch of n_rows lists of items."""
        self.n_lists += len(lists)
        self._add_counts(_count_items(lists))

    def _add_counts(self, counts: Mapping[Any, int]) -> None:
        self.total += sum(counts.values())
        if self._counts is None:
            self._to_sketch(counts)
            return
        self._counts.update(counts)
        if len(self._counts) > self.max_exact:
            self._to_sketch(self._counts)
            self._counts = None

    def _to_sketch(self, counts: Mapping[Any, int]) -> None:
        for key, n in counts.items():
            # The sketch knows texts only, and JSON text keeps 1 and "1" apart.
            item = key_text(key)
            self._frequent.update(item, n)
            self._distinct.update(item)

    @property
    def distinct(self) -> int:
        """Number of distinct items; within about 2 % when no longer exact."""
        if self._counts is not None:
            return len(self._counts)
        n_distinct: float = self._distinct.get_estimate()
        return round(n_distinct)

    def counts(self) -> dict[str, int]:
        """Count by item (JSON text); the most frequent ones only when no longer exact."""
        if self._counts is not None:
            return {key_text(key): n for key, n in self._counts.items()}
        return {row[0]: row[1] for row in self._frequent.get_frequent_items(_NO_FALSE_NEGATIVES)}

    def count(self, item: str) -> int:
        """How often an item (JSON text) was shown."""
        if self._counts is not None:
            return int(self._counts[text_key(item)])
        return int(self._frequent.get_estimate(item))

    def gini(self) -> float | None:
        """Gini coefficient of the shown items' counts: 0 all equal, towards 1 one item has all.

        Items never shown are not counted. A lower bound when no longer exact: what the sketch does
        not hold is spread evenly over the other distinct items.
        """
        shown = self.counts() if self._counts is None else self._counts
        counts = np.sort(np.fromiter(shown.values(), dtype=np.float64))
        if self._counts is None:
            unseen = max(0, self.distinct - counts.size)
            # Estimates of the distinct and of the frequent items err apart, so their rest may be negative.
            rest = max(0.0, self.total - float(counts.sum()))
            # Spread evenly, the unseen items make the coefficient smaller, so it stays a lower bound.
            counts = np.sort(np.concatenate([counts, np.full(unseen, rest / max(unseen, 1))]))
        n = counts.size
        if n == 0 or counts.sum() == 0:
            return None
        return float(((2 * np.arange(1, n + 1) - n - 1) @ counts) / (n * counts.sum()))

    def top(self, k: int = 10) -> list[dict[str, Any]]:
        """Return the k most shown items: count, share of all places, share of lists ("reach")."""
        counts = self.counts()
        shown = heapq.nsmallest(k, counts.items(), key=lambda row: (-row[1], row[0]))
        return [
            {
                "item": json.loads(item),
                "n": n,
                "share": n / max(self.total, 1),
                "reach": self.reach(n),
            }
            for item, n in shown
        ]

    def reach(self, n: int) -> float:
        """Share of lists that show an item counted n times: 0 to 1."""
        return min(1.0, n / max(self.n_lists, 1))

    def summary(self) -> dict[str, Any]:
        """Return lists, places, distinct items, Gini, the top item's share and the top ten."""
        top = self.top()
        return {
            "n_lists": self.n_lists,
            "total": self.total,
            "distinct": self.distinct,
            "exact": self.exact,
            "gini": self.gini(),
            "top_share": top[0]["share"] if top else None,
            "top_reach": top[0]["reach"] if top else None,
            "top": top,
        }

    def state(self) -> State:
        """Return the counts, or the sketches' bytes."""
        content: State = {"n_lists": self.n_lists, "total": self.total, "max_exact": self.max_exact}
        if self._counts is not None:
            content["counts"] = [[key_text(key), n] for key, n in self._counts.items()]
        else:
            content["frequent"] = packed(self._frequent.serialize())
            content["distinct"] = packed(self._distinct.serialize_compact())
        return labelled("items", **content)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote."""
        s = checked(state, "items")
        it = cls(s["max_exact"])
        it.n_lists, it.total = s["n_lists"], s["total"]
        if "counts" in s:
            it._counts = Counter({text_key(item): n for item, n in s["counts"]})
        else:
            it._counts = None
            it._frequent = frequent_strings_sketch.deserialize(unpacked(s["frequent"]))
            it._distinct = hll_sketch.deserialize(unpacked(s["distinct"]))
        return it


def _count_items(lists: Sequence[Iterable[Any]]) -> Counter[Any]:
    flat = list(itertools.chain.from_iterable(lists))
    return Counter(flat if one_simple_type(flat) else map(as_key, flat))
