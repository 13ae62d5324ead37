"""Probability vectors, laid side by side by class and never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, align, floats, plain
from shadowserve.divergence.blocks import paired
from shadowserve.divergence.compared import (
    Compared,
    Divergence,
    Measure,
    Swap,
    compared,
)
from shadowserve.divergence.kind import Given, OutputKind, Parts, Usual, mean_of
from shadowserve.divergence.signs import Declared, Form, Sample, Values
from shadowserve.divergence.tolerance import DEFAULT_TOLERANCE, Tolerance
from shadowserve.legible import number, share
from shadowserve.settings.vocabulary import Kind
from shadowserve.statistics.tally import Quantiles, histogram, wasserstein
from shadowserve.statistics.tally.state import finite

MEASURES = (
    Measure.distance(
        "total_variation",
        "largest difference in probability of any event: 0 the same, 1 disjoint",
    ),
    Measure.distance("jensen_shannon", "distance of the two distributions: 0 the same, 1 disjoint"),
    Measure(
        "shift",
        -1,
        1,
        Swap.FREE,
        "challenger's probability less the champion's, of the positive class or the champion's first",
    ),
    Measure.distance("flip", "share of answers whose decision changes"),
)


@dataclass(frozen=True, slots=True)
class ProbabilityDivergence:
    """Compare probability vectors.

    ``total_variation``
        Half the sum of |p - q|: 0 same, 1 disjoint. The largest difference in probability of any
        event.
    ``jensen_shannon``
        Jensen-Shannon distance with logarithms to base 2 (Endres & Schindelin 2003; what
        `scipy.spatial.distance.jensenshannon` returns): 0 same, 1 disjoint.
    ``shift``
        Lane minus champion, of the positive class where there are two, else of the champion's top
        class; above 0 the lane is surer.
    ``flip``
        1 if the decision changes: the positive class crosses `threshold` where there are two, else
        another class is on top.

    Parameters
    ----------
    champion_classes, lane_classes : tuple, optional
        Class labels in the order of each side's columns. Columns are then aligned by class, and a
        class that one side lacks has probability 0 there; `missing` names it. Without them columns
        are taken to be in the same order, and another length is a difference of structure.
    threshold : float
        Decision threshold of the positive class, the second of two.

    Notes
    -----
    Rows may be lists, ndarrays, dicts by class, or single numbers (of the positive class).
    """

    champion_classes: tuple[Any, ...] | None = None
    lane_classes: tuple[Any, ...] | None = None
    threshold: float = 0.5
    tolerance: Tolerance = DEFAULT_TOLERANCE
    kind: str = Kind.PROBABILITY
    measures: tuple[Measure, ...] = MEASURES

    @property
    def missing(self) -> dict[str, tuple[Any, ...]]:
        """Classes that one side lacks, by side; both empty where classes are not known."""
        champion, lane = self.champion_classes or (), self.lane_classes or ()
        return {
            "champion": tuple(c for c in lane if c not in champion) if champion else (),
            "lane": tuple(c for c in champion if c not in lane) if lane else (),
        }

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows probability vectors; see `Divergence.compare`."""
        champion, lane = _by_class(
            _vectors(champion), _vectors(lane), self.champion_classes, self.lane_classes
        )
        both = paired(align(champion, lane))

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            p, q = both.champion[rows], both.lane[rows]
            close = np.all(self.tolerance.within(p, q), axis=1)
            return self._measure(p, q, _two_classes(both.aligned, rows)), close

        return compared(both.aligned, measures=MEASURES, measured=both.measured, measure=measure)

    def _measure(self, p: np.ndarray, q: np.ndarray, two: np.ndarray) -> dict[str, np.ndarray]:
        everyone, top = np.arange(len(p)), p.argmax(axis=1)
        # Of two classes one number says all; of more, the class that the champion would have
        # chosen.
        watched = np.where(two, 1, top)
        before, after = p[everyone, watched], q[everyone, watched]
        crossed = (before >= self.threshold) != (after >= self.threshold)
        return {
            "total_variation": np.clip(np.abs(p - q).sum(axis=1) / 2, 0.0, 1.0),
            "jensen_shannon": jensen_shannon(p, q),
            "shift": np.clip(after - before, -1.0, 1.0),
            "flip": np.where(two, crossed, q.argmax(axis=1) != top).astype(np.float64),
        }


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance of each row, base 2.

    Parameters
    ----------
    p, q : ndarray of shape (n_rows, n_classes), float64, not negative
        Rows are scaled to sum to 1; a row without any mass is as far as can be from one with mass.

    Returns
    -------
    ndarray of shape (n_rows,), float64, in [0, 1]
    """
    p_mass, q_mass = np.clip(p, 0, None).sum(axis=1), np.clip(q, 0, None).sum(axis=1)
    # A model may answer probabilities that do not sum to 1, or fall a hair below 0.
    p = np.clip(p, 0, None) / np.where(p_mass > 0, p_mass, 1.0)[:, None]
    q = np.clip(q, 0, None) / np.where(q_mass > 0, q_mass, 1.0)[:, None]
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    distance = np.sqrt(np.clip(divergence, 0.0, 1.0))
    # Two rows without any mass are alike; the formula alone would give 0 for one without, too.
    return np.where((p_mass > 0) == (q_mass > 0), distance, 1.0)


def _relative_entropy(p: np.ndarray, middle: np.ndarray) -> np.ndarray:
    # the middle of the smallest float and 0 is 0
    ratio = np.divide(p, middle, out=np.ones_like(p), where=(p > 0) & (middle > 0))
    return np.asarray((p * np.log2(ratio)).sum(axis=1))


def _two_classes(aligned: Aligned, rows: np.ndarray) -> np.ndarray:
    return np.array([len(aligned.champion[i]) == 2 for i in rows.tolist()], dtype=bool)


def _vectors(outputs: Outputs) -> list[Any]:
    """Return single probabilities as [1 - p, p]; everything else as it is."""
    rows = outputs.tolist() if isinstance(outputs, np.ndarray) else list(outputs)
    return [[1.0 - v, v] if _is_number(v) else v for v in map(_plain_row, rows)]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e300


def _plain_row(row: Any) -> Any:
    return row if type(row) in (list, dict, float) else plain(row)


def _by_class(
    champion: list[Any],
    lane: list[Any],
    champion_classes: tuple[Any, ...] | None,
    lane_classes: tuple[Any, ...] | None,
) -> tuple[list[Any], list[Any]]:
    """Bring both sides into one order of classes, filling with 0 what a side lacks."""
    if champion_classes and lane_classes and champion_classes != lane_classes:
        # A class that only the lane knows comes last, where it moves no column of the champion's.
        extra = [c for c in lane_classes if c not in champion_classes]
        order = [*champion_classes, *extra]
        champion = [_spread(row, champion_classes, order) for row in champion]
        lane = [_spread(row, lane_classes, order) for row in lane]
    if any(type(row) is dict for row in champion) and any(type(row) is dict for row in lane):
        pairs = [_spread_dicts(a, b) for a, b in zip(champion, lane, strict=False)]
        # Rows beyond the shorter side would be lost without a word; alignment says that lengths
        # differ.
        if len(champion) == len(lane):
            champion, lane = [a for a, _ in pairs], [b for _, b in pairs]
    return champion, lane


def _spread(row: Any, classes: tuple[Any, ...], order: list[Any]) -> Any:
    # A row of another width is left for alignment, which calls it a difference of structure.
    if type(row) is not list or len(row) != len(classes):
        return row
    by_class = dict(zip(classes, row, strict=True))
    return [by_class.get(c, 0.0) for c in order]


def _spread_dicts(a: Any, b: Any) -> tuple[Any, Any]:
    if type(a) is not dict or type(b) is not dict:
        return a, b
    order = [*a, *(c for c in b if c not in a)]
    return [a.get(c, 0.0) for c in order], [b.get(c, 0.0) for c in order]


class Probability(OutputKind):
    """Probabilities: shift, flips, and both sides' scores."""

    name = Kind.PROBABILITY
    measures = MEASURES
    unit = "total variation"
    usual = Usual("probabilities", least_range=0.05)
    decisive = "brier"
    has_classes = True

    def make(self, given: Given) -> ProbabilityDivergence:
        """Return what compares probabilities, by class where both sides' classes are known."""
        return ProbabilityDivergence(
            champion_classes=given.options.champion_classes,
            lane_classes=given.options.lane_classes,
        )

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether each row sums to 1, or has as many numbers as there are classes."""
        if sample.form is Form.RECORD:
            return all(_is_distribution(list(row.values())) for row in sample.rows)
        if not sample.has_lists_of_floats:
            return False
        known = ([v for v in row if v is not None] for row in sample.rows)
        # A model with rounding or calibration need not sum to 1; its number of classes then tells.
        return all(map(_is_distribution, known)) or (
            bool(sample.n_classes) and sample.widths == {sample.n_classes}
        )

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether a classifier answers lists of numbers of one length."""
        return (
            signature.form is Form.LIST
            and signature.values is Values.NUMBER
            and signature.width is not None
            and bool(signature.classifier)
        )

    def parts(self, divergence: Divergence) -> Parts:
        """Return quantiles of the shift and of both sides' scores."""
        return {"shift": Quantiles(), "champion": Quantiles(), "lane": Quantiles()}

    def feed(
        self, parts: Parts, champion: Sequence[Any], lane: Sequence[Any], compared: Compared
    ) -> None:
        """Feed shifts and scores."""
        parts["shift"].add(compared.values["shift"])
        parts["champion"].add(_positive(champion))
        parts["lane"].add(_positive(lane))

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return mean shift, share of flips, and the distance of the scores' distributions."""
        return {
            "shift": {**parts["shift"].summary(), "mean": mean_of(parts, "shift")},
            "share_flipped": mean_of(parts, "flip"),
            "wasserstein": finite(wasserstein(parts["champion"], parts["lane"])),
            "champion": parts["champion"].summary(),
            "lane": parts["lane"].summary(),
            "histogram": histogram(parts["champion"], parts["lane"], within=(0.0, 1.0)),
        }

    def tell(self, figures: Mapping[str, Any], rate: float) -> str:
        """Say on how many requests probabilities differ, which way, and how often a decision changes."""
        return f"gives other probabilities for {share(rate)} of requests{_moved(figures)}"

    def placed(self, side: Sequence[Any]) -> list[Any]:
        """Return the positive class's probability where there are two classes, else NaN."""
        return [float(value) for value in _positive(side)]

    def classes(
        self, answers: Sequence[Any], scores: Mapping[str, float] | None
    ) -> list[str] | None:
        """Return the likeliest class, of a request of one row."""
        if not scores or len(answers) != 1:
            return None
        return [max(scores, key=lambda key: scores[key])]


def _is_distribution(row: list[Any]) -> bool:
    numeric = all(type(v) in (int, float) and 0 <= v <= 1 for v in row)
    return numeric and len(row) > 1 and abs(sum(row) - 1) <= 1e-3


def _positive(outputs: Sequence[Any]) -> np.ndarray:
    """Probability of the positive class where there are two, else NaN."""
    return floats([row[1] if type(row) is list and len(row) == 2 else row for row in outputs])


def _moved(figures: Mapping[str, Any]) -> str:
    mean, flipped = (figures.get("shift") or {}).get("mean"), figures.get("share_flipped")
    if mean is None or flipped is None:
        return ""
    # A probability by itself is known of two classes alone.
    two = bool((figures.get("champion") or {}).get("n"))
    whose = "the positive class" if two else "the class that the champion holds likeliest"
    return (
        f"; {whose} is on average {number(abs(mean), 2)} {'higher' if mean > 0 else 'lower'}, "
        f"and the decision changes for {share(flipped)}"
    )
