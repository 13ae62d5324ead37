"""Taking labels in, and bringing them together with what both versions had answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

import numpy as np
import orjson
import pyarrow.parquet as pq

from shadowserve import classes
from shadowserve.classes import by_class
from shadowserve.deployment import Deployment, LaneName
from shadowserve.divergence import Kind
from shadowserve.labels.chosen import own_loss
from shadowserve.labels.losses import Labelled, Loss, decisive, losses_of
from shadowserve.labels.reading import Faulty, LabelsError, Raw, RowList, refuse
from shadowserve.labels.store import Answered, LabelStore, Marks, Pair
from shadowserve.labels.typed import Expected, expected, typed
from shadowserve.lane.state import open_comparisons
from shadowserve.places import Places
from shadowserve.policy import Policy
from shadowserve.records import Outcome
from shadowserve.tally import Quantiles

LATE_S = 86_400.0
"""Seconds after its request from which a label counts as late."""

MAX_ANSWER_BYTES = 4_096
_CHUNK = 2_000
_READ = (
    "position", "request_id", "arrived_wall_ns", "outcome", "champion_prediction",
    "lane_prediction", "lane_scores", "first",
)  # fmt: skip


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
    """

    rows: int = 0
    accepted: int = 0
    duplicate: RowList = field(default_factory=RowList)
    conflicting: RowList = field(default_factory=RowList)
    ambiguous: RowList = field(default_factory=RowList)
    unknown: RowList = field(default_factory=RowList)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, and the first rows of each, as JSON-able values."""
        told: dict[str, Any] = {"rows": self.rows, "accepted": self.accepted}
        for name in ("duplicate", "conflicting", "ambiguous", "unknown"):
            found: RowList = getattr(self, name)
            told[name] = {"n": found.n, "rows": found.rows}
        return told


def take(places: Places, deployment: Deployment, labels: Iterable[Raw]) -> Taken:
    """Take a set of labels, all of them or none.

    Parameters
    ----------
    labels : iterable of Raw
        From `reading`; read once, one at a time.

    Raises
    ------
    LabelsError
        With every row at fault: no id, no label, or one of another type than the champion's answers.
    """
    with LabelStore(places.labels) as store:
        copy_answers(store, places, deployment)
        with store.writing():
            wanted = _expected(store, deployment)
            taken = _take(store, labels, wanted)
            for name in ("duplicate", "conflicting"):
                store.count(name, getattr(taken, name).n)
    return taken


def _take(store: LabelStore, labels: Iterable[Raw], wanted: Expected) -> Taken:
    taken, faults = Taken(), dict[str, RowList]()
    for row, request_id, label in labels:
        taken.rows += 1
        try:
            key, value = _checked(request_id, label, wanted)
        except ValueError as error:
            faults.setdefault(str(error), RowList()).add(row)
            continue
        if not faults:
            _append(store, taken, row, key, json.dumps(value))
    if faults:
        refuse(faults)
    return taken


def _checked(request_id: Any, label: Any, wanted: Expected) -> tuple[str, Any]:
    if isinstance(label, Faulty):
        raise ValueError(label.text)
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


def _expected(store: LabelStore, deployment: Deployment) -> Expected:
    examples: list[Any] = []
    for champion, scores in store.examples():
        if deployment.options.get("method") == "predict_proba":
            examples += [json.loads(key) for key in json.loads(scores or "{}")]
        else:
            examples += json.loads(champion or "[]")
    return expected(examples, deployment.champion.signature)


def copy_answers(store: LabelStore, places: Places, deployment: Deployment) -> None:
    """Copy what every lane has recorded since the last time, part by part."""
    for name in deployment.lanes:
        lane, files = str(name), places.lane(name.role, name.version)
        known = store.known_parts(lane)
        for path in sorted(files.parts.glob("*.parquet")):
            if path.name not in known:
                with store.writing():
                    store.take(lane, _of_part(pq.read_table(path, columns=list(_READ))))
                    store.part_taken(lane, path.name)
        with store.writing():
            store.take(lane, map(_of_record, open_comparisons(files.state)))
            store.forget_oldest(lane)


def _of_part(table: Any) -> Iterator[Answered]:
    for row in table.to_pylist():
        yield _answered(
            row,
            champion=row["champion_prediction"],
            lane=row["lane_prediction"],
            scores=dict(row["lane_scores"] or ()),
        )


def _of_record(record: bytes) -> Answered:
    row = orjson.loads(record)
    champion, lane = (orjson.dumps(row[side]).decode() for side in ("champion", "lane"))
    return _answered(row, champion=champion, lane=lane, scores=row.get("lane_scores") or {})


def _answered(
    row: Mapping[str, Any], *, champion: str, lane: str, scores: Mapping[str, float]
) -> Answered:
    both = row["outcome"] == Outcome.BOTH_OK.value
    small = len(champion) + len(lane) <= MAX_ANSWER_BYTES
    return Answered(
        position=row["position"],
        request_id=row["request_id"],
        arrived_ns=row["arrived_wall_ns"],
        champion=champion if both and small else None,
        lane=lane if both and small else None,
        scores=json.dumps(dict(scores)) if scores else None,
        first=row["first"],
    )


class Losses:
    """What labels say of one challenger.

    Parameters
    ----------
    kind : Kind or None
        Kind of output; None before it is known.
    chosen : str
        The loss that the policy names; empty for the kind's own.

    Attributes
    ----------
    joined, ambiguous, not_compared, mismatched : int
        Labels that count; whose id several requests bear; whose request one version did not answer;
        with another number of rows than the request, or with a kind of output or a label of which
        there is no loss.
    repeated : int
        Of the joined ones, those that are not of their entity's first request: they count no further.
    late : int
        Of the joined ones, those that came more than a day after their request.
    measures : dict of str to Loss
        The decisive one first, once there is one.
    """

    def __init__(self, kind: Kind | None, chosen: str = "") -> None:
        self.kind = kind
        self.chosen = chosen
        self.joined = self.ambiguous = self.not_compared = self.mismatched = 0
        self.repeated = self.late = 0
        self.delay_s = Quantiles(tail=True)
        self.measures: dict[str, Loss] = {}
        self.counts: Mapping[str, int] = {}
        self.marks = Marks()

    @property
    def decisive(self) -> Loss | None:
        """The loss that a verdict rests on; None before the first label has been joined."""
        return self.measures.get(decisive(self.kind, self.chosen) or "")

    @property
    def unknown(self) -> int:
        """Labels whose request has not been compared, or not yet."""
        known = self.joined + self.ambiguous + self.not_compared + self.mismatched
        return max(0, self.counts.get("labels", 0) - known)

    def add(self, pairs: Sequence[Pair], *, classes: Sequence[Any] | None = None) -> None:
        """Take in labels with their answers.

        Parameters
        ----------
        classes : sequence, optional
            The champion's class labels: where it answers probabilities, these count for every request,
            not only for those that the control scored again.
        """
        found: dict[str, list[tuple[float, float]]] = {}
        own = own_loss(self.chosen)
        for pair in pairs:
            request = self._request(pair, classes)
            if request is None or self.kind is None:
                continue
            try:
                of_both = losses_of(request, self.kind, own)
            except Exception:  # the team's own function, on a label that it does not know
                self.mismatched += 1
                continue
            self._join(pair)
            if not pair.of_first:
                self.repeated += 1
                continue
            for measure, losses in of_both.items():
                found.setdefault(measure, []).append(losses)
        for measure, both in found.items():
            self.measures.setdefault(measure, Loss(measure)).add(both)

    def _join(self, pair: Pair) -> None:
        """Count a label that came to its request, and how late."""
        self.joined += 1
        delay_s = (pair.received_ns - pair.arrived_ns) / 1e9
        self.delay_s.add(np.asarray([max(0.0, delay_s)]))
        self.late += delay_s > LATE_S

    def _request(self, pair: Pair, classes: Sequence[Any] | None) -> Labelled | None:
        """Return what can be judged; None for a label that is counted as something else."""
        if pair.n_alike > 1:
            self.ambiguous += pair.is_first
            return None
        if pair.champion is None or pair.challenger is None:
            self.not_compared += 1
            return None
        champion, challenger = json.loads(pair.champion), json.loads(pair.challenger)
        truth = json.loads(pair.label)
        truth = truth if isinstance(truth, list) and len(champion) > 1 else [truth]
        if decisive(self.kind, self.chosen) is None or {len(champion), len(challenger)} != {
            len(truth)
        }:
            self.mismatched += 1
            return None
        return Labelled(
            truth,
            champion,
            challenger,
            champion_scores=by_class(None, champion, classes) or _scores(pair.champion_scores),
            challenger_scores=_scores(pair.challenger_scores),
        )

    def to_dict(self, *, alpha: float) -> dict[str, Any]:
        """Return the report's section on labels."""
        first = self.decisive
        delay = self.delay_s
        return {
            "labels": self.counts.get("labels", 0),
            "joined": self.joined,
            "late": self.late,
            "repeated": self.repeated,
            "duplicate": self.counts.get("duplicate", 0),
            "conflicting": self.counts.get("conflicting", 0),
            "ambiguous": self.ambiguous,
            "not_compared": self.not_compared,
            "mismatched": self.mismatched,
            "unknown": self.unknown,
            "delay_s": {
                name: delay.quantile(rank) if self.joined else None
                for name, rank in (("p50", 0.5), ("p99", 0.99))
            },
            "loss": first.to_dict(alpha=alpha) if first else None,
            "others": [
                loss.to_dict(alpha=alpha) for loss in self.measures.values() if loss is not first
            ],
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "kind": self.kind,
            **{name: getattr(self, name) for name in _COUNTS},
            "delay_s": self.delay_s.state(),
            "measures": [loss.state() for loss in self.measures.values()],
            "marks": [self.marks.label, self.marks.answer],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], chosen: str = "") -> Self:
        """Read what `state` wrote; what was chosen is the policy's to keep."""
        it = cls(Kind(state["kind"]) if state["kind"] else None, chosen)
        for name in _COUNTS:
            setattr(it, name, state[name])
        it.delay_s = Quantiles.from_state(state["delay_s"])
        losses = [Loss.from_state(loss) for loss in state["measures"]]
        it.measures = {loss.measure: loss for loss in losses}
        it.marks = Marks(*state["marks"])
        return it


