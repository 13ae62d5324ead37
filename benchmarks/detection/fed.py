"""The rows of many runs, F13a and F13b: nothing is wrong, and nothing may ever be said.

    python -m benchmarks.detection.fed --runs 200 F13a F13b

Two hundred times 20,000 requests do not fit through HTTP, so they are fed to the same lane code that a
lane's process runs: comparing, recording, learning, and on what was learnt findings and verdict. Only
what scores is played: labels of the real `likes` v3 on real requests, and random times. Both lanes learn
in portions of two hundred requests, and after each the whole report's judgement is asked. What decides on
disagreement is also looked at after every single request, by a bound on its evidence that is never too
small, and exactly where that bound does not settle it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from models import traffic
from models.likes import LIKES
from rig.fed_lane import ANSWERS, CHALLENGER, CONTROL, FedLane, known_of
from shadowserve.comparison.comparing import Scoring
from shadowserve.judgement.findings import look
from shadowserve.judgement.findings.gains import LIMITS
from shadowserve.judgement.verdict import Verdict, judge
from shadowserve.lane.intake import sizes_of, turn
from shadowserve.records import Observation, Request, Role, Times
from shadowserve.schema.rows import Rows
from shadowserve.settings.policy import Policy
from shadowserve.statistics.measuring import Plan
from shadowserve.statistics.sequential import MeanSequence, log_e_difference
from shadowserve.statistics.sequential.evidence import log_above, log_below

N_REQUESTS = 20_000
PORTION = 200
POOL = 4_000
FLIPS = {"F13a": 0.0, "F13b": 0.05}


@dataclass(frozen=True, slots=True)
class Pool:
    """Real requests, typed, with the label and the probability that v3 gives each."""

    rows: list[Rows]
    sizes: list[dict[str, int]]
    yes: np.ndarray

    @classmethod
    def scored(cls) -> Pool:
        """Fit v3 as it is registered and let it score the traffic once."""
        recipe = LIKES.versions[2]
        training = recipe.training()
        model = recipe.build().fit(training.rows, training.target)
        frame = training.rows.iloc[:0]
        records = list(traffic.likes(POOL))
        frame = type(frame)(records)[list(training.rows.columns)].astype(training.rows.dtypes)
        rows = [
            Rows({name: np.asarray(frame[name].iloc[i : i + 1]) for name in frame}, 1)
            for i in range(POOL)
        ]
        return cls(rows, [sizes_of(one) for one in rows], model.predict_proba(frame)[:, 1])


@dataclass(slots=True)
class Played:
    """What came of one run: alarms by kind, rejects, and the most that anything disagreed."""

    alarms: Counter[str] = field(default_factory=Counter)
    rejected: bool = False
    promoted: bool = False
    divergence: float = 0.0


def play(row_id: str, pool: Pool, seed: int) -> Played:
    """Play one run and return what was ever said in it."""
    rng, policy, one = np.random.default_rng(seed), Policy(), Played()
    challenger, control = FedLane(CHALLENGER, policy), FedLane(CONTROL, policy)
    every = EveryRequest(policy)
    for first in range(0, N_REQUESTS, PORTION):
        requests = list(_requests(first, pool, rng, FLIPS[row_id]))
        ours = challenger.take(_scored(requests, pool, rng, FLIPS[row_id], Role.CHALLENGER))
        sparse = _scored(requests, pool, rng, FLIPS[row_id], Role.CONTROL)
        theirs = control.take(sparse) if sparse else []
        known = known_of(challenger, control)
        one.alarms.update(every.alarms(ours, theirs))
        findings = look(known, policy)
        one.alarms.update({f.kind for f in findings if f.severity.is_alarm})
        verdict = judge(known, findings, policy).verdict
        one.rejected |= verdict is Verdict.REJECT
        one.promoted |= verdict is Verdict.PROMOTE
    one.divergence = challenger.learned.outputs.disagreement.mean
    return one


class EveryRequest:
    """The tests on disagreement after each request, as `findings` and `verdict` make them.

    The evidence that two streams differ is the least over all means that the second may have, so at any
    one mean it is at least that: where it does not suffice there, there is no alarm.
    """

    def __init__(self, policy: Policy) -> None:
        alarm = np.log(4 / policy.alarm_alpha())
        self._tests = (
            ("prediction_divergence", 0.0, alarm),
            ("prediction_divergence", policy.min_disagreement, alarm),
            ("disagreement broken", policy.max_disagreement, np.log(2 * LIMITS / policy.alpha)),
        )
        self._ours, self._theirs = MeanSequence(), MeanSequence()

    def alarms(self, ours: list[Any], theirs: list[Any]) -> Iterator[str]:
        """Take in one flush of both lanes, request by request, and yield every alarm."""
        control = {one.position: one.disagreement for one in theirs}
        for one in ours:
            self._ours.add(one.disagreement)
            if one.position in control:
                self._theirs.add(control[one.position])
            if self._ours.mean > 0 and self._theirs.n:
                yield from self._look()

    def _look(self) -> Iterator[str]:
        at = (self._ours.mean * self._ours.n + self._theirs.mean * self._theirs.n) / (
            self._ours.n + self._theirs.n
        )
        for name, margin, needed in self._tests:
            bound = log_above(self._ours.counts, at + margin) + log_below(self._theirs.counts, at)
            if bound >= needed and log_e_difference(self._ours, self._theirs, margin) >= needed:
                yield f"{name} (each request)"


def _requests(
    first: int, pool: Pool, rng: np.random.Generator, flips: float
) -> Iterator[tuple[int, Request]]:
    """Yield a portion of requests with the champion's answer, and which of the pool each is."""
    for number in range(first + 1, first + PORTION + 1):
        which = int(rng.integers(POOL))
        label = _label(pool.yes[which], rng, flips)
        arrived = 1_700_000_000 * 10**9 + number * 5 * 10**7
        yield which, Request(
            position=number, request_id=f"r{number}", arrived_wall_ns=arrived, arrived_ns=arrived,
            protocol="invocations", content_type="application/json", body=b"", status=200,
            answer=ANSWERS[label], n_rows=1, times=_times(rng).pack(),
        )  # fmt: skip


