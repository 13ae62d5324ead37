"""How far two answers lie apart, for every kind of answer a model can give.

`detect` says which kind a model's outputs are, `divergence_of` what compares them, its `compare`
lays one batch side by side, and `tally` remembers all batches in bounded memory::

    kind = detect(signature.outputs.to_dict(), sample)
    divergence = divergence_of(kind, sample=sample)
    remembered = tally(divergence)
    compared = divergence.compare(champion, lane)
    remembered.add(champion, lane, compared)
"""

from __future__ import annotations

from shadowserve.divergence.compared import (
    Compared,
    Divergence,
    Kind,
    Measure,
    Swap,
    Tolerance,
    names,
)
from shadowserve.divergence.detection import by_row, detect, kind_named
from shadowserve.divergence.fields import without
from shadowserve.divergence.options import Options, divergence_of, resumed
from shadowserve.divergence.revision import Revision
from shadowserve.divergence.tallies import KindTally, tally

__all__ = [
    "Compared",
    "Divergence",
    "Kind",
    "KindTally",
    "Measure",
    "Options",
    "Revision",
    "Swap",
    "Tolerance",
    "by_row",
    "detect",
    "divergence_of",
    "kind_named",
    "names",
    "resumed",
    "tally",
    "without",
]
