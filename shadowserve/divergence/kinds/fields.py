"""Rows made of parts: records with named fields, and several outputs at once.

Each part is compared as an output of its own kind, so that a finding can say which field is off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, plain_rows
from shadowserve.divergence.compared import DISAGREEMENT, Compared, Divergence, Measure
from shadowserve.divergence.detection import detect
from shadowserve.divergence.field import field_of
from shadowserve.divergence.kind import Given, OutputKind, Parts, divergence_of
from shadowserve.divergence.tally import KindTally, tally
from shadowserve.errors import SettingsError


@runtime_checkable
class OfParts(Protocol):
    """What compares rows part by part."""

    @property
    def fields(self) -> Mapping[str, Divergence]:
        """What compares each part, by its name."""
        ...


def field_measures(fields: Mapping[str, Divergence]) -> tuple[Measure, ...]:
    """Return the mean, then every field's measures, each with the field's name."""
    parts = (
        Measure(f"{name}/{m.name}", m.low, m.high, m.swap)
        for name, divergence in fields.items()
        for m in divergence.measures
    )
    return (DISAGREEMENT, *parts)


def assemble(
    aligned: Aligned,
    fields: Mapping[str, Divergence],
    *,
    measured: np.ndarray,
    differs: np.ndarray,
    pairs: Counter[tuple[str, str]],
) -> Compared:
    """Compare each field and bring rows together from them.

    Parameters
    ----------
    measured : ndarray of bool, shape (n_rows,)
        Rows whose fields can be compared.
    differs : ndarray of bool, shape (n_rows,)
        Those of them whose own structure differs.
    pairs : Counter of pair of str
        How: as the champion has it, as the lane has it.
    """
    parts = {
        name: d.compare(field_of(aligned.champion, name), field_of(aligned.lane, name))
        for name, d in fields.items()
    }
    rest = aligned.equal & ~measured  # two nulls are equal; what is no record is judged as a whole
    # Only a record that has the champion's own fields may count as equal.
    whole = measured & ~differs
    values = {"disagreement": _mean_disagreement(aligned, parts, measured)}
    for name, part in parts.items():
        for measure, column in part.values.items():
            values[f"{name}/{measure}"] = np.where(measured | rest, column, np.nan)
    # Where no row can be laid beside another, each field would tell the lengths once more.
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
        # A record that lacks a field has no value there; that is structure, not a null.
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
    # What is no record on both sides and not equal: nothing of it can be measured.
    mean[other] = 1.0
    return mean


class OfFields(OutputKind):
    """What records and several outputs have in common: a tally for each field."""

    measures = (DISAGREEMENT,)

    def parts(self, divergence: Divergence) -> Parts:
        """Return one tally a field."""
        if not isinstance(divergence, OfParts):
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


def known_rows(sample: Outputs) -> list[Any]:
    """Return the rows that are not null."""
    return [row for row in plain_rows(sample) if row is not None]


def fields_of(
    kind: str,
    rows: Sequence[Any],
    names: Iterable[str],
    *,
    given: Given,
) -> dict[str, Divergence]:
    """Return what compares each field: those of the signature first, then those of the rows.

    Raises
    ------
    SettingsError
        If nothing names any.
    """
    specs = {str(spec["name"]): spec for spec in given.signature or [] if "name" in spec}
    # The signature's order first, so that reports of two deployments list fields alike.
    seen = dict.fromkeys([*specs, *names])
    if not seen and not rows:
        raise SettingsError(
            f"Output kind {kind!r} needs fields: no signature or sample names any. "
            "Log the model with an output signature."
        )
    # Classes are those of the whole answer; a field of it has its own, which nobody has named.
    inner = replace(given.options, champion_classes=None, lane_classes=None)
    found: dict[str, Divergence] = {}
    for name in seen:
        if name in given.options.ignore:
            continue
        column = field_of(rows, name)
        one = detect([specs[name]] if name in specs else None, column)
        found[name] = divergence_of(one, options=inner, sample=column)
    return found
