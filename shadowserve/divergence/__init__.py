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
    Measure,
    Swap,
    names,
)
from shadowserve.divergence.detection import by_row, detect, kind_named
from shadowserve.divergence.field import field_of, without
from shadowserve.divergence.kind import OutputKind, Usual, divergence_of, output_kind, registered
from shadowserve.divergence.kinds import KINDS
from shadowserve.divergence.options import Options
from shadowserve.divergence.revision import Revision
from shadowserve.divergence.tally import KindTally, resumed, tally
from shadowserve.divergence.tolerance import Tolerance
from shadowserve.settings.vocabulary import Kind

__all__ = [
    "KINDS",
    "Compared",
    "Divergence",
    "Kind",
    "KindTally",
    "Measure",
    "Options",
    "OutputKind",
    "Revision",
    "Swap",
    "Tolerance",
    "Usual",
    "by_row",
    "detect",
    "divergence_of",
    "field_of",
    "kind_named",
    "names",
    "output_kind",
    "registered",
    "resumed",
    "tally",
    "without",
]
