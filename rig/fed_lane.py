"""A lane's own code, fed with what its version is said to have answered, and what a report makes of two."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import orjson

from shadowserve.comparison.bursts import BurstRecord
from shadowserve.comparison.comparing import Comparer, Scoring
from shadowserve.comparison.learned import Learned
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.pairs import Pair
from shadowserve.lane.recording import Recorder, burst_row
from shadowserve.records import Outcome, Role
from shadowserve.schema.disclosure import Disclosure
from shadowserve.settings.options import Options
from shadowserve.settings.policy import Policy
from shadowserve.state.counters import Counts
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.ledger_entries import LaneLedger, Ledger
from shadowserve.versions.version import Version
from shadowserve.wire.protocols import protocols

STEPS = (("features", ()), ("model", ()))
CHALLENGER, CONTROL = LaneName(Role.CHALLENGER, 4), LaneName(Role.CONTROL, 3)
ANSWERS = [orjson.dumps({"predictions": [label]}) for label in (0, 1)]


class FedLane:
    """The lane code of one role, fed with what its version is said to have answered."""

    def __init__(self, name: LaneName, policy: Policy) -> None:
        scorer = SimpleNamespace(loaded=SimpleNamespace(classes=[0, 1]), step_names=STEPS)
        tail = SimpleNamespace(steps=lambda _worker: STEPS)
        self.name = name
        self.comparer = Comparer(dict(protocols("likes", 3)), classes=[0, 1])
        self.recorder = Recorder(cast(Any, scorer), cast(Any, tail), 0)
        self.learned = Learned({}, dict(STEPS), change_alpha=policy.alarm_alpha())
        self.bursts: dict[int, BurstRecord] = {}
        self.outcomes: Counter[Outcome] = Counter()

    def take(self, scorings: list[Scoring]) -> list[Any]:
        """Compare, record and learn one flush."""
        side = self.comparer.compare(scorings)
        made = self.recorder.comparisons(scorings, side, self.learned.units)
        self.learned.add(
            made,
            scorings=scorings,
            side=side,
            divergence=self.comparer.divergence,
            champion_columns=dict(STEPS),
            inner={},
            disclosure=Disclosure(b"salt"),
        )
        self.outcomes.update(one.outcome for one in made)
        for row in filter(None, map(burst_row, scorings)):
            self.bursts[row[0]] = BurstRecord.decode(row[3])
        return made


def known_of(challenger: FedLane, control: FedLane, *, entity: str | None = None) -> Facts:
    """Put together what a report is made of."""
    versions = [Version(model="likes", number=n, created="") for n in (3, 4)]
    served = Deployment(
        id="fed", champion=versions[0], challengers=(versions[1],), control=True, files={},
        started="2026-01-01T00:00:00+00:00", start="", salt="salt", tracking_uri="",
        options=Options(entity=entity),
    )  # fmt: skip
    n = sum(challenger.outcomes.values())
    lanes = tuple(
        LaneLedger(
            one.name, "running", None, dict(one.outcomes), n - sum(one.outcomes.values()), 0.0
        )
        for one in (challenger, control)
    )
    both = [
        (position, ours, control.bursts[position])
        for position, ours in challenger.bursts.items()
        if position in control.bursts
    ]
    return Facts(
        deployment=served,
        challenger=versions[1],
        ledger=Ledger("fed", "likes", 3, Counts(answered=n, appended=n), 0, lanes),
        lane=lanes[0],
        learned=challenger.learned,
        control=control.learned,
        pairs=tuple(Pair(p, a.ms, b.ms, a.steps, b.steps, a.scores, b.scores) for p, a, b in both),
        windows=n // 1_000,
    )
