"""Numbers: how far off, in which direction, and beyond which tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from shadowserve.divergence.align import Outputs, Type, align, floats
from shadowserve.divergence.compared import (
    DISAGREEMENT,
    Compared,
    Divergence,
    Measure,
    Swap,
    compared,
)
from shadowserve.divergence.kind import Always, Given, OutputKind, Parts, Usual, mean_of
from shadowserve.divergence.signs import Declared, Form, Sample, Values
from shadowserve.divergence.tolerance import DEFAULT_TOLERANCE, Tolerance
from shadowserve.legible import number, share
from shadowserve.settings.vocabulary import Kind
from shadowserve.statistics.tally import Moments, Pairs, Quantiles, histogram, wasserstein
from shadowserve.statistics.tally.state import finite

_LARGEST = float(np.finfo(np.float64).max)
MEASURES = (
    DISAGREEMENT,
    Measure(
        "difference",
        -np.inf,
        np.inf,
        Swap.SIGN,
        "challenger less champion, in the answer's own unit",
    ),
    Measure("absolute", 0, np.inf, meaning="size of that difference"),
    Measure(
        "relative",
        0,
        2,
        meaning="difference as a share of both values' mean size, from 0 to 2",
    ),
    Measure.distance("beyond_tolerance", "share of answers that differ by more than rounding"),
)


@dataclass(frozen=True, slots=True)
class NumberDivergence:
    """Compare numbers.

    Two whole numbers are compared exactly, whatever their size: no tolerance makes 2^53 and the next
    one alike.

    ``disagreement``
        |a - b| / (|a| + |b|), and 0 within tolerance: rounding is no disagreement. 0 same, 1 if
        the signs differ or one side is 0.
    ``difference``
        Lane minus champion, in the unit of the output; above 0 the lane says more.
    ``absolute``
        Its size.
    ``relative``
        |a - b| / max(|a|, |b|): 0.1 is ten percent of the larger; 0 where both are 0.
    ``beyond_tolerance``
        1 if the numbers differ by more than the tolerance.

    >>> NumberDivergence().compare([2.0, 1], [1.0, 1.0]).values["difference"].tolist()
    [-1.0, 0.0]
    """

    tolerance: Tolerance = DEFAULT_TOLERANCE
    kind: str = Kind.NUMBER
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows numbers; see `Divergence.compare`."""
        aligned = align(champion, lane)
        measured = aligned.comparable & (aligned.types == Type.NUMBER)

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            sides = _rows(aligned.champion, rows), _rows(aligned.lane, rows)
            return self._measure(*map(floats, sides), exact=_whole_apart(*sides))

        return compared(aligned, measures=MEASURES, measured=measured, measure=measure)

    def _measure(
        self, champion: np.ndarray, lane: np.ndarray, *, exact: np.ndarray
    ) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        whole = ~np.isnan(exact)
        # Two different whole numbers are different, though floats beyond 2^53 call them one.
        close = self.tolerance.within(champion, lane) & ~whole
        # Opposite numbers near the largest float lie further apart than a float can say.
        with np.errstate(over="ignore"):
            difference = np.clip(lane - champion, -_LARGEST, _LARGEST)
        difference = np.where(whole, exact, difference)
        # halves: two numbers near the largest float neither overflow nor lose their ratio
        apart = np.where(whole, np.abs(exact / 2), np.abs(lane / 2 - champion / 2))
        a, b = np.abs(champion) / 2, np.abs(lane) / 2
        found = {
            "disagreement": np.where(close, 0.0, np.minimum(1.0, _ratio(apart, a / 2 + b / 2) / 2)),
            "difference": difference,
            "absolute": np.abs(difference),
            "relative": _ratio(apart, np.maximum(a, b)),
            "beyond_tolerance": (~close).astype(np.float64),
        }
        return found, close


def _rows(outputs: Sequence[Any], rows: np.ndarray) -> Sequence[Any]:
    return outputs if rows.size == len(outputs) else [outputs[i] for i in rows.tolist()]


