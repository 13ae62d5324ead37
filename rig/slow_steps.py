"""Times of steps, put into what a lane has learnt: growing, constant, now and then, or for a value."""

from __future__ import annotations

import dataclasses

import numpy as np

from rig.journal import request
from rig.judging import known_of, policy
from rig.scoring import native, pipeline
from shadowserve.comparison.comparing import Scoring
from shadowserve.comparison.timing import RoleTiming, StepTiming
from shadowserve.judgement.findings import look
from shadowserve.records import Comparison, Observation, Outcome
from shadowserve.schema.disclosure import Disclosure
from shadowserve.schema.rows import Rows
from shadowserve.statistics.tally import Quantiles

WORDS = "columns/words"


def alike(root):
    """Champion, control and challenger are one pipeline."""
    return known_of(root, native(pipeline(), number=4), champion=native(pipeline()), n=60)


def put(learned, role, wall_ms, sizes=None):
    """Let the words' step of a lane or of the champion take these times, and the total as well."""
    timing = getattr(learned, role)
    ones, n = np.ones(len(wall_ms)), len(wall_ms)
    columns = {} if sizes is None else {"title": sizes.astype(float)}
    timing.steps.setdefault(WORDS, StepTiming(("title",))).add(wall_ms, ones, ones, columns)
    timing.total.add(wall_ms + 1.0, ones, np.ones(n), {})
    if role == "champion":
        learned.champion_work.add(wall_ms + 1.0)
    if role == "lane":
        learned.requests = n
        named = [{"request_id": "r", "step": WORDS, "step_ms": float(ms)} for ms in wall_ms]
        learned.slowest.add(wall_ms + 1.0, np.arange(1, n + 1), named)
    if sizes is not None:
        learned.sizes["title"].add(sizes)


def untimed_champion(known, work_ms):
    """The champion's first requests come together and share calls, and the control has scored none."""
    known.learned.champion = RoleTiming({})
    known.learned.champion_work = Quantiles(tail=True)
    known.learned.champion_work.add(np.asarray(work_ms, dtype=np.float64))
    return dataclasses.replace(known, control=None)


def lengths(n=400, seed=0):
    return np.random.default_rng(seed).lognormal(4, 1, n).astype(np.int64) + 1


def grown(known, *, exponent, per_unit=1e-4, theirs=0.0):
    """Let the step's time grow with the title's length, and the control's by a share of that."""
    sizes = lengths()
    cost = per_unit * sizes.astype(float) ** exponent
    put(known.learned, "lane", 0.05 + cost, sizes)
    put(known.control, "lane", 0.05 + theirs * cost, sizes)
    return known


def slow(known):
    return [one for one in look(known, policy()) if one.kind == "slow_feature"]


def put_whole(learned, wall_ms):
    """Let the whole of a lane take these times."""
    ones = np.ones(len(wall_ms))
    learned.lane.total.add(wall_ms, ones, ones, {})


def priced(known, cost, *, champion=None, n=600):
    """Let the words' step take what a city costs it, beside what the champion took."""
    chance = np.random.default_rng(5)
    cities = chance.choice(["Oslo", "Rome", "Lima", "Llanfairpwllgwyngyll"], n, p=[0.1, 0.4, 0.3, 0.2])  # fmt: skip
    scorings, told = [], []
    for n_th, city in enumerate(cities, 1):
        rows = Rows({"city": np.array([city], dtype=object)}, 1)
        own = 0.5 + cost.get(city, 0.0)
        theirs = 0.5 + (champion or {}).get(city, 0.0)
        scorings.append(
            Scoring(request(n_th), Observation(), rows, {}, alone=True, warmup=False, inclusion=1.0)
        )
        told.append(
            Comparison(
                position=n_th, request_id="r", arrived_wall_ns=0, n_rows=1, window=0,
                outcome=Outcome.BOTH_OK, lane_ms=own + 0.5, lane_steps={WORDS: own, "model": 0.5},
                champion_work_ms=theirs + 0.5,
            )
        )  # fmt: skip
    for at in range(0, n, 50):
        part = slice(at, at + 50)
        known.learned.dear.add(scorings[part], told[part], disclosure=Disclosure(log="all"))
    walls = np.asarray([one.lane_steps[WORDS] for one in told])
    known.learned.lane, known.control.lane = RoleTiming({}), RoleTiming({})
    put(known.learned, "lane", walls)
    put(known.learned, "champion", np.asarray([one.champion_work_ms for one in told]))
    return known


def policy_showing_all():
    return dataclasses.replace(policy(), log_inputs="all")
