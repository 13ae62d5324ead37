"""What is known of one challenger at the moment of a report: both lanes, paired, and who they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from shadowserve import labels
from shadowserve.comparison.learned import Learned
from shadowserve.comparison.milestones import Moment
from shadowserve.divergence import KindTally
from shadowserve.judgement.lanes import Lanes
from shadowserve.judgement.pairs import Pair, bursts, first_of_each
from shadowserve.labels import Losses
from shadowserve.records import Role
from shadowserve.state import acceptances, sharing
from shadowserve.state import ledger as ledgers
from shadowserve.state.acceptances import Acceptance
from shadowserve.state.deployment import Deployment
from shadowserve.state.ledger_entries import LaneLedger, Ledger
from shadowserve.state.places import Places
from shadowserve.statistics.paired import PairedBursts
from shadowserve.versions.version import Version


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of both versions for the same requests, laid side by side by class.

    Parameters
    ----------
    classes : tuple
        The champion's first, in its order; plain numbers where the versions do not name them.
    challenger, control : ndarray of shape (n_pairs, n_classes), float64
    """

    classes: tuple[Any, ...]
    challenger: np.ndarray
    control: np.ndarray


@dataclass(frozen=True)
class Facts:
    """Everything a finding may look at.

    Parameters
    ----------
    learned, control : Learned or None
        What the challenger's and the control's lane remember; None before their first commit.
    pairs : tuple of Pair
        In the order of arrival.
    losses : Losses or None
        What labels say; None where none ever came.
    shared : bool
        Whether callers' requests share calls of the champion, or did until that was stopped.
    acceptances : mapping of a finding's id to Acceptance
        What the team has accepted of this challenger.
    """

    deployment: Deployment
    challenger: Version
    ledger: Ledger
    lane: LaneLedger
    learned: Learned | None
    control: Learned | None
    pairs: tuple[Pair, ...]
    windows: int
    losses: Losses | None = None
    shared: bool = True
    acceptances: Mapping[str, Acceptance] = field(default_factory=dict)

    @property
    def seen(self) -> Learned:
        """What the challenger's lane remembers.

        Raises
        ------
        LookupError
            Before its first commit; `learned` is None then.
        """
        if self.learned is None:
            raise LookupError(f"The lane of {self.name} has committed nothing yet.")
        return self.learned

    @property
    def tally(self) -> KindTally:
        """What is remembered of the answers of both.

        Raises
        ------
        LookupError
            Before the first comparison.
        """
        if self.seen.outputs.tally is None:
            raise LookupError(f"No answer of {self.name} has been compared yet.")
        return self.seen.outputs.tally

    @property
    def champion(self) -> Version:
        """The served version."""
        return self.deployment.champion

    @property
    def name(self) -> str:
        """The challenger as people call it."""
        return self.deployment.name_of(self.lane.name.version)

    def moment(self, position: int | None) -> Moment | None:
        """Return which request a position is as people count them; None where that is not known."""
        if position is None or self.learned is None:
            return None
        return self.learned.milestones.locate(position)

    @property
    def rate_per_s(self) -> float | None:
        """Requests a second that the lane has met so far; None before there is a span of time."""
        if self.learned is None:
            return None
        seconds = self.learned.elapsed.seconds
        return self.learned.met / seconds if seconds else None

    @property
    def in_turn(self) -> bool:
        """Whether challenger and control took turns, so that what slows the place slows both."""
        return self.learned is not None and self.learned.pairing.paired.n_bursts > 0

    @cached_property
    def bursts(self) -> list[list[Pair]]:
        """The pairs that both lanes timed, by burst, in the order of arrival."""
        return bursts(self.pairs)

    @cached_property
    def paired(self) -> PairedBursts:
        """What callers wait with the challenger beside the control, burst by burst.

        Where the two never took turns, it is made of the same requests as each scored them in its own time.
        """
        if self.learned is not None and self.in_turn:
            return self.learned.pairing.paired
        margin = self.deployment.options.policy.latency_margin
        paired = PairedBursts(margin=margin)
        for burst in self.bursts:
            paired.add(
                burst[0].arrived_ns,
                [pair.control_ms or 0.0 for pair in burst],
                [pair.challenger_ms or 0.0 for pair in burst],
                server_ms=[pair.server_ms for pair in burst],
            )
        return paired

    def scores(self) -> Scores | None:
        """Return both versions' probabilities by class, for the first pair of each unit.

        None where either has none, where pairs differ in their number of classes, or where the
        versions have no class in common. A class that one of them lacks has probability 0 there.
        """
        both = [
            (p.challenger_scores, p.control_scores)
            for p in first_of_each(self.pairs)
            if p.challenger_scores is not None and p.control_scores is not None
        ]
        if not both or any(
            len({len(scores) for scores in side}) != 1 for side in zip(*both, strict=True)
        ):
            return None
        challenger, control = (
            np.asarray(side, dtype=np.float64) for side in zip(*both, strict=True)
        )
        own, theirs = (one.classes if one else None for one in (self.learned, self.control))
        if (
            not own
            or not theirs
            or len(own) != challenger.shape[1]
            or len(theirs) != control.shape[1]
        ):
            if challenger.shape != control.shape:
                return None
            return Scores(tuple(range(control.shape[1])), challenger, control)
        if not set(own) & set(theirs):
            return None
        classes = (*theirs, *(label for label in own if label not in theirs))
        return Scores(
            classes, _columns(challenger, own, classes), _columns(control, theirs, classes)
        )


def gather(
    places: Places, deployment: Deployment, *, challenger: int, lanes: Lanes | None = None
) -> Facts:
    """Gather what is known of a challenger now.

    Parameters
    ----------
    lanes : Lanes, optional
        Remembers what it has read, for whoever asks often.
    """
    ledger = ledgers.read(places, deployment)
    name = deployment.lane_of(challenger)
    lane = next(entry for entry in (*ledger.lanes, *ledger.left) if entry.name == name)
    control = places.lane(Role.CONTROL, deployment.champion.number).state
    both = (lanes or Lanes()).read(
        places.lane(name.role, name.version, name.stay).state,
        control if deployment.control else None,
    )
    learned = both.learned
    return Facts(
        deployment=deployment,
        challenger=deployment.version_of(name),
        ledger=ledger,
        lane=lane,
        learned=learned,
        control=both.control,
        pairs=both.pairs,
        windows=both.windows,
        shared=_shared(places, deployment),
        acceptances=acceptances.standing(acceptances.read(places, deployment.id), challenger),
        losses=labels.learn(
            places,
            deployment,
            challenger=lane.name,
            kind=learned.outputs.kind if learned else None,
        ),
    )


def _shared(places: Places, deployment: Deployment) -> bool:
    """Whether callers' requests ever shared calls of the champion, as far as is known."""
    champion = deployment.champion
    decided = sharing.told(places.sharing(Role.CHAMPION, champion.number))
    if decided is None:
        # Before the first decision there is no file; what another server does is not known at all.
        return not deployment.tapped
    shown = sharing.remembered(places.shown(champion.digest, deployment.options.method))
    return decided.batched or (decided.earnable and shown.earned is not None)


def _columns(scores: np.ndarray, own: Sequence[Any], classes: Sequence[Any]) -> np.ndarray:
    """Lay probabilities out in an order of classes, 0 where a version lacks one."""
    laid = np.zeros((len(scores), len(classes)))
    laid[:, [classes.index(label) for label in own]] = scores
    return laid
