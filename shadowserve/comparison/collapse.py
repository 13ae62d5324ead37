"""Whether a version has stopped to tell requests apart: one number, one label, ten items for everybody.

Nothing is decided by a spread that two absurd answers can blow up. What holds still is fixed on the
first hundred requests, or on every second one, and measured on others, challenger against champion on
the same request: an absurd answer of either weighs one request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.stats import spearmanr

from shadowserve.divergence import KindTally, field_of, named
from shadowserve.divergence.align import plain_rows
from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.tally import Items
from shadowserve.statistics.tally.keys import as_key

BURN_IN = 100
STILL_SHARE = 0.01
"""Share of the champion's usual range, from its 5th to its 95th per cent, that counts as one place."""
CORRELATED = 0.5
FEW_ITEMS = 10
BLOCK = 16
CHOOSE_FROM = 8
RECHOOSE = 1.1
MOST_EXACT = 2_000


class Stillness:
    """How much oftener the challenger's answer lies in its one usual place than the champion's in its own.

    Parameters
    ----------
    kind : str
        One that has a `usual` place: number, probability or label.

    Attributes
    ----------
    more : MeanSequence
        Of ``1{challenger in its place} - 1{champion in its place}``, request by request after the first
        hundred. A place of numbers is the median of the hundred and 1 % of the champion's usual range
        about it; where the challenger follows the champion in another unit, 1 % of its own. A place of
        labels is the commonest of the hundred.
    own, theirs : float
        Requests since then on which challenger and champion were in their places.
    """

    def __init__(self, kind: str) -> None:
        self.of = named(kind)
        if self.of.usual is None:
            raise ValueError(f"Answers of kind {kind!r} have no usual place.")
        self.usual = self.of.usual
        self.more = paired_mean(1.0)
        self.own = 0.0
        self.theirs = 0.0
        self._burnt: list[list[Any]] = []
        self._places: list[Any] | None = None
        self._widths = [0.0, 0.0]

    def add(self, champion: Sequence[Any], lane: Sequence[Any]) -> None:
        """Take in both answers to some requests, one each; rows without a number are left out."""
        pairs = list(zip(*(self.of.placed(side) for side in (champion, lane)), strict=True))
        if not self.usual.is_label:
            pairs = [pair for pair in pairs if np.isfinite(pair).all()]
        while pairs and self._places is None:
            wanted = BURN_IN - len(self._burnt)
            self._burnt += [list(pair) for pair in pairs[:wanted]]
            pairs = pairs[wanted:]
            if len(self._burnt) == BURN_IN:
                self._fix()
        if pairs and self._places is not None:
            there = np.asarray([[self._is_there(i, pair[i]) for i in (0, 1)] for pair in pairs])
            self.theirs, self.own = self.theirs + there[:, 0].sum(), self.own + there[:, 1].sum()
            self.more.add(there[:, 1] - there[:, 0])

    def _is_there(self, which: int, value: Any) -> float:
        if self._places is None:
            return 0.0
        place = self._places[which]
        if self.usual.is_label:
            return float(value == place)
        return float(abs(value - place) <= self._widths[which])

    def _fix(self) -> None:
        """Fix the places on the first hundred; where the champion itself holds still, on the next."""
        theirs, own = zip(*self._burnt, strict=True)
        self._burnt = []
        if self.usual.is_label:
            self._places = [max(set(side), key=side.count) for side in (theirs, own)]
            return
        ranges = [_usual_range(side) for side in (theirs, own)]
        if ranges[0] <= self.usual.least_range:
            return
        self._places = [float(np.median(side)) for side in (theirs, own)]
        width = STILL_SHARE * ranges[0] / 2
        scaled = self.usual.any_unit and _is_scaled(theirs, own, ranges, self._places)
        self._widths = [width, STILL_SHARE * ranges[1] / 2 if scaled else width]

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "kind": str(self.of.name),
            "more": self.more.state(),
            "own": self.own,
            "theirs": self.theirs,
            "burnt": self._burnt,
            "places": self._places,
            "widths": self._widths,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        it = cls(state["kind"])
        it.more = MeanSequence.from_state(state["more"])
        it.own, it.theirs = state["own"], state["theirs"]
        it._burnt, it._places = [list(pair) for pair in state["burnt"]], state["places"]
        it._widths = list(state["widths"])
        return it


def _usual_range(values: Sequence[float]) -> float:
    low, high = np.quantile(values, (0.05, 0.95))
    return float(high - low)


