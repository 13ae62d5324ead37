"""Records: named fields, each compared as an output of its own kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, Type, align
from shadowserve.divergence.compared import Compared, Divergence, Measure
from shadowserve.divergence.kind import Given
from shadowserve.divergence.kinds import fields as of_fields
from shadowserve.divergence.kinds.fields import OfFields
from shadowserve.divergence.options import Options
from shadowserve.divergence.signs import Declared, Form, Sample
from shadowserve.settings.vocabulary import Kind


@dataclass(frozen=True, slots=True)
class RecordDivergence:
    """Compare dicts field by field.

    ``disagreement``
        Mean of the fields' own disagreements: 0 same, 1 all fields disjoint.
    ``<field>/<measure>``
        What the field's kind measures.

    Parameters
    ----------
    fields : mapping of field name to Divergence
    ignore : frozenset of str
        Fields that say nothing, such as a random id: left out of everything.

    Notes
    -----
    A field that one side lacks is a difference of structure, and so is one that `fields` does not
    know, if its values differ.
    """

    fields: Mapping[str, Divergence]
    ignore: frozenset[str] = frozenset()
    kind: str = Kind.RECORD

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The mean, then every field's measures."""
        return of_fields.field_measures(self.fields)

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows dicts; see `Divergence.compare`."""
        aligned = align(champion, lane)
        measured = aligned.comparable & (aligned.types == Type.OBJECT)
        differs, pairs = self._unknown_keys(aligned, measured)
        return of_fields.assemble(
            aligned, self.fields, measured=measured, differs=differs, pairs=pairs
        )

    def _unknown_keys(
        self, aligned: Aligned, measured: np.ndarray
    ) -> tuple[np.ndarray, Counter[tuple[str, str]]]:
        """Find fields that only one side has, and unknown ones that differ."""
        differs = np.zeros(measured.size, dtype=bool)
        pairs: Counter[tuple[str, str]] = Counter()
        known = self.fields.keys() | self.ignore
        for i in np.flatnonzero(measured).tolist():
            one, two = aligned.champion[i], aligned.lane[i]
            a, b = one.keys(), two.keys()
            # Nearly every record: no sets are built for it.
            if a == b and a <= known:
                continue
            # A field that no sample had shown has nothing to compare it; equal values need none.
            unknown = {name for name in (a & b) - known if one[name] != two[name]}
            for name in sorted(map(str, ((a ^ b) | unknown) - self.ignore)):
                differs[i] = True
                pairs[_presence(name, a), _presence(name, b)] += 1
        return differs, pairs


def _presence(name: str, keys: Iterable[Any]) -> str:
    return f"{name}: present" if name in map(str, keys) else f"{name}: absent"


class Record(OfFields):
    """Records: dicts with named fields."""

    name = Kind.RECORD

    def make(self, given: Given) -> RecordDivergence:
        """Return what compares records, by the fields that a signature or a sample names.

        Raises
        ------
        SettingsError
            If nothing names any.
        """
        rows = of_fields.known_rows(given.sample)
        # In order of appearance, of all rows: a record may leave out what another has.
        names = dict.fromkeys(str(k) for row in rows if isinstance(row, dict) for k in row)
        fields = of_fields.fields_of(self.name, rows, names, given=given)
        return RecordDivergence(fields, given.options.ignore)

    def resume(self, options: Options, fields: Mapping[str, Divergence]) -> RecordDivergence:
        """Return what compares records with these fields."""
        return RecordDivergence(fields, options.ignore)

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether all are dicts."""
        return sample.form is Form.RECORD

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether a signature names several outputs, or an object."""
        return signature.form is Form.RECORD
