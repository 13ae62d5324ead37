"""What each measure of divergence means, in the words of a report's reader."""

from __future__ import annotations

from collections.abc import Iterable

PARTS = "A share in parentheses is of a part within a step: it is in the step's share already."
MEANS = {
    "disagreement": "0 the same answer, 1 another one; what the verdict's limit is about",
    "difference": "challenger less champion, in the answer's own unit",
    "absolute": "size of that difference",
    "relative": "difference as a share of both values' mean size, from 0 to 2",
    "beyond_tolerance": "share of answers that differ by more than rounding",
    "total_variation": "largest difference in probability of any event: 0 the same, 1 disjoint",
    "jensen_shannon": "distance of the two distributions: 0 the same, 1 disjoint",
    "shift": "challenger's probability less the champion's, of the positive class or the champion's first",
    "flip": "share of answers whose decision changes",
    "edit_distance": "share of characters to change to turn one text into the other",
    "token_distance": "share of words that the two texts do not share",
    "cosine_distance": "angle between the two vectors: 0 the same direction, 2 opposite ones",
    "norm_shift": "how much longer the challenger's vector is, as a share of both",
    "jaccard_distance": "share of the items of both that only one has",
    "gained": "items that only the challenger has",
    "lost": "items that only the champion has",
    "rbo_divergence": "how far the two orders lie apart, the first places counting most: 0 the same, 1 disjoint",
    "top_k_distance": "share of the first places that the two lists do not share",
    "tau_distance": "share of pairs of shared items that stand in another order",
}


def meaning(name: str) -> str:
    """Return what a measure means; of a field's own, as ``price/absolute``, what comes last counts.

    Examples
    --------
    >>> meaning("price/flip"), meaning("another")
    ('share of answers whose decision changes', '')
    """
    return MEANS.get(name.rpartition("/")[2], "")


def legend(names: Iterable[str]) -> dict[str, str]:
    """Return the meanings of several measures, each once."""
    found = {name.rpartition("/")[2]: meaning(name) for name in names}
    return {name: told for name, told in found.items() if told}
