"""Whether a version shows the same ten items to nearly everybody.

The ten are chosen on every second list and measured on the others, so that chance does not choose them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.stored import Stored, listed, named, of, plain
from shadowserve.statistics.tally import Items
from shadowserve.statistics.tally.keys import as_key, one_simple_type

FEW_ITEMS = 10
"""Items whose hold on the lists is judged. What fills them for everybody is no recommendation."""

BLOCK = 16
"""Lists taken in at a time; only between two blocks may the choice change."""

CHOOSE_FROM = 8
"""Odd lists before the first choice. From fewer, items are chosen that stood in one list by chance."""

RECHOOSE = 1.1
"""Growth of the odd lists after which the ten are chosen anew.

The choice follows the traffic, and sorting the counts costs a fixed share of all the work.
"""

MOST_EXACT = 2_000
"""Distinct items counted one by one; a sketch counts beyond. It bounds what a lane's state weighs."""


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


class FewItems(Stored):
    """How much more of a list the challenger's ten commonest items fill than the champion's ten do.

    Each side's ten are chosen by the odd lists so far and measured on the even ones that follow.

    Attributes
    ----------
    more : MeanSequence
        Share of the challenger's list that its ten fill less that of the champion's with its own ten.
    everywhere : MeanSequence
        ``1{in the challenger's list} - 1{in the champion's}`` of the challenger's commonest item.
    """

    parts: ClassVar = {
        "more": of(MeanSequence),
        "everywhere": of(MeanSequence),
        "sums": listed.at("_sums"),
        "odd": named(of(Items)).at("_odd"),
        "n": plain.at("_n"),
    }  # the choice is made anew from the odd lists

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
        more: list[float] = []
        everywhere: list[float] = []
        for first in range(0, len(pairs), BLOCK):
            block = pairs[first : first + BLOCK]
            places = range(self._n, self._n + len(block))
            self._choose()
            even = [pair for n, pair in zip(places, block, strict=True) if n % 2]
            for filled, held in self._measured(even):
                more.append(filled)
                everywhere.append(held)
            # Counted after measuring: a list never measures a choice that it took part in.
            odd = [pair for n, pair in zip(places, block, strict=True) if n % 2 == 0]
            for name, side in zip(("champion", "lane"), zip(*odd, strict=True), strict=False):
                self._odd[name].add(side)
            self._n += len(block)
        if more:
            self.more.add(more)
            self.everywhere.add(everywhere)

    def shown(self) -> Shown | None:
        """Return what the chosen items fill on the lists measured; None before the first."""
        if not self.more.n:
            return None
        return Shown(*(total / self.more.n for total in self._sums))

    def _choose(self) -> None:
        # The choice costs a pass over all counts, so it waits for a tenth more lists.
        n = self._odd["lane"].n_lists
        if n < max(CHOOSE_FROM, RECHOOSE * self._chosen_at):
            return
        self._chosen_at = n
        self._tens = [
            [as_key(one["item"]) for one in self._odd[side].top(FEW_ITEMS)]
            for side in ("champion", "lane")
        ]

    def _measured(self, pairs: Sequence[Sequence[list[Any]]]) -> Iterator[tuple[float, float]]:
        """Yield what each pair of lists adds to `more` and `everywhere`."""
        # Each side is held against its own ten, so a champion that is as narrow excuses the
        # challenger.
        theirs, own = (set(ten) for ten in self._tens)
        if not own:
            return
        first = self._tens[1][0]
        for champion, lane in pairs:
            before, after = _keys(champion), _keys(lane)
            filled = _filled(after, own)
            held = float(first in after), float(first in before)
            for i, value in enumerate((filled, _filled(before, own), *held)):
                self._sums[i] += value
            yield filled - _filled(before, theirs), held[0] - held[1]


def _filled(items: Sequence[Any], ten: set[Any]) -> float:
    return sum(map(ten.__contains__, items)) / len(items) if items else 0.0


def _keys(items: Sequence[Any]) -> Sequence[Any]:
    return items if one_simple_type(items) else [as_key(item) for item in items]
