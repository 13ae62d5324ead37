"""What may be set about comparing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """How outputs are compared, whatever their kind.

    Parameters
    ----------
    champion_classes, lane_classes : tuple, optional
        Class labels in the order of each side's probabilities.
    ignore : frozenset of str
        Fields of a record that say nothing, such as a random id.
    """

    champion_classes: tuple[Any, ...] | None = None
    lane_classes: tuple[Any, ...] | None = None
    ignore: frozenset[str] = frozenset()


DEFAULT_OPTIONS = Options()