def _whole_apart(champion: Sequence[Any], lane: Sequence[Any]) -> np.ndarray:
    """Return lane minus champion where both are whole numbers, taken exactly; NaN elsewhere."""
    return floats(
        [
            b - a if type(a) is int and type(b) is int else np.nan
            for a, b in zip(champion, lane, strict=True)
        ]
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, 0 where both are 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


class Number(OutputKind):
    """Numbers: bias, sizes of error, correlation, and how far the two distributions lie apart."""

    name = Kind.NUMBER
    measures = MEASURES
    unit = "relative difference"
    slice_unit = "rank of the error"
    usual = Usual("answers", any_unit=True)
    decisive = "absolute_error"
    of_numbers = True

    def make(self, given: Given) -> NumberDivergence:
        """Return what compares numbers."""
        return NumberDivergence()

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether all are numbers; whole ones are labels, unless the model is known to be no classifier."""
        numbers = sample.form is Form.SCALAR and sample.types <= {int, float}
        # A class 0, 1, 2 and a count look alike. Labels are the safer guess: they are revised
        # later.
        return numbers and (sample.classifier is False or not sample.has_whole_numbers)

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether it is a number, or a whole one of no classifier."""
        if signature.form is not Form.SCALAR:
            return False
        if signature.values is Values.WHOLE:
            return signature.classifier is False
        return signature.values is Values.NUMBER and not signature.classifier

    def parts(self, divergence: Divergence) -> Parts:
        """Return quantiles of errors and of both sides, and their correlation."""
        return {
            "difference": Quantiles(),
            "absolute": Quantiles(tail=True),
            "relative": Quantiles(tail=True),
            "champion": Quantiles(),
            "lane": Quantiles(),
            "champion_moments": Moments(),
            "lane_moments": Moments(),
            "pairs": Pairs(),
        }

    def feed(
        self, parts: Parts, champion: Sequence[Any], lane: Sequence[Any], compared: Compared
    ) -> None:
        """Feed errors, and both sides' own values."""
        for name in ("difference", "absolute", "relative"):
            parts[name].add(compared.values[name])
        sides = {"champion": floats(champion), "lane": floats(lane)}
        for name, values in sides.items():
            parts[name].add(values)
            parts[f"{name}_moments"].add(values)
        parts["pairs"].add(sides["champion"], sides["lane"])

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return bias (lane minus champion), error quantiles, correlation, Wasserstein distance."""
        return {
            "bias": mean_of(parts, "difference"),
            "share_beyond_tolerance": mean_of(parts, "beyond_tolerance"),
            "difference": parts["difference"].summary(),
            "absolute": parts["absolute"].summary(),
            "relative": parts["relative"].summary(),
            "correlation": parts["pairs"].summary()["correlation"],
            "wasserstein": finite(wasserstein(parts["champion"], parts["lane"])),
            "champion": {**parts["champion"].summary(), **parts["champion_moments"].summary()},
            "lane": {**parts["lane"].summary(), **parts["lane_moments"].summary()},
            "histogram": histogram(parts["champion"], parts["lane"]),
        }

    def tell(self, figures: Mapping[str, Any], rate: float) -> str:
        """Say on how many requests numbers differ, and by how much on average."""
        return f"answers another number for {share(rate)} of requests{_bias(figures)}"

    def tell_slice(self, here: float, elsewhere: float) -> str:
        """Say how far off numbers are, by rank: nearly every one is a little off."""
        return (
            f"is further off: a difference there is on average larger than {share(here)} of all "
            f"differences so far, one elsewhere than {share(elsewhere)}"
        )

    def graded(self, parts: Parts, compared: Compared) -> np.ndarray:
        """Return the rank of each error among all, 0 within tolerance, which uses all of [0, 1].

        An error beyond tolerance is 1 for nearly every row of a wrong regression, and then no part of
        the traffic stands out.
        """
        errors = compared.values["absolute"]
        ranks = np.asarray([parts["absolute"].rank(float(e)) for e in errors])
        return np.where(compared.tolerant, 0.0, np.where(np.isnan(errors), 1.0, ranks))

    def placed(self, side: Sequence[Any]) -> list[Any]:
        """Return the numbers themselves; NaN where there is none."""
        return [float(value) for value in floats(side)]

    def wrong(self, truth: Any, answer: Any) -> Mapping[str, float]:
        """Tell how far a number is off; NaN where there is none, which counts nowhere."""
        whole = type(answer) is int and type(truth) is int  # exactly, beyond 2^53 too
        apart = abs(_float(answer - truth)) if whole else abs(_float(answer) - _float(truth))
        return {"absolute_error": apart, "squared_error": apart**2}

    def wrong_always(
        self, truths: Sequence[Any], answers: Sequence[Any], always: Always
    ) -> Mapping[str, Sequence[float]]:
        """Return how far the median label is off, and the mean label squared."""
        numbers, middle, mean = self.scale(truths), always.median, always.mean
        return {
            "absolute_error": [0.0 if middle is None else abs(t - middle) for t in numbers],
            "squared_error": [0.0 if mean is None else (t - mean) ** 2 for t in numbers],
        }

    def scale(self, truths: Sequence[Any]) -> tuple[float, ...]:
        """Return the labels as numbers."""
        return tuple(map(_float, truths))

    def tell_always(self, measure: str, always: Always) -> str:
        """Name the median, or for squared errors the mean; no number of a label is ever told."""
        return f"answering the {'mean' if measure == 'squared_error' else 'median'} label always"


def _bias(figures: Mapping[str, Any]) -> str:
    bias = figures.get("bias")
    if not bias:
        return ""
    direction = "higher" if bias > 0 else "lower"
    usual = (figures.get("champion") or {}).get("mean")
    relative = f" ({share(abs(bias / usual))} of the champion's mean)" if usual else ""
    return f"; on average {number(abs(bias))} {direction}{relative}"


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return nan
