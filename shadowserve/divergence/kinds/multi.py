"""Several outputs at once: each compared, by its position, as an output of its own kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.divergence.align import Outputs, Type, align
from shadowserve.divergence.blocks import widths
from shadowserve.divergence.compared import Compared, Divergence, Measure
from shadowserve.divergence.kind import Given
from shadowserve.divergence.kinds import fields as of_fields
from shadowserve.divergence.kinds.fields import OfFields
from shadowserve.divergence.options import Options
from shadowserve.divergence.signs import Declared, Form, Sample
from shadowserve.settings.vocabulary import Kind


@dataclass(frozen=True, slots=True)
class MultiDivergence:
    """Compare rows of several outputs, output by output.

    ``disagreement``
        Mean of the outputs' own disagreements.
    ``<position>/<measure>``
        What the output's kind measures; positions count from 0.

    Rows of different length differ in structure. Rows that both have another number of outputs
    than `fields` are judged by equality alone.
    """

    fields: Mapping[str, Divergence]
    kind: str = Kind.MULTI

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The mean, then every output's measures."""
        return of_fields.field_measures(self.fields)

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows lists; see `Divergence.compare`."""
        aligned = align(champion, lane)
        listed = aligned.comparable & (aligned.types == Type.LIST)
        a, b = widths(aligned.champion, listed), widths(aligned.lane, listed)
        differs = listed & (a != b)
        pairs = Counter(
            (f"list[{a[i]}]", f"list[{b[i]}]") for i in np.flatnonzero(differs).tolist()
        )
        # Both may have grown alike; then no field compares what is new, and equality decides.
        measured = listed & ~differs & (a == len(self.fields))
        return of_fields.assemble(
            aligned, self.fields, measured=measured, differs=differs, pairs=pairs
        )


class Multi(OfFields):
    """Several outputs a row, by position. A list that is nothing else is several outputs."""

    name = Kind.MULTI

    def make(self, given: Given) -> MultiDivergence:
        """Return what compares several outputs, as many as a sample or a signature has.

        Raises
        ------
        SettingsError
            If nothing tells how many.
        """
        rows = of_fields.known_rows(given.sample)
        width = max((len(row) for row in rows if isinstance(row, list)), default=0)
        names = map(str, range(width))
        fields = of_fields.fields_of(self.name, rows, names, given=given)
        return MultiDivergence(fields)

    def resume(self, options: Options, fields: Mapping[str, Divergence]) -> MultiDivergence:
        """Return what compares as many outputs."""
        return MultiDivergence(fields)

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether all are lists."""
        return sample.form is Form.LIST

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether it is a list."""
        return signature.form is Form.LIST
