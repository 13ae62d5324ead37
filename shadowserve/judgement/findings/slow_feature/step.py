"""One step of the challenger, and what is asked of it whatever way it is slow."""

from __future__ import annotations

from dataclasses import dataclass

from shadowserve.comparison.learned import Learned
from shadowserve.comparison.timing import StepTiming, outermost
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.kind import FindingKind
from shadowserve.judgement.findings.slow_feature.yardstick import Yardstick, yardsticks
from shadowserve.records import sequence_of
from shadowserve.settings.policy import ALARM_SHARE, Policy

SLOW_FEATURE = FindingKind(
    "slow_feature",
    fires="A step gets slow on long inputs, on every call, now and then, or for a value.",
    share=ALARM_SHARE,
)

MIN_TIMED = 30
"""Requests timed before a step is judged: below it a median still moves with every request."""
CRITICAL_TAIL_MS = 100.0
"""A tail that callers notice by themselves, in ms: from here on the finding rejects."""
MATERIAL_MS = 5.0
"""Milliseconds below which growth or a slow spell is not worth a change of the model."""
TWICE = 2.0
"""How many times the champion's time or share is asked for: a margin for noise that pairs do not cancel."""
STRETCHES, STRETCH, FEWEST_STRETCHES = 8, 50, 3
"""Parts of the traffic, the fewest requests in one, and in how many slow calls must lie: a cold cache is
slow in the first alone, and a version that is slow for good is slow in most."""
OVER = 0.01
"""Probability below which a cluster of slow calls near the beginning counts as a start that is over."""
IN_THE_WHOLE = 0.5
"""No step is slower than the whole is: that share of what a step is accused of must show in it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the challenger beside what it is compared with."""

    known: Facts
    learned: Learned
    name: str
    timing: StepTiming
    theirs: Yardstick

    @property
    def role(self) -> str:
        """Whose times the step is compared with."""
        return self.theirs.role

    def usual_ms(self) -> float:
        """Return the control's median, else the champion's; what a request usually takes.

        Where neither was timed alone, the calls that the champion shared are a bound.
        """
        for _, timing in yardsticks(self.known):
            if timing.total.spent.n >= MIN_TIMED:
                return timing.total.wall.quantile(0.5)
        return self.learned.champion_work.quantile(0.5)

    def slowest(self) -> tuple[int, ...]:
        """Positions of the slowest requests in which this step took most of the time."""
        rows = self.learned.slowest.rows()
        return tuple(r["position"] for r in rows if r["payload"]["step"] in (self.name, None))[:5]

    def alpha(self, policy: Policy) -> float:
        """Return what one test of this step may spend: each step is tested in two ways."""
        return SLOW_FEATURE.alpha(policy) / (2 * max(1, len(self.learned.lane.steps)))

    def outer(self) -> str:
        """Return the step of the plan in which a named part lies; the step itself if it is none."""
        names = outermost(self.learned.lane.steps)
        return next((one for one in names if f"{self.name}/".startswith(f"{one}/")), self.name)

    def keeps_coming(self, limit_ms: float) -> bool:
        """Whether slow calls lie in several stretches of the traffic: a cold cache is slow in one.

        The latest timings of each size are kept: where a time of slowness has passed, it lives on in the
        sizes that are rare, and would look like growth.
        """
        learned = self.learned
        slow = [
            self._number(row["position"])
            for row in learned.slowest.rows()
            if row["payload"]["step"] == self.name and row["payload"]["step_ms"] > limit_ms
        ]
        length = max(STRETCH, learned.requests // STRETCHES)
        if len({position // length for position in slow}) < FEWEST_STRETCHES:
            return False
        # Early on a cold beginning may reach over three short stretches. Were it not over, the last of so
        # many slow calls would hardly lie so far back.
        beginning = length == STRETCH and max(slow) < learned.requests
        return not beginning or (max(slow) / learned.requests) ** len(slow) >= OVER

    def _number(self, position: int) -> int:
        """Return which request a position is, whichever worker answered it."""
        moment = self.known.moment(position)
        return sequence_of(position) if moment is None else moment.number
