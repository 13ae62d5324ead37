"""What each measure of divergence means, in the words of a report's reader."""

from __future__ import annotations

from collections.abc import Iterable

from shadowserve.divergence import registered

PARTS = "A share in parentheses is of a part within a step: it is in the step's share already."


def meaning(name: str) -> str:
    """Return what a measure means; of a field's own, as ``price/absolute``, what comes last counts.

    Examples
    --------
    >>> meaning("price/flip"), meaning("another")
    ('share of answers whose decision changes', '')
    """
    own = name.rpartition("/")[2]
    told = (one.meaning for kind in registered() for one in kind.measures if one.name == own)
    return next(told, "")


def legend(names: Iterable[str]) -> dict[str, str]:
    """Return the meanings of several measures, each once."""
    found = {name.rpartition("/")[2]: meaning(name) for name in names}
    return {name: told for name, told in found.items() if told}
