"""Rows made of parts: records with named fields, and several outputs at once.

Each part is compared as an output of its own kind, so that a finding can say which field is off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, Type, align
from shadowserve.divergence.blocks import widths
from shadowserve.divergence.compared import Compared, Divergence, Kind, Measure

MEAN = Measure("disagreement", 0, 1)


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
    kind: Kind = Kind.RECORD

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
    kind: Kind = field(default=Kind.MULTI)

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
    return (MEAN, *parts)


def _presence(name: str, keys: Iterable[Any]) -> str:
    return f"{name}: present" if name in map(str, keys) else f"{name}: absent"


def field_of(side: Sequence[Any], name: str) -> list[Any]:
    """Return one field of all rows of one side; null where a row has none."""
    return [_field(row, name) for row in side]


def without(value: Any, names: Collection[str]) -> Any:
    """Return a JSON value whose rows lack some fields; what is no record stays as it is.

    Examples
    --------
    >>> without([{"id": 7, "score": 0.3}, None], {"id"})
    [{'score': 0.3}, None]
    """
    if not names:
        return value
    if isinstance(value, list):
        return [without(row, names) for row in value]
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if name not in names}
    return value


def _field(row: Any, name: str) -> Any:
    if isinstance(row, dict):
        return row.get(name)
    place = int(name) if name.isdecimal() else -1
    return row[place] if isinstance(row, list) and 0 <= place < len(row) else None


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
        primary=MEAN.name,
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
