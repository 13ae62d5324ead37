"""What labels that differ have in common: classes that changed places, or are never answered any more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shadowserve.legible import share
from shadowserve.statistics.tally.confusion import OTHER

MOSTLY = 0.8
LEAST_ANSWERS = 10
"""Answers of the champion from which a class that the challenger never gives is no chance."""

MOST_NAMED = 3
MOST_LETTERS = 40


def swapped(told: Mapping[str, Any]) -> str:
    """Say so where labels have simply changed places: each wrong one nearly always became one other."""
    cells = (told.get("confusion") or {}).get("cells") or []
    became: dict[str, dict[str, int]] = {}
    for cell in cells:
        became.setdefault(cell["champion"], {})[cell["lane"]] = cell["n"]
    moved = {}
    for label, others in became.items():
        other, n = max(others.items(), key=lambda item: item[1])
        if other != label and n > MOSTLY * sum(others.values()):
            moved[label] = other
    # Labels that all became one other are a collapse, and no exchange.
    if len(moved) < 2 or set(moved) != set(moved.values()):
        return ""
    return (
        "; the two labels look swapped"
        if len(moved) == 2
        else f"; {len(moved)} labels look permuted"
    )


def never(told: Mapping[str, Any]) -> str:
    """Say which classes the challenger never answers, and for how many the champion did."""
    classes = list(lost(told))
    if not classes:
        return ""
    named = " and ".join(
        f"{named_class(label)}; the champion did for {share(part)}"
        if len(classes) == 1
        else f"{named_class(label)} (the champion did for {share(part)})"
        for label, part in classes[:MOST_NAMED]
    )
    more = len(classes) - MOST_NAMED
    return f"; it never answers {named}" + (f" and {more} more" if more > 0 else "")


def are_whole(told: Mapping[str, Any]) -> str:
    """Say that whole numbers count as classes, where they may be something else."""
    cells = (told.get("confusion") or {}).get("cells") or []
    # Up to three whole numbers are hardly ever a quantity.
    labels = {cell[side] for cell in cells for side in ("champion", "lane")} - {OTHER}
    if len(labels) <= MOST_NAMED or not all(label.lstrip("-").isdecimal() for label in labels):
        return ""
    return "; whole numbers count as classes (--output-kind number compares their sizes)"


def named_class(label: str) -> str:
    """Return a class as people call it, from its JSON text.

    Examples
    --------
    >>> named_class('"shipping"'), named_class("7")
    ('shipping', '7')
    """
    value = json.loads(label) if label.startswith('"') else label
    return value if len(value) <= MOST_LETTERS else f"{value[:MOST_LETTERS]}…"


def lost(told: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the classes that the challenger never answers, with the champion's share of each."""
    confusion = told.get("confusion") or {}
    n, lane = confusion.get("n") or 0, confusion.get("lane") or {}
    for label, part in (confusion.get("champion") or {}).items():
        # "Other" is of many labels, and a null is no class.
        if label not in (OTHER, "null") and label not in lane and part * n >= LEAST_ANSWERS:
            yield label, part
