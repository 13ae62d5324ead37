"""Taking labels in: a set of them whole or not at all, each row counted as what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from shadowserve.labels.answers import copy_answers
from shadowserve.labels.reading import Faulty, Raw, RowList, refuse
from shadowserve.labels.respelt import LOOKED_AT, before
from shadowserve.labels.store import LabelStore
from shadowserve.labels.typed import Expected, expected, typed
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.state.shelves import Shelf


@dataclass(slots=True)
class Taken:
    """What became of one set of labels, by row.

    Parameters
    ----------
    rows : int
        How many came.
    accepted : int
        New labels.
    duplicate, conflicting : RowList
        The id had the same label already, or another one: the first stays.
    ambiguous : RowList
        Several requests bear the id, so that nobody knows whose label it is.
    unknown : RowList
        No request with the id has been compared yet; the label waits for it.
    respelt : RowList
        Those of them whose id a request bears in another spelling, as before a spreadsheet took it for
        a number. The first `respelt.LOOKED_AT` unknown ids are looked at.
    earlier : RowList
        Those whose request an earlier deployment answered: there they count as whatever became of them.
    """

    rows: int = 0
    accepted: int = 0
    duplicate: RowList = field(default_factory=RowList)
    conflicting: RowList = field(default_factory=RowList)
    ambiguous: RowList = field(default_factory=RowList)
    unknown: RowList = field(default_factory=RowList)
    respelt: RowList = field(default_factory=RowList)
    earlier: RowList = field(default_factory=RowList)

    def add(self, other: Taken) -> None:
        """Add what became of rows that an earlier deployment took."""
        self.accepted += other.accepted
        for name in _LISTS:
            getattr(self, name).extend(getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, and the first rows of each, as JSON-able values."""
        told: dict[str, Any] = {"rows": self.rows, "accepted": self.accepted}
        for name in _LISTS:
            found: RowList = getattr(self, name)
            told[name] = {"n": found.n, "rows": found.rows}
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        # An owner of an earlier release knows fewer of them.
        lists = {name: RowList(**told.get(name, {})) for name in _LISTS}
        return cls(rows=told["rows"], accepted=told["accepted"], **lists)


_LISTS = ("duplicate", "conflicting", "ambiguous", "unknown", "respelt", "earlier")


class EarlierDeployments(Protocol):
    """Where else a label's request may have been answered."""

    def found(self, deployment: Deployment) -> Sequence[Shelf]:
        """Return the earlier deployments, the newest first."""

    def of(self, request_id: str, among: Iterable[Shelf]) -> Shelf | None:
        """Return the one that compared a request."""

    def take(self, shelf: Shelf, labels: Iterable[Raw]) -> Taken:
        """Take labels there."""


def take_in(
    places: Places,
    deployment: Deployment,
    labels: Iterable[Raw],
    *,
    earlier: EarlierDeployments | None = None,
) -> Taken:
    """Take a set of labels, all of them or none; to be called by the file's one writer.

    Parameters
    ----------
    labels : iterable of Raw
        From `reading`; read once, one at a time.
    earlier : EarlierDeployments, optional
        Asked for the requests that are unknown here.

    Raises
    ------
    LabelsError
        With every row at fault: no id, no label, or one of another type than the champion's answers.
    """
    with LabelStore(places.labels) as store:
        # Answers first: they say what a label must be, and whether its request is known.
        copy_answers(store, places, deployment)
        with store.writing():
            wanted = _expected(store, deployment)
            elsewhere = _Elsewhere(earlier, deployment) if earlier else None
            taken = _take(store, labels, wanted, elsewhere)
            for name in ("duplicate", "conflicting"):
                store.count(name, getattr(taken, name).n)
            # Before this file's are kept: where they are refused there, none is taken here either.
            if elsewhere is not None:
                elsewhere.take(taken)
    return taken


