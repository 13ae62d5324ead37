"""Average precision by time: up to ten equal stretches of the traffic, for a few classes.

It describes and does not decide: it moves with the share of a class and with the whole ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import log
from typing import Any, ClassVar

from shadowserve.statistics.stored import Part, Stored, plain

MOST_BLOCKS = 10
MOST_CLASSES = 8
"""Classes that are followed over time, first come first served."""

FIRST_WIDTH_NS = 60 * 10**9
SIDES = ("champion", "challenger")
_REACH, _STEP = 14.0, 0.25
_LEAST = 1e-12

Ranks = dict[int, list[int]]
"""Labels of other classes and of one's own, by bin of the probability's logit."""

Blocks = dict[int, dict[str, list[Ranks]]]
"""Ranks of both versions by block and class; a block's number times its length is its time."""


def _write(blocks: Blocks) -> list[Any]:
    return [
        [at, {key: [sorted([b, *ns] for b, ns in side.items()) for side in sides] for key, sides in of.items()}]
        for at, of in sorted(blocks.items())
    ]  # fmt: skip


def _read(told: Sequence[Any]) -> Blocks:
    return {
        at: {key: [{b: [others, own] for b, others, own in side} for side in sides] for key, sides in of.items()}
        for at, of in told
    }  # fmt: skip


class OverTime(Stored):
    """What average precision is made of, by stretches of time that grow with the traffic."""

    parts: ClassVar = {
        "width_ns": plain.young,
        "blocks": Part(_write, _read).at("_blocks").young,
    }

    def __init__(self) -> None:
        self.width_ns = FIRST_WIDTH_NS
        self._blocks: Blocks = {}

    def add(
        self,
        arrived_ns: int,
        truth: str,
        champion: Mapping[str, float],
        challenger: Mapping[str, float],
    ) -> None:
        """Take in a label with both versions' probabilities, at the time of its request."""
        block = self._blocks.setdefault(arrived_ns // self.width_ns, {})
        for key in sorted({*champion, *challenger} & self._followed({*champion, *challenger})):
            sides = block.setdefault(key, [{}, {}])
            for ranks, scores in zip(sides, (champion, challenger), strict=True):
                ranks.setdefault(_bin(scores.get(key, 0.0)), [0, 0])[key == truth] += 1
        # The span is bounded and not the count: labels come out of order, also for times long past.
        while max(self._blocks) - min(self._blocks) >= MOST_BLOCKS:
            self._widen()

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return a class's average precision, block by block; blocks without a label of it are left out."""
        told = []
        for at, block in sorted(self._blocks.items()):
            sides = block.get(key, [{}, {}])
            found = [average_precision(ranks) for ranks in sides]
            if None not in found:
                since = datetime.fromtimestamp(at * self.width_ns / 1e9, UTC)
                n = sum(map(sum, sides[0].values()))
                own = sum(one[1] for one in sides[0].values())
                told.append(
                    {"since": since.isoformat(), "n": n, "own": own, **dict(zip(SIDES, found, strict=True))}
                )  # fmt: skip
        return told

    def _followed(self, keys: set[str]) -> set[str]:
        known = {key for block in self._blocks.values() for key in block}
        room = max(0, MOST_CLASSES - len(known))
        return known | set(sorted(keys - known)[:room])

    def _widen(self) -> None:
        """Let blocks be twice as long: two neighbours become one."""
        self.width_ns *= 2
        before, self._blocks = self._blocks, {}
        for at, block in before.items():
            # A block's number times its width stays its time, so no block is ever cut.
            into = self._blocks.setdefault(at // 2, {})
            for key, sides in block.items():
                for ranks, more in zip(into.setdefault(key, [{}, {}]), sides, strict=True):
                    for b, (others, own) in more.items():
                        one = ranks.setdefault(b, [0, 0])
                        one[0], one[1] = one[0] + others, one[1] + own


def average_precision(bins: Mapping[int, Sequence[int]]) -> float | None:
    """Return the mean precision at each label of a class, the highest scores first.

    ``sum (R_i - R_(i-1)) P_i`` over distinct scores, as scikit-learn has it; labels in one bin are ties.

    Parameters
    ----------
    bins : mapping of int to (others, own)
        Labels of other classes and of this one, by score; larger is surer.

    Returns
    -------
    float or None
        From the class's share (ranked by chance) to 1; None without a label of it.

    Examples
    --------
    >>> average_precision({3: [0, 1], 2: [1, 0], 1: [0, 1]}), average_precision({1: [3, 1]})
    (0.8333333333333333, 0.25)
    """
    seen = hits = 0
    area = 0.0
    for at in sorted(bins, reverse=True):
        others, own = bins[at]
        seen, hits = seen + others + own, hits + own
        area += own * hits / seen
    return area / hits if hits else None


def logit_bin(p: float, *, step: float) -> int:
    """Return the bin of a probability's logit, so that the surest and the rarest keep their order."""
    p = min(max(p, _LEAST), 1 - _LEAST)
    return round(min(max(log(p / (1 - p)), -_REACH), _REACH) / step)


def _bin(p: float) -> int:
    return logit_bin(min(max(float(p), 0.0), 1.0), step=_STEP)
