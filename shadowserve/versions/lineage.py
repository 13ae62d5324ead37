"""Where two versions come from, laid side by side: data, time range, signatures, libraries.

Two versions can agree in every test and still have learned from different worlds. `check` shows the
differences before any traffic, and they feed the `lineage` finding. A difference is a fact, not a
fault; it explains a divergence that the traffic then shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from shadowserve.versions.training import TrainingData
from shadowserve.versions.version import Version


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two versions differ.

    Parameters
    ----------
    kind : str
        ``training_data``, ``time_range``, ``rows``, ``input``, ``output``, ``params`` or
        ``library``.
    name : str
        The data set, column or library concerned; ``""`` for the output as a whole.
    champion, challenger : str or None
        What each has; None where it has no such thing, or nothing is known of it.
    """

    kind: str
    name: str
    champion: str | None
    challenger: str | None

    def __str__(self) -> str:
        what = f"{self.kind.replace('_', ' ')} {self.name}".strip()
        return f"{what}: {self.champion or 'none'} → {self.challenger or 'none'}"


def differences(champion: Version, challenger: Version) -> list[Difference]:
    """Compare two versions by their records alone.

    Parameters
    ----------
    champion, challenger : Version
        As `Registry.describe` or `Registry.fetch` gives them.

    Returns
    -------
    list of Difference
        Training data first, then inputs, outputs, params and libraries; empty for a version
        against itself. Swapping the versions swaps the two sides of every difference.
    """
    return [
        *_training(champion, challenger),
        *_signature("input", "inputs", champion, challenger),
        *_signature("output", "outputs", champion, challenger),
        *_signature("params", "params", champion, challenger),
        *_each("library", champion.libraries, challenger.libraries),
    ]


def _training(champion: Version, challenger: Version) -> Iterator[Difference]:
    """Match data sets by their place in the run, since names change from version to version."""
    for ours, theirs in zip_longest(champion.training_data, challenger.training_data):
        name = (theirs or ours).name
        left, right = _facts(ours), _facts(theirs)
        for kind in left:
            if left[kind] != right[kind]:
                yield Difference(kind, name, left[kind], right[kind])


def _facts(data: TrainingData | None) -> dict[str, str | None]:
    if data is None:
        return {"training_data": None, "time_range": None, "rows": None}
    return {
        "training_data": data.digest,
        "time_range": _range(data.since, data.until),
        "rows": _said(data.rows),
    }


def _range(since: str | None, until: str | None) -> str | None:
    return f"{since or '?'} to {until or '?'}" if since or until else None


def _said(rows: int | None) -> str | None:
    return None if rows is None else f"{rows:,}"


def _signature(
    kind: str, part: str, champion: Version, challenger: Version
) -> Iterator[Difference]:
    ours, theirs = (_columns(version.signature, part) for version in (champion, challenger))
    yield from _each(kind, ours, theirs)


def _columns(signature: Mapping[str, Any] | None, part: str) -> dict[str, str]:
    """Return types by name; a nameless column goes by its place, and the first by an empty name."""
    columns = (signature or {}).get(part) or []
    return {str(column.get("name") or (n or "")): _type(column) for n, column in enumerate(columns)}


def _type(column: Mapping[str, Any]) -> str:
    tensor = column.get("tensor-spec")
    said = f"tensor {tensor['dtype']} {tensor['shape']}" if tensor else str(column.get("type"))
    return said if column.get("required", True) else f"{said}, optional"


def _each(kind: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Difference]:
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        if ours.get(name) != theirs.get(name):
            yield Difference(kind, name, ours.get(name), theirs.get(name))