_COUNTS = ("joined", "ambiguous", "not_compared", "mismatched", "repeated", "late")


def _scores(text: str | None) -> Mapping[str, float] | None:
    return None if text is None else dict(json.loads(text))


def learn(
    places: Places, deployment: Deployment, *, challenger: LaneName, kind: Kind | None
) -> Losses | None:
    """Bring labels and answers together as far as both have come, and return what they say.

    Parameters
    ----------
    challenger : LaneName
    kind : Kind or None
        Of the output; before it is known nothing is joined.

    Returns
    -------
    Losses or None
        None where no label ever came. Each label costs once, however often one looks.
    """
    if not places.labels.exists():
        return None
    control = next((str(lane) for lane in deployment.lanes if lane.role == "control"), None)
    lane = str(challenger)
    named = classes.told(places.classes(deployment.champion.number))
    chosen = Policy.of(deployment.options.get("verdict", {})).loss
    with LabelStore(places.labels) as store:
        losses = _remembered(store, lane, kind, chosen)
        with suppress(LabelsError):  # a full disk: what was known holds
            copy_answers(store, places, deployment)
            with store.writing():
                losses = _remembered(store, lane, kind, chosen)
                if losses.kind is not None:
                    _pair_up(store, losses, lane=lane, control=control, classes=named)
                    store.save_summary(lane, losses.state())
        losses.counts = store.counts()
    return losses


def _remembered(store: LabelStore, lane: str, kind: Kind | None, chosen: str) -> Losses:
    state = store.summary(lane)
    return Losses.from_state(state, chosen) if state else Losses(kind, chosen)


def _pair_up(
    store: LabelStore,
    losses: Losses,
    *,
    lane: str,
    control: str | None,
    classes: Sequence[Any] | None,
) -> None:
    upto = store.last()
    pairs = store.pairs(lane=lane, control=control, since=losses.marks, upto=upto)
    while chunk := list(islice(pairs, _CHUNK)):
        losses.add(chunk, classes=classes)
    losses.marks = upto
