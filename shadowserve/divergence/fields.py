"""Rows made of parts: records with named fields, and several outputs at once.

Each part is compared as an output of its own kind, so that a finding can say which field is off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, Type, align
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
    A field that one side lacks, or that `fields` does not know, is a difference of structure.
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
        columns = {
            name: (_column(aligned.champion, name, measured), _column(aligned.lane, name, measured))
            for name in self.fields
        }
        return _assemble(
            aligned, self.fields, columns, measured=measured, differs=differs, pairs=pairs
        )

    def _strangers(
        self, aligned: Aligned, measured: np.ndarray
    ) -> tuple[np.ndarray, Counter[tuple[str, str]]]:
        """Find fields that only one side has, or that are not known."""
        differs = np.zeros(measured.size, dtype=bool)
        pairs: Counter[tuple[str, str]] = Counter()
        known = self.fields.keys() | self.ignore
        for i in np.flatnonzero(measured).tolist():
            a, b = aligned.champion[i].keys(), aligned.lane[i].keys()
            if a == b and a <= known:
                continue
            for name in sorted(map(str, ((a ^ b) | (a - known)) - self.ignore)):
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

    Another number of outputs than `fields` has, on either side, is a difference of structure; the
    row is then not measured.
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
        n_outputs = len(self.fields)
        a, b = (
            np.array([len(row) if here else -1 for row, here in zip(side, listed, strict=False)])
            for side in (aligned.champion, aligned.lane)
        )
        differs = listed & ((a != b) | (a != n_outputs))
        pairs = Counter(
            (f"list[{a[i]}]", f"list[{b[i]}]") for i in np.flatnonzero(differs).tolist()
        )
        measured = listed & ~differs
        columns = {
            name: (_column(aligned.champion, j, measured), _column(aligned.lane, j, measured))
            for j, name in enumerate(self.fields)
        }
        return _assemble(
            aligned, self.fields, columns, measured=measured, differs=differs, pairs=pairs
        )


def _measures(fields: Mapping[str, Divergence]) -> tuple[Measure, ...]:
    parts = (
        Measure(f"{name}/{m.name}", m.low, m.high, m.swap)
        for name, divergence in fields.items()
        for m in divergence.measures
    )
    return (MEAN, *parts)


def _presence(name: str, keys: Iterable[Any]) -> str:
    return f"{name}: present" if name in keys else f"{name}: absent"


def _column(side: Sequence[Any], key: Any, measured: np.ndarray) -> list[Any]:
    """One field of all rows; null where the row is not measured or lacks the field."""
    if measured.all() and isinstance(key, str):
        return [row.get(key) for row in side]
    return [_pick(row, key) if here else None for row, here in zip(side, measured, strict=False)]


def _pick(row: Any, key: Any) -> Any:
    return row.get(key) if isinstance(row, dict) else row[key]


def _assemble(
    aligned: Aligned,
    fields: Mapping[str, Divergence],
    columns: Mapping[str, tuple[list[Any], list[Any]]],
    *,
    measured: np.ndarray,
    differs: np.ndarray,
    pairs: Counter[tuple[str, str]],
) -> Compared:
    parts = {name: d.compare(*columns[name]) for name, d in fields.items()}
    rest = aligned.equal & ~measured  # two nulls are equal; the rest is judged as a whole
    values = {"disagreement": _mean_disagreement(aligned, parts, measured)}
    for name, part in parts.items():
        for measure, column in part.values.items():
            values[f"{name}/{measure}"] = np.where(measured | rest, column, np.nan)
    whole = measured & ~differs
    exact, tolerant, structure = whole | rest, whole | rest, aligned.structure | differs
    champion_nonfinite, lane_nonfinite = aligned.champion_nonfinite, aligned.lane_nonfinite
    nan_mismatch = aligned.nan_mismatch
    for name, part in parts.items():
        exact, tolerant = exact & (part.exact | rest), tolerant & (part.tolerant | rest)
        structure = structure | (part.structure & measured)
        nan_mismatch = nan_mismatch | (part.nan_mismatch & measured)
        champion_nonfinite = champion_nonfinite | (part.champion_nonfinite & measured)
        lane_nonfinite = lane_nonfinite | (part.lane_nonfinite & measured)
        for (a, b), n in part.kind_of_structure.items():
            pairs[f"{name}: {a}", f"{name}: {b}"] += n
    return Compared(
        values=values,
        primary=MEAN.name,
        structure=structure,
        kind_of_structure=pairs + Counter(aligned.differing_types()),
        exact=exact,
        tolerant=tolerant,
        nan_mismatch=nan_mismatch,
        champion_nonfinite=champion_nonfinite,
        lane_nonfinite=lane_nonfinite,
        parts=parts,
    )


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
