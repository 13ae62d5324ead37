"""Everything a lane has learnt, in bounded memory: what the report is made of.

Each part takes in what one flush brought, and all of them go to the state file with the cursor. The
report reads them back; nothing of it needs the requests again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import orjson

from shadowserve.comparison.accepted import Accepted
from shadowserve.comparison.comparing import Scoring, Side
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.dear import Dear
from shadowserve.comparison.elapsed import Elapsed
from shadowserve.comparison.failures import Failures, Noise, Poison
from shadowserve.comparison.lasting import Answers, Lasting
from shadowserve.comparison.milestones import Milestones
from shadowserve.comparison.outputs import Outputs, Shared
from shadowserve.comparison.pairing import Pairing
from shadowserve.comparison.replayed import Replayed
from shadowserve.comparison.timing import RoleTiming
from shadowserve.comparison.unseen import Unseen
from shadowserve.comparison.weighed import Weighed
from shadowserve.divergence import Divergence
from shadowserve.errors import StateError
from shadowserve.records import Comparison, Outcome
from shadowserve.schema.disclosure import Disclosure
from shadowserve.statistics.headway import Headway
from shadowserve.statistics.input_sizes import SizeCounts
from shadowserve.statistics.measuring import Measuring
from shadowserve.statistics.spent import Spent
from shadowserve.statistics.switchback import CallerCost
from shadowserve.statistics.tally import Moments, Quantiles, Worst
from shadowserve.statistics.thinning import Thinning
from shadowserve.statistics.units import Units

SLOWEST = 50


class Learned:
    """The parts together.

    Parameters
    ----------
    champion_steps, lane_steps : mapping of step to columns
        Steps of the two plans.
    change_alpha : float
        Probability that a lasting change of the disagreement is ever seen where there is none.
    latency_margin : float
        How much longer callers may wait, as a share.
    """

    def __init__(
        self,
        champion_steps: Mapping[str, Sequence[str]],
        lane_steps: Mapping[str, Sequence[str]],
        *,
        change_alpha: float = 0.001,
        latency_margin: float = 0.10,
    ) -> None:
        self.outputs = Outputs(change_alpha=change_alpha)
        self.failures = Failures()
        self.noise = Noise()
        self.lasting = Lasting()
        self.answers = Answers()
        self.replayed = Replayed()
        self.milestones = Milestones()
        self.units = Units()
        self.champion = RoleTiming(champion_steps)
        self.lane = RoleTiming(lane_steps)
        self.champion_work = Quantiles(tail=True)
        self.warmup = Moments()
        self.sizes: dict[str, SizeCounts] = {}
        self.pairing = Pairing(margin=latency_margin)
        self.dear = Dear()
        self.unseen = Unseen()
        self.refused = Accepted()
        self.made_of: dict[str, str] = {}
        self.ways: dict[str, str] = {}
        self.slowest = Worst(SLOWEST)
        self.busy_ms = Moments()
        self.starved_ms = Moments()
        self.lag_ms = Quantiles(tail=True)
        self.requests = 0
        self.timed = 0
        self.elapsed = Elapsed()
        self.measuring = Measuring()
        self.spent = Spent()
        self.headway = Headway()
        self.thinning = Thinning()
        self.weighed = Weighed()
        self.harm = CallerCost()
        self.memory: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self.classes: list[Any] | None = None

    def add(
        self,
        comparisons: Sequence[Comparison],
        *,
        scorings: Sequence[Scoring],
        side: Side | None,
        divergence: Divergence | None,
        champion_columns: Mapping[str, Sequence[str]],
        inner: Mapping[str, Sequence[str]],
        disclosure: Disclosure,
    ) -> None:
        """Take in one flush, in the order of the journal.

        Parameters
        ----------
        comparisons : sequence of Comparison
        scorings : sequence of Scoring
            What was scored, as it came.
        side : Side or None
            The outputs of those that both sides answered.
        divergence : Divergence or None
            What compares them.
        champion_columns, inner : mapping of step to columns
            The champion's steps as journaled, and those that the lane's model named itself.
        disclosure : Disclosure
            What may be kept of the values.
        """
        told = Comparisons.of(comparisons)
        self.requests += len(told)
        self.weighed.add(told)
        # A flush is in the order of scoring, with requests of several workers; milestones go by
        # position.
        in_order = np.argsort(told.position, kind="stable")
        self.milestones.add(told.position[in_order], told.arrived_wall_ns[in_order])
        first = told.first
        self.failures.add(told, first)
        # Statistics judge an entity once, or one busy caller would be a slice.
        judged = np.flatnonzero(first[: len(scorings)])
        every = len(judged) == len(scorings)
        scored_first = scorings if every else [scorings[at] for at in judged.tolist()]
        shared = Shared()
        self.failures.add_slices(scored_first, disclosure=disclosure, shared=shared)
        if side is not None and divergence is not None:
            ok = told.ended(Outcome.BOTH_OK)
            self.outputs.add(
                side, told.taken(ok), divergence, disclosure=disclosure,
                first=first[ok], lately=told.lately[ok], shared=shared,
            )  # fmt: skip
        # Only after the outputs of the flush: the slices count a second scoring of rows that they
        # know.
        self.outputs.add_doubts(self.noise.new_doubts())
        self._add_times(told, champion_columns, inner)
        self.pairing.add(scorings)
        self.dear.add(scored_first, told.taken(judged), disclosure=disclosure)
        self.elapsed.add([one.request for one in scorings])

    def _add_times(
        self,
        told: Comparisons,
        champion_columns: Mapping[str, Sequence[str]],
        inner: Mapping[str, Sequence[str]],
    ) -> None:
        for column in told.sizes.names:
            seen = told.sizes.column(column)
            known = seen[told.sizes.has(column)].astype(np.int64)
            self.sizes.setdefault(column, SizeCounts()).add(known)
        # A batch's time is no request's: which of them took it is not known.
        timed = told.alone & ~np.isnan(told.lane_ms)
        self.warmup.add(told.lane_ms[timed & told.warmup])
        counted = told.taken(timed & ~told.warmup)
        if len(counted):
            self.timed += len(counted)
            self.lane.add(counted, lane=True, inner=inner)
            self.starved_ms.add(counted.starved_ms)
            # A deadline says at least how long; taken for a time it would make the mean too small.
            returned = counted.taken(~counted.ended(Outcome.TIMED_OUT))
            self.busy_ms.add(returned.lane_ms, 1 / returned.inclusion)
            self.slowest.add(returned.lane_ms, returned.position, _Slow(returned))
        alone = ~np.isnan(told.champion_ms) & ~told.warmup
        if alone.any():
            self.champion.add(told.taken(alone), lane=False, inner=champion_columns)
        # Batches count here: what callers get is a batch's answer, however it was shared.
        stood_for = None if (told.share == 1).all() else 1 / told.share
        counts = ~told.warmup
        self.champion_work.add(
            told.champion_work_ms[counts], None if stood_for is None else stood_for[counts]
        )
        self.lag_ms.add(told.lag_ms, stood_for)

    @property
    def met(self) -> float:
        """Requests that came so far, those among them that a lane behind did not score: an estimate then."""
        return self.requests + self.weighed.left_out

    def usual_ms(self) -> float:
        """Return what a request takes this version, 0 before one was timed."""
        return float(self.busy_ms.summary()["mean"]) if self.busy_ms.n else 0.0

    def slow_requests(self) -> list[dict[str, Any]]:
        """Return the slowest requests, those first that never returned.

        Returns
        -------
        list of dict
            ``key`` (ms), ``position`` and ``payload`` as `tally.Worst.rows` gives them. For a request
            that was ended, ``key`` is how long it had worked by then, and the payload's ``note`` says
            by what: ``≥ deadline``, or ``ended by crash`` or ``memory``.
        """
        ended = [_ended(poison) for poison in self.failures.poison]
        return [*sorted(ended, key=lambda row: -row["key"]), *self.slowest.rows()]

    def state(self) -> dict[str, bytes]:
        """Return the parts' states, encoded, by name."""
        parts = {name: getattr(self, name).state() for name in _PARTS}
        rest = {name: getattr(self, name) for name in _NUMBERS}
        sizes = {column: seen.state() for column, seen in self.sizes.items()}
        everything = {**parts, "sizes": sizes, "numbers": rest}
        return {name: orjson.dumps(state, option=_OPTIONS) for name, state in everything.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, bytes]) -> Self:
        """Read what `state` wrote.

        Raises
        ------
        StateError
            If another release wrote it.
        """
        # The steps are in the state; those of a fresh start are replaced by it.
        it = cls({}, {})
        try:
            for name, kind in _PARTS.items():
                if name in _YOUNG and name not in state:
                    continue  # of an earlier release: it begins anew
                setattr(it, name, kind.from_state(orjson.loads(state[name])))
            sizes = orjson.loads(state["sizes"])
            it.sizes = {column: SizeCounts.from_state(seen) for column, seen in sizes.items()}
            for name, value in orjson.loads(state["numbers"]).items():
                setattr(it, name, value)
        except KeyError as error:
            raise StateError(
                "The lane's state was written by another release. Read it with that release, or "
                "give --state-dir a fresh directory."
            ) from error
        return it


