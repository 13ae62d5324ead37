"""Whether a version has stopped to tell requests apart: each output watched as its kind asks for it.

Nothing is decided by a spread that two absurd answers can blow up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from shadowserve.comparison.few_items import FewItems
from shadowserve.comparison.stillness import Stillness
from shadowserve.divergence import KindTally, field_of
from shadowserve.divergence.align import plain_rows


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
