"""Texts: how much editing leads from one to the other, and how many words they share.

Edit distance is rapidfuzz's (bit-parallel Levenshtein): a maintained library does in microseconds
what a table in Python does in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from rapidfuzz.distance import Levenshtein

from shadowserve.divergence.align import Aligned, Outputs, Type, align
from shadowserve.divergence.compared import Compared, Measure, compared
from shadowserve.divergence.kind import Given, OutputKind
from shadowserve.divergence.signs import Form, Sample
from shadowserve.settings.vocabulary import Kind

LONG = 40
"""Characters beyond which texts with spaces are no labels."""

MEASURES = (
    Measure.distance(
        "edit_distance", "share of characters to change to turn one text into the other"
    ),
    Measure.distance("token_distance", "share of words that the two texts do not share"),
)


@dataclass(frozen=True, slots=True)
class TextDivergence:
    """Compare texts.

    ``edit_distance``
        Fewest insertions, deletions and replacements of characters, divided by the longer length:
        0 same, 1 nothing in common.
    ``token_distance``
        1 - shared words / all words (Jaccard), words being what white space separates, lower case.

    Parameters
    ----------
    max_characters : int
        Texts are measured up to this length, since cost grows with the product of lengths. Equality
        is judged on the whole.
    """

    max_characters: int = 5_000
    kind: str = Kind.TEXT
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows texts; see `Divergence.compare`."""
        aligned = align(champion, lane)
        return compared(
            aligned,
            measures=MEASURES,
            measured=aligned.comparable & (aligned.types == Type.STRING),
            measure=partial(self._measure, aligned),
        )

    def _measure(
        self, aligned: Aligned, rows: np.ndarray
    ) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        end = self.max_characters
        pairs = [(aligned.champion[i][:end], aligned.lane[i][:end]) for i in rows.tolist()]
        found = {
            "edit_distance": np.array([Levenshtein.normalized_distance(a, b) for a, b in pairs]),
            "token_distance": np.array([_token_distance(a, b) for a, b in pairs]),
        }
        # Texts have no rounding: what is not equal is not nearly equal either.
        return found, np.zeros(rows.size, dtype=bool)


def _token_distance(champion: str, lane: str) -> float:
    a, b = set(champion.lower().split()), set(lane.lower().split())
    return 1.0 - len(a & b) / len(a | b) if a or b else 0.0


class Text(OutputKind):
    """Texts: edit distance and shared words."""

    name = Kind.TEXT
    measures = MEASURES

    def make(self, given: Given) -> TextDivergence:
        """Return what compares texts."""
        return TextDivergence()

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether strings are long, and have spaces in them."""
        if sample.form is not Form.SCALAR or sample.types != {str}:
            return False
        is_long = np.mean([len(v) for v in sample.rows]) > LONG
        return bool(is_long) and any(" " in v for v in sample.rows)
