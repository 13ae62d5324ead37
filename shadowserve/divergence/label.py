"""Labels: the same or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.divergence.align import Outputs, align
from shadowserve.divergence.compared import Compared, Kind, Measure, compared

MEASURES = (Measure("disagreement", 0, 1),)


@dataclass(frozen=True, slots=True)
class LabelDivergence:
    """Compare labels: ``disagreement`` is 0 where they are equal and 1 where not.

    1 and 1.0 are one label. 1 and "1", and 1 and true, differ in structure.

    >>> LabelDivergence().compare(["yes", "no"], ["yes", "yes"]).values["disagreement"].tolist()
    [0.0, 1.0]
    """

    kind: Kind = Kind.LABEL
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows labels; see `Divergence.compare`."""
        aligned = align(champion, lane)
        return compared(
            aligned, measures=MEASURES, measured=aligned.comparable, measure=_all_disagree
        )


def _all_disagree(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
    return {"disagreement": np.ones(rows.size)}, np.zeros(rows.size, dtype=bool)