def _is_scaled(
    theirs: Sequence[float], own: Sequence[float], ranges: Sequence[float], places: Sequence[float]
) -> bool:
    """Whether numbers vary as the champion's do, only in another unit: grams for kilograms."""
    if ranges[1] <= 0 or not spearmanr(theirs, own).statistic > CORRELATED:
        return False
    before, after = (r / max(abs(p), 1e-300) for r, p in zip(ranges, places, strict=True))
    return bool(after >= STILL_SHARE * before)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the ten items chosen fill, as measured on lists they were not chosen by; shares.

    Parameters
    ----------
    own, theirs : float
        Places of the challenger's and of the champion's lists that the challenger's ten fill.
    reach, their_reach : float
        Lists of either that hold the challenger's first item.
    """

    own: float
    theirs: float
    reach: float
    their_reach: float


class FewItems:
    """How much more of a list the challenger's ten commonest items fill than the champion's ten do.

    Each side's ten are chosen by the odd lists so far and measured on the even ones that follow.

    Attributes
    ----------
    more : MeanSequence
        Share of the challenger's list that its ten fill less that of the champion's with its own ten.
    everywhere : MeanSequence
        ``1{in the challenger's list} - 1{in the champion's}`` of the challenger's commonest item.
    """

    def __init__(self) -> None:
        self.more = paired_mean(1.0)
        self.everywhere = paired_mean(1.0)
        self._sums = [0.0, 0.0, 0.0, 0.0]
        self._odd = {"champion": Items(MOST_EXACT), "lane": Items(MOST_EXACT)}
        self._n = 0
        self._chosen_at = 0
        self._tens: list[list[Any]] = [[], []]

    def add(self, champion: Sequence[Any], lane: Sequence[Any]) -> None:
        """Take in both lists of some requests, one each; what is no list is left out."""
        pairs = [
            pair for pair in zip(champion, lane, strict=True) if all(type(s) is list for s in pair)
        ]
        for first in range(0, len(pairs), BLOCK):
            block = pairs[first : first + BLOCK]
            places = range(self._n, self._n + len(block))
            self._choose()
            self._measure([pair for n, pair in zip(places, block, strict=True) if n % 2])
            odd = [pair for n, pair in zip(places, block, strict=True) if n % 2 == 0]
            for name, side in zip(("champion", "lane"), zip(*odd, strict=True), strict=False):
                self._odd[name].add(side)
            self._n += len(block)

    def shown(self) -> Shown | None:
        """Return what the chosen items fill on the lists measured; None before the first."""
        if not self.more.n:
            return None
        return Shown(*(total / self.more.n for total in self._sums))

    def _choose(self) -> None:
        n = self._odd["lane"].n_lists
        if n < max(CHOOSE_FROM, RECHOOSE * self._chosen_at):
            return
        self._chosen_at = n
        self._tens = [
            [as_key(one["item"]) for one in self._odd[side].top(FEW_ITEMS)]
            for side in ("champion", "lane")
        ]

    def _measure(self, pairs: Sequence[Sequence[list[Any]]]) -> None:
        theirs, own = (set(ten) for ten in self._tens)
        if not own:
            return
        first = self._tens[1][0]
        for champion, lane in pairs:
            before, after = ([as_key(item) for item in side] for side in (champion, lane))
            filled = _filled(after, own)
            self.more.add(filled - _filled(before, theirs))
            held = float(first in after), float(first in before)
            self.everywhere.add(held[0] - held[1])
            for i, value in enumerate((filled, _filled(before, own), *held)):
                self._sums[i] += value

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values; the choice is made anew from the odd lists."""
        return {
            "more": self.more.state(),
            "everywhere": self.everywhere.state(),
            "sums": self._sums,
            "odd": {name: items.state() for name, items in self._odd.items()},
            "n": self._n,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        it = cls()
        it.more = MeanSequence.from_state(state["more"])
        it.everywhere = MeanSequence.from_state(state["everywhere"])
        it._sums = list(state["sums"])
        it._odd = {name: Items.from_state(items) for name, items in state["odd"].items()}
        it._n = state["n"]
        return it


def _filled(items: Sequence[Any], ten: set[Any]) -> float:
    return sum(item in ten for item in items) / len(items) if items else 0.0


class Collapses:
    """A `Stillness` or `FewItems` for each output, by its path; "" for a plain answer."""

    def __init__(self) -> None:
        self.by_path: dict[str, Stillness | FewItems] = {}

    def add(self, tally: KindTally, champion: Sequence[Any], lane: Sequence[Any]) -> None:
        """Take in both answers to some requests, one row each, read as a tally's kinds are."""
        sides = plain_rows(champion), plain_rows(lane)
        for path, leaf, theirs, own in _leaves(tally, *sides, prefix=""):
            if not leaf.of.shows_items and leaf.of.usual is None:
                continue
            if path not in self.by_path:
                self.by_path[path] = FewItems() if leaf.of.shows_items else Stillness(leaf.kind)
            self.by_path[path].add(theirs, own)

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {path: one.state() for path, one in self.by_path.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        it = cls()
        for path, one in state.items():
            it.by_path[path] = (FewItems if "odd" in one else Stillness).from_state(one)
        return it


def _leaves(
    tally: KindTally, champion: Sequence[Any], lane: Sequence[Any], *, prefix: str
) -> Iterator[tuple[str, KindTally, Sequence[Any], Sequence[Any]]]:
    """Yield each output that has no fields of its own, with its path and both sides' values."""
    if not tally.fields:
        yield prefix, tally, champion, lane
    for name, part in tally.fields.items():
        path = f"{prefix}/{name}" if prefix else name
        yield from _leaves(part, field_of(champion, name), field_of(lane, name), prefix=path)