_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_PARTS: Mapping[str, Any] = {
    "outputs": Outputs,
    "failures": Failures,
    "noise": Noise,
    "lasting": Lasting,
    "answers": Answers,
    "replayed": Replayed,
    "milestones": Milestones,
    "units": Units,
    "champion": RoleTiming,
    "lane": RoleTiming,
    "champion_work": Quantiles,
    "warmup": Moments,
    "slowest": Worst,
    "busy_ms": Moments,
    "starved_ms": Moments,
    "lag_ms": Quantiles,
    "harm": CallerCost,
    "elapsed": Elapsed,
    "pairing": Pairing,
    "dear": Dear,
    "unseen": Unseen,
    "refused": Accepted,
    "measuring": Measuring,
    "spent": Spent,
    "headway": Headway,
    "thinning": Thinning,
    "weighed": Weighed,
}
# States of earlier releases lack these; a lane that goes on from one begins them anew.
_YOUNG = frozenset(
    (
        "lasting",
        "answers",
        "pairing",
        "dear",
        "replayed",
        "milestones",
        "unseen",
        "refused",
        "measuring",
        "spent",
        "headway",
        "thinning",
        "weighed",
    )
)
_NUMBERS = (
    "requests",
    "timed",
    "memory",
    "notes",
    "classes",
    "made_of",
    "ways",
)


