"""Labels brought together with what both versions had answered, and what they say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from shadowserve.divergence import output_kind
from shadowserve.labels.by_slice import BySlice, Cells
from shadowserve.labels.chosen import own_loss
from shadowserve.labels.constant import Constant
from shadowserve.labels.described import ByClass
from shadowserve.labels.far import FarOff
from shadowserve.labels.gain import Loss
from shadowserve.labels.losses import RANK, Labelled, Wrong, by_request, decisive, losses_of
from shadowserve.labels.pairs import Marks, Pair
from shadowserve.labels.ranked import FreshPairs
from shadowserve.labels.terms import Terms
from shadowserve.state.classes import by_class
from shadowserve.statistics.tally import Quantiles
from shadowserve.statistics.tally.keys import class_key

LATE_S = 86_400.0
"""Seconds after its request from which a label counts as late."""

FORM = 2
"""Of what is kept; labels are read again where another release kept it otherwise."""

DEFAULT_TERMS = Terms()


class Losses:
    """What labels say of one challenger.

    Parameters
    ----------
    kind : str or None
        Kind of output; None before it is known.
    terms : Terms
        The loss that the policy names, and how much of the champion's gain may be lost.

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
    constant : Constant
        The answer that is always the same, from the labels so far.
    by_class, by_slice : ByClass, BySlice
        What describes and does not decide.
    arrived : tuple of float
        When the first and the newest label came, in seconds since the epoch; empty where that is not asked.
    far : FarOff
        Numbers far from the champion's, on all requests of which answers are known.
    """

    def __init__(self, kind: str | None, terms: Terms = DEFAULT_TERMS) -> None:
        self.kind = kind
        self.terms = terms
        self.constant = Constant(numbers=kind is not None and output_kind(kind).of_numbers)
        self.pairs = FreshPairs()
        self.by_class = ByClass()
        self.by_slice = BySlice()
        self.far = FarOff()
        self.joined = self.ambiguous = self.not_compared = self.mismatched = 0
        self.repeated = self.late = 0
        self.delay_s = Quantiles(tail=True)
        self.measures: dict[str, Loss] = {}
        self.counts: Mapping[str, int] = {}
        self.marks = Marks()
        self.arrived: tuple[float, ...] = ()

    @property
    def decisive(self) -> Loss | None:
        """The loss that a verdict rests on; None before the first label has been joined."""
        return self.measures.get(decisive(self.kind, self.terms) or "")

    @property
    def judging(self) -> int:
        """Labels that count in a loss: one for each entity's first request."""
        return self.joined - self.repeated

    @property
    def unknown(self) -> int:
        """Labels whose request has not been compared, or not yet."""
        known = self.joined + self.ambiguous + self.not_compared + self.mismatched
        return max(0, self.counts.get("labels", 0) - known)

    def add(
        self,
        pairs: Sequence[Pair],
        *,
        classes: Sequence[Any] | None = None,
        cells: Cells | None = None,
    ) -> None:
        """Take in labels with their answers.

        Parameters
        ----------
        classes : sequence, optional
            The champion's class labels: where it answers probabilities, these count for every request,
            not only for those that the control scored again.
        cells : callable, optional
            Tells which cells of the slices requests lie in.
        """
        found: dict[str, list[Wrong]] = {}
        by_position: dict[int, Wrong] = {}
        delays: list[float] = []
        own = own_loss(self.terms.chosen)
        for pair in pairs:
            request = self._request(pair, classes)
            if request is None or self.kind is None:
                continue
            try:
                of_both = losses_of(request, self.kind, self.constant, self.terms, own)
            except BaseException:  # the team's own function, on a label that it does not know
                self.mismatched += 1
                continue
            delays.append(self._join(pair))
            # Statistics judge an entity once, or one busy caller would outweigh the others.
            if not pair.of_first:
                self.repeated += 1
                continue
            if ranked := self.pairs.add(request, self.kind):
                of_both[RANK] = ranked
            # Only now: the constant answer must be a bet that was made before this label was known.
            self.constant.add(request.truth)
            self.by_class.add(request, self.kind, arrived_ns=pair.arrived_ns)
            # Ranks belong to pairs of labels; a slice needs a loss that each label has by itself.
            if (each := of_both.get(by_request(self.kind, self.terms) or "")) is not None:
                by_position[pair.position] = each
            for measure, losses in of_both.items():
                found.setdefault(measure, []).append(losses)
        self.delay_s.add(np.asarray(delays, dtype=np.float64))
        for measure, losses_so_far in found.items():
            self.measure(measure).add(losses_so_far)
        if cells is not None and by_position:
            self.by_slice.add(by_position, cells(list(by_position)))

    @property
    def reach(self) -> float | None:
        """How far from the champion's a number is off; None where nothing says so, or not yet."""
        loss = self.measures.get("absolute_error")
        return loss.scale.cap if loss and not loss.scale.is_too_small else None

    @property
    def far_off(self) -> FarOff | None:
        """What is far off counts as a failure, unless the first labels were no measure; else None."""
        return self.far if self.reach is not None else None

    def measure(self, name: str) -> Loss:
        """Return one measure's sums; they begin when they are first asked for."""
        if name not in self.measures:
            decides = name == decisive(self.kind, self.terms)
            self.measures[name] = Loss(name, self.terms, decides=decides)
        return self.measures[name]

    def _join(self, pair: Pair) -> float:
        """Count a label that came to its request, and return how late, in seconds."""
        self.joined += 1
        # Both are wall clocks, and a clock may be set back.
        delay_s = (pair.received_ns - pair.arrived_ns) / 1e9
        self.late += delay_s > LATE_S
        return max(0.0, delay_s)

    def _request(self, pair: Pair, classes: Sequence[Any] | None) -> Labelled | None:
        """Return what can be judged; None for a label that is counted as something else."""
        if pair.n_alike > 1:
            # By its first answer only: the label is one, however many requests bear its id.
            self.ambiguous += pair.is_first
            return None
        if pair.champion is None or pair.challenger is None:
            self.not_compared += 1
            return None
        champion, challenger = json.loads(pair.champion), json.loads(pair.challenger)
        truth = json.loads(pair.label)
        # One row may be answered with a list; then the whole list is that row's label.
        truth = truth if isinstance(truth, list) and len(champion) > 1 else [truth]
        if decisive(self.kind, self.terms) is None or {len(champion), len(challenger)} != {
            len(truth)
        }:
            self.mismatched += 1
            return None
        return Labelled(
            truth,
            champion,
            challenger,
            champion_scores=_keyed(by_class(None, champion, classes))
            or _scores(pair.champion_scores),
            challenger_scores=_scores(pair.challenger_scores),
        )

    def to_dict(self, *, alpha: float, broken_alpha: float | None = None) -> dict[str, Any]:
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
            "loss": first.to_dict(alpha=alpha, broken_alpha=broken_alpha) if first else None,
            "others": [
                loss.to_dict(alpha=alpha) for loss in self.measures.values() if loss is not first
            ],
            "by_class": self.by_class.to_dict(),
            "far_off": self.far_off.to_dict() if self.far_off else None,
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "form": FORM,
            "terms": self.terms.to_dict(),
            "kind": self.kind,
            "constant": self.constant.state(),
            "pairs": self.pairs.state(),
            "by_class": self.by_class.state(),
            "by_slice": self.by_slice.state(),
            "far": self.far.state(),
            **{name: getattr(self, name) for name in _COUNTS},
            "delay_s": self.delay_s.state(),
            "measures": [loss.state() for loss in self.measures.values()],
            "marks": [self.marks.label, self.marks.answer],
        }

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], terms: Terms = DEFAULT_TERMS, *, kind: str | None = None
    ) -> Self:
        """Read what `state` wrote.

        Where an earlier release wrote it, or it was of other terms or another kind than the output
        turned out to be, all labels are read again: it begins anew.
        """
        was = output_kind(state["kind"]).name if state["kind"] else None
        if (state.get("form"), state.get("terms")) != (FORM, terms.to_dict()):
            return cls(kind or was, terms)
        if kind is not None and was is not None and kind != was:
            return cls(kind, terms)
        it = cls(was or kind, terms)
        it.constant = Constant.from_state(state["constant"])
        it.pairs = FreshPairs.from_state(state["pairs"])
        it.by_class = ByClass.from_state(state.get("by_class"))
        it.by_slice = BySlice.from_state(state.get("by_slice"))
        it.far = FarOff.from_state(state.get("far"))
        for name in _COUNTS:
            setattr(it, name, state[name])
        it.delay_s = Quantiles.from_state(state["delay_s"])
        first = decisive(it.kind, terms)
        for loss in state["measures"]:
            name = loss["measure"]
            it.measures[name] = Loss.from_state(loss, terms, decides=name == first)
        it.marks = Marks(*state["marks"])
        return it


_COUNTS = ("joined", "ambiguous", "not_compared", "mismatched", "repeated", "late")


def _scores(text: str | None) -> Mapping[str, float] | None:
    return None if text is None else _keyed(json.loads(text))


def _keyed(scores: Mapping[str, float]) -> Mapping[str, float]:
    """Name classes as labels are named: lanes record them as JSON text, in which 1, 1.0 and true differ."""
    return {class_key(json.loads(key)): p for key, p in scores.items()}
