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
from shadowserve.comparison.dear import Dear
from shadowserve.comparison.elapsed import Elapsed
from shadowserve.comparison.failures import Failures, Noise, Poison
from shadowserve.comparison.lasting import Answers, Lasting
from shadowserve.comparison.milestones import Milestones
from shadowserve.comparison.outputs import Outputs
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
        self.requests += len(comparisons)
        self.weighed.add(comparisons)
        # A flush is in the order of scoring, with requests of several workers; milestones go by
        # position.
        in_order = sorted(comparisons, key=lambda one: one.position)
        self.milestones.add(
            [one.position for one in in_order], [one.arrived_wall_ns for one in in_order]
        )
        first, lately = (
            np.asarray([getattr(c, name) for c in comparisons], dtype=np.bool_)
            for name in ("first", "lately")
        )
        self.failures.add(comparisons, first)
        # Statistics judge an entity once, or one busy caller would be a slice.
        scored_first = [one for one, own in zip(scorings, first, strict=False) if own]
        self.failures.add_slices(scored_first, disclosure=disclosure)
        if side is not None and divergence is not None:
            ok = np.asarray([c.outcome is Outcome.BOTH_OK for c in comparisons])
            both = [c for c, answered in zip(comparisons, ok, strict=True) if answered]
            self.outputs.add(
                side, both, divergence, disclosure=disclosure, first=first[ok], lately=lately[ok]
            )
        # Only after the outputs of the flush: the slices count a second scoring of rows that they
        # know.
        self.outputs.add_doubts(self.noise.new_doubts())
        self._add_times(comparisons, champion_columns, inner)
        self.pairing.add(scorings)
        judged = [
            (one, told) for one, told, own in zip(scorings, comparisons, first, strict=False) if own
        ]
        self.dear.add(
            [one for one, _ in judged], [told for _, told in judged], disclosure=disclosure
        )
        self.elapsed.add(one.request for one in scorings)

    def _add_times(
        self,
        comparisons: Sequence[Comparison],
        champion_columns: Mapping[str, Sequence[str]],
        inner: Mapping[str, Sequence[str]],
    ) -> None:
        for column in dict.fromkeys(column for one in comparisons for column in one.sizes):
            seen = [one.sizes[column] for one in comparisons if column in one.sizes]
            self.sizes.setdefault(column, SizeCounts()).add(np.asarray(seen, dtype=np.int64))
        # A batch's time is no request's: which of them took it is not known.
        timed = [c for c in comparisons if c.alone and c.lane_ms is not None]
        self.warmup.add(np.asarray([c.lane_ms for c in timed if c.warmup], dtype=np.float64))
        counted = [c for c in timed if not c.warmup]
        if counted:
            self.timed += len(counted)
            self.lane.add(counted, lane=True, inner=inner)
            self.starved_ms.add(np.asarray([c.starved_ms for c in counted]))
            # A deadline says at least how long; taken for a time it would make the mean too small.
            returned = [c for c in counted if c.outcome is not Outcome.TIMED_OUT]
            lane_ms = np.asarray([c.lane_ms for c in returned], dtype=np.float64)
            self.busy_ms.add(lane_ms, np.asarray([1 / c.inclusion for c in returned]))
            positions = np.asarray([c.position for c in returned])
            self.slowest.add(lane_ms, positions, [_slow(c) for c in returned])
        alone = [c for c in comparisons if c.champion_ms is not None and not c.warmup]
        if alone:
            self.champion.add(alone, lane=False, inner=champion_columns)
        # Batches count here: what callers get is a batch's answer, however it was shared.
        worked = [c.champion_work_ms for c in comparisons if not c.warmup]
        stood_for = [1 / c.share for c in comparisons]
        self.champion_work.add(
            np.asarray(worked, dtype=np.float64),
            _weights(stood_for, [not c.warmup for c in comparisons]),
        )
        self.lag_ms.add(np.asarray([c.lag_ms for c in comparisons]), _weights(stood_for))

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


def _weights(stood_for: Sequence[float], wanted: Sequence[bool] | None = None) -> np.ndarray | None:
    """Return what requests stand for, of those that are wanted; None where it is one each."""
    if all(weight == 1 for weight in stood_for):
        return None
    own = np.asarray(stood_for, dtype=np.float64)
    return own if wanted is None else own[np.asarray(wanted, dtype=np.bool_)]


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
