"""Rows made of parts: records with named fields, and several outputs at once.

Each part is compared as an output of its own kind, so that a finding can say which field is off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, Type, align, plain_rows
from shadowserve.divergence.blocks import widths
from shadowserve.divergence.compared import DISAGREEMENT, Compared, Divergence, Measure
from shadowserve.divergence.detection import detect
from shadowserve.divergence.field import field_of
from shadowserve.divergence.kind import OutputKind, Parts, Signature, divergence_of
from shadowserve.divergence.options import Options
from shadowserve.divergence.signs import Declared, Form, Sample
from shadowserve.divergence.tally import KindTally, tally
from shadowserve.errors import SettingsError
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
        return _measures(self.fields)

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows dicts; see `Divergence.compare`."""
        aligned = align(champion, lane)
        measured = aligned.comparable & (aligned.types == Type.OBJECT)
        differs, pairs = self._strangers(aligned, measured)
        return _assemble(aligned, self.fields, measured=measured, differs=differs, pairs=pairs)

    def _strangers(
        self, aligned: Aligned, measured: np.ndarray
    ) -> tuple[np.ndarray, Counter[tuple[str, str]]]:
        """Find fields that only one side has, and unknown ones that differ."""
        differs = np.zeros(measured.size, dtype=bool)
        pairs: Counter[tuple[str, str]] = Counter()
        known = self.fields.keys() | self.ignore
        for i in np.flatnonzero(measured).tolist():
            one, two = aligned.champion[i], aligned.lane[i]
            a, b = one.keys(), two.keys()
            if a == b and a <= known:
                continue
            unknown = {name for name in (a & b) - known if one[name] != two[name]}
            for name in sorted(map(str, ((a ^ b) | unknown) - self.ignore)):
                differs[i] = True
                pairs[_presence(name, a), _presence(name, b)] += 1
        return differs, pairs


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
        return _measures(self.fields)

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows lists; see `Divergence.compare`."""
        aligned = align(champion, lane)
        listed = aligned.comparable & (aligned.types == Type.LIST)
        a, b = widths(aligned.champion, listed), widths(aligned.lane, listed)
        differs = listed & (a != b)
        pairs = Counter(
            (f"list[{a[i]}]", f"list[{b[i]}]") for i in np.flatnonzero(differs).tolist()
        )
        measured = listed & ~differs & (a == len(self.fields))
        return _assemble(aligned, self.fields, measured=measured, differs=differs, pairs=pairs)


def _measures(fields: Mapping[str, Divergence]) -> tuple[Measure, ...]:
    parts = (
        Measure(f"{name}/{m.name}", m.low, m.high, m.swap)
        for name, divergence in fields.items()
        for m in divergence.measures
    )
    return (DISAGREEMENT, *parts)


def _presence(name: str, keys: Iterable[Any]) -> str:
    return f"{name}: present" if name in map(str, keys) else f"{name}: absent"


def _assemble(
    aligned: Aligned,
    fields: Mapping[str, Divergence],
    *,
    measured: np.ndarray,
    differs: np.ndarray,
    pairs: Counter[tuple[str, str]],
) -> Compared:
    parts = {
        name: d.compare(field_of(aligned.champion, name), field_of(aligned.lane, name))
        for name, d in fields.items()
    }
    rest = aligned.equal & ~measured  # two nulls are equal; what is no record is judged as a whole
    whole = measured & ~differs
    values = {"disagreement": _mean_disagreement(aligned, parts, measured)}
    for name, part in parts.items():
        for measure, column in part.values.items():
            values[f"{name}/{measure}"] = np.where(measured | rest, column, np.nan)
    for name, part in parts.items() if not aligned.of_lengths else ():
        for (a, b), n in part.kind_of_structure.items():
            pairs[f"{name}: {a}", f"{name}: {b}"] += n
    return Compared(
        values=values,
        primary=DISAGREEMENT.name,
        structure=aligned.structure | differs | _any(parts, "structure", measured),
        kind_of_structure=pairs + Counter(aligned.differing_types()),
        exact=rest | (whole & ~_any(parts, "exact", measured, negated=True)),
        tolerant=rest | (whole & ~_any(parts, "tolerant", measured, negated=True)),
        nan_mismatch=aligned.nan_mismatch | _any(parts, "nan_mismatch", whole),
        champion_nonfinite=aligned.champion_nonfinite | _any(parts, "champion_nonfinite", whole),
        lane_nonfinite=aligned.lane_nonfinite | _any(parts, "lane_nonfinite", whole),
        parts=parts,
    )


def _any(
    parts: Mapping[str, Compared], name: str, rows: np.ndarray, *, negated: bool = False
) -> np.ndarray:
    """Whether a flag is set (or, negated, not set) in any part, on these rows."""
    found = np.zeros(rows.size, dtype=bool)
    for part in parts.values():
        flag: np.ndarray = getattr(part, name)
        found |= ~flag if negated else flag
    return np.asarray(found & rows)


def _mean_disagreement(
    aligned: Aligned, parts: Mapping[str, Compared], measured: np.ndarray
) -> np.ndarray:
    mean = np.where(aligned.equal & ~measured, 0.0, np.nan)
    if parts:
        mean[measured] = np.mean([part.disagreement()[measured] for part in parts.values()], axis=0)
    else:
        mean[measured] = 0.0
    other = aligned.comparable & ~measured & ~aligned.equal & ~aligned.structure
    mean[other] = 1.0
    return mean


class OfFields(OutputKind):
    """What records and several outputs have in common: a tally for each field."""

    measures = (DISAGREEMENT,)

    def parts(self, divergence: Divergence) -> Parts:
        """Return one tally a field."""
        if not isinstance(divergence, RecordDivergence | MultiDivergence):
            raise TypeError("Only records and several outputs have fields.")
        return {f"field/{name}": tally(d) for name, d in divergence.fields.items()}

    def feed(
        self, parts: Parts, champion: Sequence[Any], lane: Sequence[Any], compared: Compared
    ) -> None:
        """Feed each field's tally."""
        for name, part in compared.parts.items():
            columns = field_of(champion, name), field_of(lane, name)
            parts[f"field/{name}"].add(*columns, part)

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return each field's summary."""
        tallies = ((name, part) for name, part in parts.items() if isinstance(part, KindTally))
        return {"fields": {name.removeprefix("field/"): part.summary() for name, part in tallies}}


