"""The budget for measuring, by simulation: whatever the load, a fifth of the time, and figures that hold.

A request costs 6 ms alone, among others 0.3 ms. One in twenty costs ten times as much. No clock runs here:
a lane's time is what was simulated, its idle time too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import orjson
import pytest

from shadowserve.comparison.bursts import block_of
from shadowserve.lane.intake import turn
from shadowserve.records import Role, position
from shadowserve.statistics.measuring import FIRST, SHARE, Measuring, Plan
from shadowserve.statistics.tally import Moments, Quantiles

CALL_MS, ROW_MS = 5.7, 0.3
SLOW_SHARE, TIMES = 0.05, 10.0
READ = 64
N = 60_000


@dataclass
class Traffic:
    """Requests to come: how far apart in milliseconds, and the time each takes of its own, in usual ones."""

    gap_ms: float
    own: np.ndarray
    worker: int = 0

    @classmethod
    def drawn(cls, gap_ms, *, seed, n=N, slow=None):
        rng = np.random.default_rng(seed)
        slow = rng.random(n) < SLOW_SHARE if slow is None else slow
        return cls(gap_ms, np.where(slow, TIMES, 1.0) * rng.lognormal(0, 0.2, n), worker=seed)


@dataclass
class Played:
    """One simulated lane, and what it timed.

    A lane tells of its time once for each read, which may be long: of 512 requests, each slow alone.
    """

    traffic: Traffic
    call_ms: float = CALL_MS
    read: int = READ
    role: Role = Role.CHALLENGER
    budget: Measuring = field(default_factory=Measuring)
    now_ms: float = 0.0
    place: int = 0
    alone_ms: float = 0.0
    excess_ms: float = 0.0
    first_ms: tuple[float, float] = (0.0, 0.0)
    timed: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    untold_ms: float = 0.0

    def run(self, upto=None):
        end = upto or len(self.traffic.own)
        while self.place < end:
            came = len(self.traffic.own)
            if self.traffic.gap_ms:
                came = min(came, int(self.now_ms / self.traffic.gap_ms) + 1)
            if came > self.place:
                self._read(min(came, self.place + self.read))
            else:
                self._pass((self.place + 1) * self.traffic.gap_ms - self.now_ms)
            if self.place <= FIRST:
                self.first_ms = (self.now_ms, self.excess_ms)
        return self

    def _pass(self, ms):
        self.now_ms += ms
        self.untold_ms += ms

    def _tell(self):
        self.budget.pass_time(int(self.untold_ms * 1e6))
        self.untold_ms = 0.0

    def _read(self, stop):
        self._tell()
        places = [position(self.traffic.worker, i + 1) for i in range(self.place, stop)]
        self.budget.read(len(places))
        plans = {block: self.budget.plan(block) for block in map(block_of, places)}
        among, rows = 0.0, 0
        for i, where in enumerate(places, self.place):
            plan = plans[block_of(where)]
            what = turn(where, role=self.role, large=False, plan=plan, batched=True)
            own = self.traffic.own[i]
            if what.score and what.alone:
                self._alone(i, own, what)
            elif what.score:
                among, rows = among + own * ROW_MS, rows + 1
        if rows:
            self.budget.together(int((self.call_ms + among) * 1e6), rows=rows)
            self._pass(self.call_ms + among)
        self.place = stop

    def _alone(self, i, own, what):
        ms = own * (self.call_ms + ROW_MS)
        self.budget.alone(int(ms * 1e6), rows=1, burst=what.burst)
        self._pass(ms)
        self.excess_ms += ms - own * ROW_MS
        if what.timed:
            self.timed.append(i)
            self.shares.append(what.inclusion)

    @property
    def measuring(self):
        """Share of the time that went to measuring, the first requests aside."""
        before, spent = self.first_ms
        return (self.excess_ms - spent) / (self.now_ms - before)

    def of_slow(self):
        """Return the share of slow requests as it is estimated, with its standard error; and their true share."""
        slow = self.traffic.own > TIMES / 2
        seen = Moments()
        seen.add(slow[self.timed].astype(float), 1 / np.asarray(self.shares))
        return seen.mean, np.sqrt(seen.mean * (1 - seen.mean) / seen.n_effective), slow.mean()

    def quantile(self, rank):
        """Return a quantile as it is estimated, over the true one."""
        seen = Quantiles(tail=True)
        seen.add(self.traffic.own[self.timed], 1 / np.asarray(self.shares))
        return seen.quantile(rank) / np.quantile(self.traffic.own, rank)


def runs(gap_ms, *, n_runs, role=Role.CHALLENGER, **drawn):
    return [
        Played(Traffic.drawn(gap_ms, seed=seed, **drawn), role=role).run() for seed in range(n_runs)
    ]


LOADS = {"light": 50.0, "busy": 3.0, "behind": 0.0}
"""Milliseconds between requests: all fit alone; one in eight does; the whole backlog is there at once."""


@pytest.mark.parametrize("load", LOADS)
def test_figures_are_unbiased_and_measuring_takes_a_fifth_at_most_at_every_load(load):
    played = runs(LOADS[load], n_runs=6, n=30_000)
    told = np.array([one.of_slow() for one in played])
    off = told[:, 0].mean() - told[:, 2].mean()
    assert abs(off) < 3 * np.sqrt((told[:, 1] ** 2).sum()) / len(played)
    assert told[:, 0].mean() == pytest.approx(SLOW_SHARE, abs=0.008)
    for rank, within in ((0.5, 0.01), (0.9, 0.03), (0.99, 0.06)):
        assert np.mean([one.quantile(rank) for one in played]) == pytest.approx(1.0, abs=within)
    shares = [one.measuring for one in played]
    assert max(shares) < SHARE * 1.5  # of one run: some twenty bursts were drawn, or thirty
    if load == "light":
        assert np.mean([len(one.timed) for one in played]) > 29_900
    else:
        assert np.mean(shares) == pytest.approx(SHARE, abs=0.035)


def test_the_first_thousand_are_all_timed_whatever_waits():
    played = Played(Traffic.drawn(0.0, seed=1, n=2_000)).run()
    assert played.timed[:FIRST] == list(range(FIRST))
    assert len(played.timed) < FIRST + 400


def test_a_first_thousand_that_costs_too_much_is_cut_short():
    budget = Measuring()
    budget.read(20)
    budget.alone(31 * 10**9, rows=20, n=20)
    assert not budget.is_first


def test_the_shares_are_those_of_a_calculation_by_hand():
    """Of 8 s, 0.5 s went to measuring; a quarter of the other 7.5 s is 0.94 ms for each of 2,000 requests."""
    budget = Measuring()
    budget.read(2_000)
    budget.together(1_900 * 10**6, rows=1_900)
    budget.alone(100 * 6 * 10**6, rows=100, n=100)  # 5 ms more than among others
    budget.pass_time(8 * 10**9)
    plan = budget.plan((0, 10))
    # Bursts, a tenth of the requests, take 0.5 ms of each; the nine tenths between share what is left.
    assert (plan.bursts, plan.large) == (1.0, 1.0)
    assert plan.others == pytest.approx((0.9375 - 0.5) / (0.9 * 5))
    budget.alone(10**12, rows=1)
    assert budget.plan((0, 10)) == plan  # asked for again, whatever its own requests cost
    assert budget.plan((0, 11)) != plan


@pytest.mark.parametrize("load", ["busy", "behind"])
def test_where_slow_requests_come_in_spells_they_are_counted_as_often_as_they_are(load):
    """What a spell costs lowers the shares of the blocks after it: their weights say so."""
    rng, told = np.random.default_rng(0), []
    for seed in range(12):
        n, slow, at = 30_000, np.zeros(30_000, dtype=bool), 0
        while at < n:
            at += int(rng.exponential(475))
            slow[at : at + 25] = True
            at += 25
        traffic = Traffic.drawn(LOADS[load], seed=seed, slow=slow, n=n)
        told.append(Played(traffic).run().of_slow())
    off = np.array([estimate - truth for estimate, _, truth in told])
    assert abs(off.mean()) < 3 * off.std() / np.sqrt(len(off))
    assert abs(off.mean()) < 0.012


def test_traffic_that_comes_round_is_seen_whole():
    """Five hundred rows over and over, the slow ones side by side: bursts at fixed places never met them."""
    slow, off = np.resize(np.arange(500) // 25 == 10, 40_000), []
    for seed in range(12):
        estimate, _, truth = (
            Played(Traffic.drawn(0.0, seed=seed, slow=slow, n=40_000)).run().of_slow()
        )
        off.append(estimate - truth)
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(len(off))
    assert abs(np.mean(off)) < 0.015


def test_what_no_request_decides_about_itself():
    """The shares of a block are the same whatever its own requests cost."""
    traffic = Traffic.drawn(0.0, seed=3, n=4_000)
    cheap, dear = Played(traffic).run(3_000), None
    state = cheap.budget.state()
    block = (3, 15)
    for ms in (1, 10_000):
        dear = Measuring.from_state(state)
        plan = dear.plan(block)
        dear.alone(ms * 10**6, rows=1)
        dear.pass_time(ms * 10**6)
        assert dear.plan(block) == plan == cheap.budget.plan(block)


def test_a_restart_goes_on_with_the_same_shares():
    traffic = Traffic.drawn(1.0, seed=5, n=6_000)
    whole, half = Played(traffic).run(3_000), Played(traffic).run(3_000)
    for lane in (whole, half):
        lane._tell()  # as a lane does before it commits
    whole.run()
    half.budget = Measuring.from_state(orjson.loads(orjson.dumps(half.budget.state())))
    assert half.run().timed == whole.timed
    assert half.shares == whole.shares


def test_what_a_lane_with_less_room_times_the_other_times_too():
    """Challenger and control are compared on the same requests, whatever room each has."""
    little, much = Plan(bursts=0.3, others=0.02), Plan(bursts=0.8, others=0.5)
    for role in Role.CHALLENGER, Role.CONTROL:
        few, many = (
            {
                n
                for n in range(1, 20_001)
                if (what := turn(n, role=role, large=n % 97 == 0, plan=plan, batched=True)).timed
                and what.score
            }
            for plan in (little, much)
        )
        assert few < many


@pytest.mark.parametrize(
    "plan", [Plan(), Plan(others=0.05), Plan(0.3, 1.0, 0.01), Plan(0.5, 0.4, 0.02)]
)
@pytest.mark.parametrize("role", [Role.CHALLENGER, Role.CONTROL])
@pytest.mark.parametrize("large", [False, True])
def test_the_probability_is_what_is_said(plan, role, large):
    n = 40_000
    turns = [turn(i, role=role, large=large, plan=plan, batched=True) for i in range(201, n + 201)]
    timed = [one for one in turns if one.timed and one.score]
    (told,) = {one.inclusion for one in timed}
    # The control times no others than large ones, and of a burst's twenty not the four that warm it.
    alone, within = (plan.others, 0.1) if role is Role.CHALLENGER else (0.0, 0.08)
    alone = max(alone, plan.large) if large else alone
    assert told == pytest.approx(1 - (1 - alone) * (1 - within * plan.bursts))
    # Whole bursts are chosen, one in two hundred requests.
    of_bursts = plan.bursts * (1 - plan.bursts) * 200 * (within * (1 - alone)) ** 2
    off = np.sqrt((of_bursts + alone * (1 - alone)) / n)
    assert len(timed) / n == pytest.approx(told, abs=4 * off + 1e-9)


def test_scoring_again_comes_out_of_the_same_budget():
    budget = Measuring()
    budget.read(2_000)
    for _ in range(100):
        budget.pass_time(10**8)
        budget.again(2 * 10**7)
        budget.alone(10**7, rows=1, n=1)
        budget.together(10**7, rows=64)
    assert not budget.has_room_again
    assert budget.plan((0, 0)).others < 0.01
    assert budget.share_lately == pytest.approx(0.3, abs=0.01)


def test_large_inputs_are_thinned_only_where_they_alone_are_too_many():
    few, many = Measuring(), Measuring()
    for budget, large in ((few, 20), (many, 1_600)):
        budget.read(2_000)
        for _ in range(large):
            budget.large()
        budget.alone(6 * 10**6 * 100, rows=100, n=100)
        budget.together(10**9, rows=1_900)
        budget.pass_time(2 * 10**9)
    assert few.plan((0, 12)).large == 1.0
    assert 0.001 < many.plan((0, 12)).large < 0.5


@pytest.mark.parametrize(
    ("call_ms", "read", "n", "most"),
    [(0.5, 512, 12_000, 0.25), (6.0, 64, 12_000, 0.32), (6.0, 512, 12_000, 0.32), (60.0, 512, 40_000, 0.5)],
)  # fmt: skip
def test_a_model_that_is_slow_alone_is_measured_for_little_more_where_time_is_told_seldom(
    call_ms, read, n, most
):
    """A thousandth of the requests is timed whatever it costs, and what the first took is not known at once."""
    lane = Played(Traffic.drawn(0.0, seed=1, n=n), call_ms=call_ms, read=read).run()
    assert lane.measuring < most
    assert len(lane.timed) > 600


@pytest.mark.parametrize("idle_s", [20, 3_600])
def test_an_hour_without_requests_is_no_credit_for_the_burst_after_it(idle_s):
    lane = Played(Traffic.drawn(0.0, seed=2, n=12_000), call_ms=6.0, read=512)
    lane.run(upto=3_000)
    began, spent = lane.now_ms, lane.excess_ms
    lane._pass(idle_s * 1e3)
    lane.run()
    burst_ms = lane.now_ms - began - idle_s * 1e3
    # A fifth of what is remembered of the idle time, ten seconds, and of the burst's own; and one read's.
    assert lane.excess_ms - spent < 0.3 * burst_ms + 0.25 * 10_000 + 512 * 6


def test_time_told_in_pieces_is_time_told_at_once():
    one, other = Measuring(), Measuring()
    for budget, pieces in ((one, 1), (other, 50)):
        for _ in range(20):
            for _ in range(pieces):
                budget.read(1_000 // pieces)
                budget.together(10**8 // pieces, rows=1_000 // pieces)
                budget.alone(5 * 10**9 // pieces, rows=50 // pieces, n=50 // pieces)
                budget.pass_time(8 * 10**9 // pieces)
    plans = one.plan((0, 50)), other.plan((0, 50))
    assert plans[0].bursts == pytest.approx(plans[1].bursts, rel=0.1)
    assert plans[0].others == pytest.approx(plans[1].others, rel=0.1)
    assert one.share_lately == pytest.approx(other.share_lately, rel=0.1)
