"""What a lane remembers of failures: errors by kind, requests that killed it, answers that wander."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from shadowserve.comparison.comparing import Scoring
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.doubt import Doubt
from shadowserve.comparison.episodes import Episodes
from shadowserve.comparison.outputs import Shared, searching
from shadowserve.records import Comparison, Fault, Outcome
from shadowserve.schema.disclosure import Disclosure
from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.slices import SliceSearch
from shadowserve.statistics.stored import Part, Stored, each, listed, maybe, of, plain, record

MAX_FAULTS = 50
MAX_EXAMPLES = 5
MAX_POISON = 100


@dataclass(slots=True)
class FaultCount:
    """One way of failing: how often, and where first."""

    fault: Fault
    n: int = 0
    examples: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Poison:
    """One request that the lane's version did not survive.

    Parameters
    ----------
    cause : str
        ``deadline``, ``memory`` or ``crash``.
    step : str or None
        The step that was running.
    worked_ms : float
        How long it had been in hand, less starvation, when it ended.
    """

    position: int
    request_id: str
    cause: str
    step: str | None
    worked_ms: float
    sizes: Mapping[str, int]


_OWN = (Outcome.CHALLENGER_ERROR, Outcome.BOTH_ERROR, Outcome.TIMED_OUT, Outcome.CRASHED)
_THEIRS = (Outcome.CHAMPION_ERROR, Outcome.BOTH_ERROR)


def _fault_count(told: Mapping[str, Any]) -> FaultCount:
    return FaultCount(**{**told, "fault": Fault(**told["fault"])})


class Failures(Stored):
    """Errors, and requests that killed the lane's process.

    `rate` and `champion_rate` are shares of requests; `more` is the mean of their difference, request
    by request, from -1 to 1, over the first of each unit (`units`).
    """

    parts: ClassVar = {
        "rate": of(MeanSequence),
        "champion_rate": of(MeanSequence),
        "more": of(MeanSequence),
        "episodes": of(Episodes).young,
        "faults": each(Part(asdict, _fault_count)),
        "poison": each(record(Poison)),
        "slices": maybe(of(SliceSearch)),
    }

    def __init__(self) -> None:
        self.rate = MeanSequence()
        self.champion_rate = MeanSequence()
        self.more = paired_mean(1.0)
        self.episodes = Episodes()
        self.faults: list[FaultCount] = []
        self.poison: list[Poison] = []
        self.slices: SliceSearch | None = None

    def add(self, comparisons: Sequence[Comparison], first: np.ndarray | None = None) -> None:
        """Take in what became of requests, and which are the first of their unit (by default all)."""
        told = Comparisons.of(comparisons)
        own = told.ended(*_OWN).astype(np.float64)
        theirs = told.ended(*_THEIRS).astype(np.float64)
        self.rate.add(own)
        self.champion_rate.add(theirs)
        # What both fail on cancels out, so that a broken client is nobody's fault.
        self.more.add((own - theirs)[slice(None) if first is None else first])
        self.episodes.add(own > theirs, theirs > own, told.arrived_wall_ns)
        for at, fault in enumerate(told.fault):
            if fault is not None:
                self._count(fault, int(told.position[at]))

    def add_slices(
        self,
        scorings: Sequence[Scoring],
        *,
        disclosure: Disclosure,
        shared: Shared | None = None,
    ) -> None:
        """Search for the part of the traffic on which errors fall, over typed columns."""
        # A fault is told of a request; of several rows it is not known which was at fault.
        typed = [one for one in scorings if one.rows is not None and one.rows.n_rows == 1]
        columns = (shared or Shared()).columns_of(typed)
        if columns is None:
            return
        self.slices = searching(self.slices, columns, disclosure)
        if self.slices.fits(columns):
            self.slices.add(columns, [float(one.observation.fault is not None) for one in typed])

    def _count(self, fault: Fault, position: int) -> None:
        key = (fault.type, fault.step, fault.frame, fault.column)
        for known in self.faults:
            if (known.fault.type, known.fault.step, known.fault.frame, known.fault.column) == key:
                break
        else:
            # A model may raise from a frame of its own each time; the rates still count every
            # error.
            if len(self.faults) >= MAX_FAULTS:
                return
            known = FaultCount(fault)
            self.faults.append(known)
        known.n += 1
        if len(known.examples) < MAX_EXAMPLES:
            known.examples.append(position)

    def poisoned(self, poison: Poison) -> None:
        """Remember a request that the process did not survive twice."""
        if len(self.poison) < MAX_POISON:
            self.poison.append(poison)


@dataclass(frozen=True, slots=True)
class Differing:
    """Which second scorings differed from the first.

    Parameters
    ----------
    answers : sequence of bool
        One a request: whether any row of its answer is another one, beyond tolerance.
    scores : sequence of bool
        Probabilities beside the answers, of those requests that have any: they move long before a
        label does.
    """

    answers: Sequence[bool]
    scores: Sequence[bool] = ()


_SHARES = (
    "again", "together", "scores_again", "scores_together", "wandering", "persisting",
)  # fmt: skip


class Noise(Stored):
    """How often the lane's version disagrees with itself: on a second call, and in a batch.

    `again` and `together` are of requests taken as they come, `scores_again` and `scores_together` the
    same for the probabilities beside their answers. `wandering` (gave another answer the
    second time) and `persisting` (see `Doubt`) are of such as differ from the champion. `occasions` is
    how often anything differed: requests that were scored again at one time count as one.
    """

    parts: ClassVar = {
        **dict.fromkeys(_SHARES, of(MeanSequence)),
        "occasions": plain,
        "examples": listed,
        "proofs": plain,
        "broken_proofs": plain,
        "dependent": plain.young,
        "dependent_examples": listed.young,
    }

    def __init__(self) -> None:
        self.again = MeanSequence()
        self.together = MeanSequence()
        self.scores_again = MeanSequence()
        self.scores_together = MeanSequence()
        self.wandering = MeanSequence()
        self.persisting = MeanSequence()
        self._doubts: list[Doubt] = []
        self.occasions = 0
        self.examples: list[int] = []
        self.proofs = 0
        self.broken_proofs = 0
        self.dependent = 0
        self.dependent_examples: list[int] = []

    def depend(self, positions: Sequence[int]) -> None:
        """Count requests that are proven to be answered by what else was in the call."""
        self.dependent += len(positions)
        self.dependent_examples += positions[: MAX_EXAMPLES - len(self.dependent_examples)]

    def proved(self, holds: bool) -> None:
        """Count one comparison of the timed walk with the model's own path."""
        self.proofs += 1
        self.broken_proofs += not holds

    def add(
        self, *, again: Differing, together: Differing | None, positions: Sequence[int]
    ) -> None:
        """Take in which second answers, alone and in a batch if tried, differed from the first."""
        self.again.add(np.asarray(again.answers, dtype=np.float64))
        self.scores_again.add(np.asarray(again.scores, dtype=np.float64))
        self.occasions += any(again.answers) or any(again.scores)
        # Where no batch was tried, the lone second answer stands for both.
        batch = together or again
        if together is not None:
            self.together.add(np.asarray(together.answers, dtype=np.float64))
            self.scores_together.add(np.asarray(together.scores, dtype=np.float64))
        apart = zip(positions, again.answers, batch.answers, strict=True)
        differing = [position for position, alone, joint in apart if alone or joint]
        self.examples += differing[: MAX_EXAMPLES - len(self.examples)]

    def doubt(self, doubt: Doubt, *, differs: bool | None) -> None:
        """Take in a request that was doubted, and whether its second answer was another one.

        None where the first came from a batch.
        """
        if differs is not None:
            self.wandering.add(float(differs))
            self.occasions += differs
        self.persisting.add(doubt.persisting)
        if differs and len(self.examples) < MAX_EXAMPLES:
            self.examples.append(doubt.position)
        self._doubts.append(doubt)

    def new_doubts(self) -> list[Doubt]:
        """Hand over the doubts since the last time: they hold values and are not kept here."""
        doubts, self._doubts = self._doubts, []
        return doubts

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Self:
        """Read what `state` wrote; an earlier release counted no occasions, and each example was one."""
        known = state or {}
        return super().from_state({"occasions": len(known["examples"]), **known})