def move(places: Places, deployment: Deployment, earlier: EarlierDeployments) -> int:
    """Move labels that wait here for a request to the earlier deployment that answered it; return how many.

    They came while it was not in the archive yet. To be called by the file's one writer.
    """
    if not places.labels.exists():
        return 0
    with LabelStore(places.labels) as store:
        copy_answers(store, places, deployment)
        elsewhere, taken = _Elsewhere(earlier, deployment), Taken()
        for request_id, label in store.waiting():
            elsewhere.keep(0, request_id, json.loads(label))
        # There first: a label that is in both files counts in neither twice.
        elsewhere.take(taken)
        with store.writing():
            for request_id in elsewhere.ids():
                store.withdraw(request_id)
    return taken.earlier.n


class _Elsewhere:
    """Labels of one set whose requests earlier deployments answered."""

    def __init__(self, earlier: EarlierDeployments, deployment: Deployment) -> None:
        self._earlier = earlier
        self._among = earlier.found(deployment)
        self._kept: dict[str, tuple[Shelf, list[Raw]]] = {}

    def keep(self, row: int, request_id: str, label: Any) -> bool:
        """Keep a label for the deployment that answered its request, if there is one."""
        shelf = self._earlier.of(request_id, self._among)
        if shelf is not None:
            self._kept.setdefault(shelf.id, (shelf, []))[1].append((row, request_id, label))
        return shelf is not None

    def ids(self) -> Iterable[str]:
        """Yield the ids of what is kept."""
        return (str(label[1]) for _, labels in self._kept.values() for label in labels)

    def take(self, taken: Taken) -> None:
        """Have what is kept taken where it belongs."""
        for shelf, labels in self._kept.values():
            taken.add(self._earlier.take(shelf, labels))
            for row, _, _ in labels:
                taken.earlier.add(row)


def _take(
    store: LabelStore, labels: Iterable[Raw], wanted: Expected, elsewhere: _Elsewhere | None
) -> Taken:
    taken, faults = Taken(), dict[str, RowList]()
    for row, request_id, label in labels:
        taken.rows += 1
        try:
            key, value = _checked(request_id, label, wanted)
        except ValueError as error:
            faults.setdefault(str(error), RowList()).add(row)
            continue
        # After a fault rows are only checked: none will be taken, and all faults are told together.
        if faults:
            continue
        unknown = elsewhere is not None and not store.requests_with(key)
        if elsewhere is None or not unknown or not elsewhere.keep(row, key, label):
            _append(store, taken, row, key, json.dumps(value))
    if faults:
        refuse(faults)
    return taken


def _checked(request_id: Any, label: Any, wanted: Expected) -> tuple[str, Any]:
    if isinstance(label, Faulty):
        raise ValueError(label.text)
    # To Python, true is a whole number.
    if isinstance(request_id, bool) or not isinstance(request_id, str | int) or request_id == "":
        raise ValueError("the request id is missing")
    return str(request_id), typed(label, wanted)


def _append(store: LabelStore, taken: Taken, row: int, request_id: str, label: str) -> None:
    present = store.label_of(request_id)
    if present is not None:
        (taken.duplicate if present == label else taken.conflicting).add(row)
        return
    store.append(request_id, label)
    taken.accepted += 1
    n_alike = store.requests_with(request_id)
    if n_alike != 1:
        (taken.ambiguous if n_alike else taken.unknown).add(row)
    # Each id is tried in some twenty spellings, so only the first unknown ones are looked at.
    looked_at = not n_alike and taken.unknown.n <= LOOKED_AT
    if looked_at and any(store.requests_with(other) for other in before(request_id)):
        taken.respelt.add(row)


def _expected(store: LabelStore, deployment: Deployment) -> Expected:
    examples: list[Any] = []
    for champion, scores in store.examples():
        # Probabilities are answered, but a label names a class: the classes are the keys.
        if deployment.options.by_probability:
            examples += [json.loads(key) for key in json.loads(scores or "{}")]
        else:
            examples += json.loads(champion or "[]")
    return expected(examples, deployment.champion.signature)
