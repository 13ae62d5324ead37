"""Taking labels in: a set of them whole or not at all, each row counted as what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from shadowserve.labels.answers import copy_answers
from shadowserve.labels.earlier import Earlier, Elsewhere
from shadowserve.labels.reading import Faulty, Raw, RowList, refuse
from shadowserve.labels.respelt import LOOKED_AT, before
from shadowserve.labels.store import LabelStore
from shadowserve.labels.taken import Taken
from shadowserve.labels.typed import Expected, expected, typed
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places


def take_in(
    places: Places,
    deployment: Deployment,
    labels: Iterable[Raw],
    *,
    earlier: Earlier | None = None,
) -> Taken:
    """Take a set of labels, all of them or none; to be called by the file's one writer.

    Parameters
    ----------
    labels : iterable of Raw
        From `reading`; read once, one at a time.
    earlier : Earlier, optional
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
            elsewhere = Elsewhere(earlier, deployment) if earlier else None
            taken = _take(store, labels, wanted, elsewhere)
            for name in ("duplicate", "conflicting"):
                store.count(name, getattr(taken, name).n)
            # Before this file's are kept: where they are refused there, none is taken here either.
            if elsewhere is not None:
                elsewhere.take(taken)
    return taken


def move(places: Places, deployment: Deployment, earlier: Earlier) -> int:
    """Move labels that wait here for a request to the earlier deployment that answered it; return how many.

    They came while it was not in the archive yet. To be called by the file's one writer.
    """
    if not places.labels.exists():
        return 0
    with LabelStore(places.labels) as store:
        copy_answers(store, places, deployment)
        elsewhere, taken = Elsewhere(earlier, deployment), Taken()
        for request_id, label in store.waiting():
            elsewhere.keep(0, request_id, json.loads(label))
        # There first: a label that is in both files counts in neither twice.
        elsewhere.take(taken)
        with store.writing():
            for request_id in elsewhere.ids():
                store.withdraw(request_id)
    return taken.earlier.n


def _take(
    store: LabelStore, labels: Iterable[Raw], wanted: Expected, elsewhere: Elsewhere | None
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
        n_alike = store.requests_with(key)
        if n_alike or elsewhere is None or not elsewhere.keep(row, key, label):
            _append(store, taken, row, key, json.dumps(value), n_alike)
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


def _append(
    store: LabelStore, taken: Taken, row: int, request_id: str, label: str, n_alike: int
) -> None:
    present = store.label_of(request_id)
    if present is not None:
        (taken.duplicate if present == label else taken.conflicting).add(row)
        return
    store.append(request_id, label)
    taken.accepted += 1
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
