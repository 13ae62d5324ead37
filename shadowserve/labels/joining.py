"""Labels brought together with what both versions had answered, and what they say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Self

import numpy as np

from shadowserve import classes
from shadowserve.classes import by_class
from shadowserve.deployment import Deployment, LaneName
from shadowserve.divergence import Kind
from shadowserve.labels.answers import copy_answers
from shadowserve.labels.chosen import own_loss
from shadowserve.labels.losses import Labelled, Loss, decisive, losses_of
from shadowserve.labels.reading import LabelsError
from shadowserve.labels.store import LabelStore, Marks, Pair
from shadowserve.places import Places
from shadowserve.policy import Policy
from shadowserve.tally import Quantiles

LATE_S = 86_400.0
"""Seconds after its request from which a label counts as late."""

_CHUNK = 2_000


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
            except BaseException:  # the team's own function, on a label that it does not know
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