def _scored(
    requests: list[tuple[int, Request]],
    pool: Pool,
    rng: np.random.Generator,
    flips: float,
    role: Role,
) -> list[Scoring]:
    """Return what a lane of a role sees of the requests that are its turn."""
    made = []
    for which, request in requests:
        what = turn(request.position, role=role, large=False, plan=Plan(), batched=True)
        if not what.score:
            continue
        yes = pool.yes[which]
        seen = Observation(
            answer=ANSWERS[_label(yes, rng, flips)],
            scores=np.asarray([[1 - yes, yes]]),
            times=_times(rng),
        )
        warmup = request.position <= 20
        made.append(
            Scoring(
                request, seen, pool.rows[which], pool.sizes[which],
                alone=what.timed, warmup=warmup, inclusion=what.inclusion, warm=what.timed,
            )
        )  # fmt: skip
    return made


def _label(yes: float, rng: np.random.Generator, flips: float) -> int:
    return int((yes > 0.5) ^ (rng.random() < flips))


def _times(rng: np.random.Generator) -> Times:
    """Times of a model that takes about 5 ms, with one spike in fifty."""
    features, model = (rng.lognormal((1.4, 0.0), 0.2) * (5 if rng.random() < 0.02 else 1)).tolist()
    wall = (int(features * 1e6), int(model * 1e6))
    return Times(phases_ns=(10**5, 10**5, 0, *wall, 10**5), wall_ns=wall, cpu_ns=wall)


def main() -> None:
    """Play runs and print how many ever alarmed, by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=list(FLIPS), metavar="ROW")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each adds one")
    asked = parser.parse_args()
    threadpool_limits(1)
    pool = Pool.scored()
    for row_id in asked.rows:
        started, runs = time.perf_counter(), []
        for n in range(1, asked.runs + 1):
            runs.append(play(row_id, pool, asked.seed + n - 1))
            if n % 10 == 0 or n == asked.runs:
                print(line(row_id, runs, time.perf_counter() - started), flush=True)


def line(row_id: str, runs: list[Played], seconds: float) -> str:
    """Return what so many runs came to."""
    ever = Counter(kind for one in runs for kind in set(one.alarms))
    told = ", ".join(f"{kind} in {n}" for kind, n in sorted(ever.items())) or "no alarm"
    rejected, promoted = sum(r.rejected for r in runs), sum(r.promoted for r in runs)
    mean = np.mean([one.divergence for one in runs])
    return (
        f"{row_id}: {len(runs)} runs of {N_REQUESTS:,} requests: {told}; {rejected} rejected, "
        f"{promoted} promoted at some look; mean disagreement {mean:.4f}; "
        f"{seconds / len(runs):.1f} s a run"
    )


if __name__ == "__main__":
    main()
