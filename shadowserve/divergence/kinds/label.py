"""Labels: the same or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Outputs, align
from shadowserve.divergence.compared import DISAGREEMENT, Compared, Divergence, Measure, compared
from shadowserve.divergence.confused import are_whole, lost, named_class, never, swapped
from shadowserve.divergence.kind import Always, Given, OutputKind, Parts, Usual
from shadowserve.divergence.signs import Declared, Form, Sample
from shadowserve.legible import number, share
from shadowserve.settings.vocabulary import Kind
from shadowserve.statistics.tally import Confusion
from shadowserve.statistics.tally.keys import as_key, class_key

MEASURES = (DISAGREEMENT,)


@dataclass(frozen=True, slots=True)
class LabelDivergence:
    """Compare labels: ``disagreement`` is 0 where they are equal and 1 where not.

    1 and 1.0 are one label. 1 and "1", and 1 and true, differ in structure.

    >>> LabelDivergence().compare(["yes", "no"], ["yes", "yes"]).values["disagreement"].tolist()
    [0.0, 1.0]
    """

    kind: str = Kind.LABEL
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows labels; see `Divergence.compare`."""
        aligned = align(champion, lane)
        return compared(
            aligned, measures=MEASURES, measured=aligned.comparable, measure=_all_disagree
        )


def _all_disagree(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
    return {"disagreement": np.ones(rows.size)}, np.zeros(rows.size, dtype=bool)


class Label(OutputKind):
    """Labels: disagreement, confusion table and kappa. What is no other kind is a label."""

    name = Kind.LABEL
    measures = MEASURES
    unit = "share of requests"
    usual = Usual("answers", is_label=True)
    decisive = "error"
    bounds: Mapping[str, float] = {"error": 1.0}
    has_classes = True

    def make(self, given: Given) -> LabelDivergence:
        """Return what compares labels."""
        return LabelDivergence()

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether outputs are neither lists nor records."""
        return sample.form is Form.SCALAR

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether the output is neither list nor record."""
        return signature.form is Form.SCALAR

    def parts(self, divergence: Divergence) -> Parts:
        """Return the confusion table."""
        return {"confusion": Confusion()}

    def feed(
        self, parts: Parts, champion: Sequence[Any], lane: Sequence[Any], compared: Compared
    ) -> None:
        """Feed the confusion table."""
        parts["confusion"].add(champion, lane)

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return the confusion table, with kappa beside it."""
        confusion = parts["confusion"].summary()
        return {"kappa": confusion["kappa"], "confusion": confusion}

    def tell(self, figures: Mapping[str, Any], rate: float) -> str:
        """Say on how many requests labels differ, and what the differing ones have in common."""
        kappa = figures.get("kappa")
        agreed = f", kappa {number(kappa, 2)}" if kappa is not None else ""
        return (
            f"gives another label for {share(rate)} of requests{agreed}{swapped(figures)}"
            f"{never(figures)}{are_whole(figures)}"
        )

    def tell_apart(self, here: float, there: float, *, where: str) -> str:
        """Say on which share of requests labels differ, here and there."""
        return f"gives another label for {share(here)} of requests, {where} for {share(there)}"

    def lost(self, figures: Mapping[str, Any]) -> Sequence[str]:
        """Return the classes that a challenger never answers."""
        return [named_class(label) for label, _ in lost(figures)]

    def placed(self, side: Sequence[Any]) -> list[Any]:
        """Return each label as a text."""
        return [str(as_key(value)) for value in side]

    def wrong(self, truth: Any, answer: Any) -> Mapping[str, float]:
        """Return 1 for another label than the true one."""
        return {"error": float(class_key(truth) != class_key(answer))}

    def wrong_always(
        self, truths: Sequence[Any], answers: Sequence[Any], always: Always
    ) -> Mapping[str, Sequence[float]]:
        """Return how wrong the most frequent label is; before there is one, it is right."""
        # The first label would be wrong by nobody's fault: nothing could have been answered always.
        mode = always.mode
        return {"error": [float(mode not in (None, class_key(truth))) for truth in truths]}

    def classes(
        self, answers: Sequence[Any], scores: Mapping[str, float] | None
    ) -> list[str] | None:
        """Return the labels' own keys."""
        return [class_key(answer) for answer in answers]

    def tell_always(self, measure: str, always: Always) -> str:
        """Name the most frequent label by its share."""
        if always.mode is None:
            return "answering the most frequent label always"
        return f"answering the most frequent label always ({share(always.share(always.mode))})"