class Record(OfFields):
    """Records: dicts with named fields."""

    name = Kind.RECORD

    def make(
        self, options: Options, *, signature: Signature = None, sample: Outputs = ()
    ) -> RecordDivergence:
        """Return what compares records, by the fields that a signature or a sample names.

        Raises
        ------
        SettingsError
            If nothing names any.
        """
        rows = _known(sample)
        names = dict.fromkeys(str(k) for row in rows if isinstance(row, dict) for k in row)
        fields = _fields(self.name, rows, names, options=options, signature=signature)
        return RecordDivergence(fields, options.ignore)

    def resume(self, options: Options, fields: Mapping[str, Divergence]) -> RecordDivergence:
        """Return what compares records with these fields."""
        return RecordDivergence(fields, options.ignore)

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether all are dicts."""
        return sample.form is Form.RECORD

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether a signature names several outputs, or an object."""
        return signature.form is Form.RECORD


class Multi(OfFields):
    """Several outputs a row, by position. A list that is nothing else is several outputs."""

    name = Kind.MULTI

    def make(
        self, options: Options, *, signature: Signature = None, sample: Outputs = ()
    ) -> MultiDivergence:
        """Return what compares several outputs, as many as a sample or a signature has.

        Raises
        ------
        SettingsError
            If nothing tells how many.
        """
        rows = _known(sample)
        width = max((len(row) for row in rows if isinstance(row, list)), default=0)
        names = map(str, range(width))
        fields = _fields(self.name, rows, names, options=options, signature=signature)
        return MultiDivergence(fields)

    def resume(self, options: Options, fields: Mapping[str, Divergence]) -> MultiDivergence:  # noqa: ARG002
        """Return what compares as many outputs."""
        return MultiDivergence(fields)

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether all are lists."""
        return sample.form is Form.LIST

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether it is a list."""
        return signature.form is Form.LIST


def _known(sample: Outputs) -> list[Any]:
    return [row for row in plain_rows(sample) if row is not None]


def _fields(
    kind: str,
    rows: Sequence[Any],
    names: Iterable[str],
    *,
    options: Options,
    signature: Signature,
) -> dict[str, Divergence]:
    """Return what compares each field: those of the signature first, then those of the rows."""
    specs = {str(spec["name"]): spec for spec in signature or [] if "name" in spec}
    seen = dict.fromkeys([*specs, *names])
    if not seen and not rows:
        raise SettingsError(
            f"Output kind {kind!r} needs fields: no signature or sample names any. "
            "Log the model with an output signature."
        )
    inner = replace(options, champion_classes=None, lane_classes=None)
    found: dict[str, Divergence] = {}
    for name in seen:
        if name in options.ignore:
            continue
        column = field_of(rows, name)
        one = detect([specs[name]] if name in specs else None, column)
        found[name] = divergence_of(one, options=inner, sample=column)
    return found
