"""Labels and answers brought together as far as both have come: for good by the file's writer, else in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from shadowserve.labels.answers import copy_answers
from shadowserve.labels.by_slice import Cells
from shadowserve.labels.far import MOST_AT_ONCE, Answers
from shadowserve.labels.joining import Losses
from shadowserve.labels.store import LabelStore
from shadowserve.labels.terms import Terms
from shadowserve.labels.working_copy import working_copy
from shadowserve.state import classes
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_reading import cells_of
from shadowserve.state.places import Places

Kinds = Callable[[Path], str | None]
"""Tells the kind of output from a lane's file; None before it is known."""

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Pairing:
    """How labels of one deployment are paired with a challenger's answers.

    Parameters
    ----------
    lane, control : str
        Lanes by name; a deployment may have no control.
    classes : sequence, optional
        The champion's class labels.
    cells : callable
        Tells which cells of the slices requests lie in.
    terms : Terms
        Of the policy.
    kind : str or None
        Of the output; before it is known nothing is joined.
    """

    lane: str
    control: str | None
    classes: Sequence[Any] | None
    cells: Cells
    terms: Terms
    kind: str | None

    @classmethod
    def of(
        cls, places: Places, deployment: Deployment, challenger: LaneName, kind: str | None
    ) -> Self:
        """Read what a deployment says of it."""
        control = next((str(lane) for lane in deployment.lanes if lane.role == "control"), None)
        return cls(
            lane=str(challenger),
            control=control,
            classes=classes.told(places.classes(deployment.champion.number)),
            cells=partial(
                cells_of, places.lane(challenger.role, challenger.version, challenger.stay).state
            ),
            terms=Terms.of(deployment.options.policy),
            kind=kind,
        )

    def remembered(self, store: LabelStore) -> Losses:
        """Return what was learnt so far."""
        state = store.summary(self.lane)
        if state is None:
            return Losses(self.kind, self.terms)
        return Losses.from_state(state, self.terms, kind=self.kind)

    def go_on(self, store: LabelStore, losses: Losses) -> None:
        """Pair what has come since, and look for far-off numbers among new answers, labelled or not."""
        upto = store.last()
        pairs = store.pairs(lane=self.lane, control=self.control, since=losses.marks, upto=upto)
        # A chunk at a time: labels may be millions, and only their sums are kept.
        while chunk := list(islice(pairs, _CHUNK)):
            losses.add(chunk, classes=self.classes, cells=self.cells)
        losses.marks = upto
        reach, middle = losses.reach, losses.constant.median
        if reach is not None and middle is not None:
            # Of all answers: labels may come for one kind of request only.
            rows = store.answers(lane=self.lane, after=losses.far.mark, most=MOST_AT_ONCE)
            losses.far.add(map(Answers._make, rows), reach=reach, middle=middle)


def learn(
    places: Places, deployment: Deployment, *, challenger: LaneName, kind: str | None
) -> Losses | None:
    """Return what labels say as far as labels and answers have come; nothing is written.

    Parameters
    ----------
    challenger : LaneName
    kind : str or None
        Of the output; before it is known nothing is joined.

    Returns
    -------
    Losses or None
        None where no label ever came.
    """
    pairing = Pairing.of(places, deployment, challenger, kind)
    with working_copy(places.labels) as copy:
        if copy is None:
            return None
        losses = pairing.remembered(copy)
        if losses.kind is not None:
            copy.fill(
                places, deployment, lane=pairing.lane, control=pairing.control,
                since=losses.marks, far=losses.far.mark,
            )  # fmt: skip
            pairing.go_on(copy, losses)
        losses.counts = copy.counts()
        losses.arrived = copy.arrived()
    return losses


def pair(places: Places, deployment: Deployment, kinds: Kinds) -> None:
    """Pair for good what has come; to be called by the file's one writer.

    Each label costs once, however often one looks.

    Raises
    ------
    LabelsError
        On a full disk: what was known holds.
    """
    # Without labels no copy of the answers is kept either.
    if not places.labels.exists():
        return
    with LabelStore(places.labels) as store:
        copy_answers(store, places, deployment)
        for lane in (*deployment.lanes, *deployment.left_lanes):
            if lane.role == "challenger":
                kind = kinds(places.lane(lane.role, lane.version, lane.stay).state)
                _pair_one(store, Pairing.of(places, deployment, lane, kind))


def _pair_one(store: LabelStore, pairing: Pairing) -> None:
    # Marks and sums change in one transaction, so a label counts once, whenever the process dies.
    with store.writing():
        losses = pairing.remembered(store)
        before = (losses.marks, losses.far.mark)
        if losses.kind is None:
            return
        pairing.go_on(store, losses)
        # This runs every few seconds: what has not changed is not written again.
        if (losses.marks, losses.far.mark) != before:
            store.save_summary(pairing.lane, losses.state())