class _Slow(Sequence[dict[str, Any]]):
    """What is told of slow requests: made of those alone that are among the slowest."""

    def __init__(self, calls: Sequence[Comparison]) -> None:
        self._calls = calls

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, at: Any) -> Any:
        return _slow(self._calls[at])


def _slow(call: Comparison) -> dict[str, Any]:
    """Name a slow request by its slowest step and the largest of its inputs."""
    step = max(call.lane_steps, key=lambda name: call.lane_steps[name], default=None)
    column = max(call.sizes, key=lambda name: call.sizes[name], default=None)
    return {
        "request_id": call.request_id,
        "step": step,
        "step_ms": call.lane_steps.get(step or "", None),
        "column": column,
        "size": call.sizes.get(column or "", None),
    }


def _ended(poison: Poison) -> dict[str, Any]:
    """Describe a request that never returned as `_slow` does others."""
    column = max(poison.sizes, key=lambda name: poison.sizes[name], default=None)
    at_deadline = poison.cause == "deadline"
    payload = {
        "request_id": poison.request_id,
        "step": poison.step,
        "step_ms": None,
        "column": column,
        "size": poison.sizes.get(column or "", None),
        "note": "≥ deadline" if at_deadline else f"ended by {poison.cause}",
    }
    return {"key": poison.worked_ms, "position": poison.position, "payload": payload}
