"""Where a target breaks: at what it serves, at limits, in its journal and its lanes, and never by a hiccup."""

from __future__ import annotations

import numpy as np
import pytest

from shadowserve.replay.account import LaneLook, Look
from shadowserve.replay.capacity import Found, Limits, Step, broken, find
from shadowserve.replay.picture import picture
from shadowserve.replay.sending import Ended
from shadowserve.replay.tally import Tally

SECONDS = 5.0


def queue(rate, *, served, seconds=SECONDS, noise=None, status=200, late_s=0.0):
    """What becomes of even requests at one server that takes one after the other."""
    tally, free = Tally(), 0.0
    for n in range(round(rate * seconds)):
        due = n / rate
        took = 1 / served if noise is None else noise(n, due)
        free = max(free, due) + took
        tally(Ended(n, due, due + late_s, free, status if not callable(status) else status(n)))
    return tally


def searched(serve, *, limits=None, start=10.0, looks=None):
    tried = []

    def run(rate):
        tried.append(rate)
        before, after = looks(rate) if looks else (None, None)
        return Step(rate, SECONDS, serve(rate), before, after)

    found = find(run, limits or Limits(), start=start)
    return found, tried


@pytest.mark.parametrize("served", [13.0, 100.0, 1_333.0])
def test_a_known_capacity_is_found(served):
    found, tried = searched(lambda rate: queue(rate, served=served))
    assert found.held <= served * 1.02
    assert found.held == pytest.approx(served, rel=0.06)
    assert served * 0.99 <= found.broke <= found.held * 1.05
    assert len(tried) < 40
    assert [part for part, _, _ in found.order] == ["champion"]
    assert "longer and longer" in found.order[0][2]


@pytest.mark.parametrize("start", [0.5, 100.0, 4_000.0])
def test_it_is_found_from_any_beginning(start):
    found, _ = searched(lambda rate: queue(rate, served=100.0), start=start)
    assert found.held == pytest.approx(100.0, rel=0.06)


def test_a_champion_that_is_unsteady_is_found_within_a_tenth():
    def serve(rate):
        drawn = np.random.default_rng(int(rate * 7))
        return queue(rate, served=0, noise=lambda _n, _due: drawn.gamma(4, 0.01 / 4))

    found, _ = searched(serve)
    assert found.held == pytest.approx(100.0, rel=0.1)


def test_one_hiccup_breaks_nothing():
    """A machine that stops for a third of a second, once, in the first try at each rate."""
    seen = set()

    def serve(rate):
        hiccup = rate not in seen
        seen.add(rate)
        return queue(rate, served=0, noise=lambda n, _due: 0.3 if hiccup and n == 40 else 0.01)

    found, _ = searched(serve, limits=Limits(p99_ms=100.0))
    assert found.held == pytest.approx(100.0, rel=0.06)


def test_what_warms_up_slowly_is_not_broken():
    tally = queue(20.0, served=0, noise=lambda n, _due: 0.1 if n < 10 else 0.001)
    assert broken(Step(20.0, SECONDS, tally), Limits()) == []


def test_quick_answers_that_become_twice_as_slow_are_no_queue():
    """One millisecond and then three: nothing waits."""
    tally = queue(100.0, served=0, noise=lambda n, _due: 0.001 if n < 250 else 0.003)
    assert broken(Step(100.0, SECONDS, tally), Limits()) == []


def test_refusals_at_once_are_errors_however_quick():
    """503 takes no time: by its times such a champion would serve anything."""

    def serve(rate):
        return queue(rate, served=1e6, status=lambda n: 503 if rate > 60 and n % 3 == 0 else 200)

    found, _ = searched(serve)
    assert found.held == pytest.approx(60.0, rel=0.06)
    assert "mostly by status 503" in found.order[0][2]


def test_the_limit_on_p99_may_break_first():
    tally = Tally()
    for n in range(200):
        tally(Ended(n, n / 40, n / 40, n / 40 + (0.3 if n % 20 == 0 else 0.001), 200))
    (one,) = broken(Step(40.0, SECONDS, tally), Limits(p99_ms=250.0))
    assert one.why == "p99 300 ms is above 250 ms"
    assert broken(Step(40.0, SECONDS, tally), Limits(p99_ms=350.0)) == []


def test_what_refuses_every_request_holds_nothing():
    for status in (400, 404, 302, 503):
        found, tried = searched(lambda rate, s=status: queue(rate, served=1e6, status=s))
        assert (found.held, len(tried) < 40) == (0.0, True)
        assert found.order[0][0] == "champion"


def test_a_sender_that_is_late_has_found_its_own_capacity():
    found, _ = searched(lambda rate: queue(rate, served=1e6, late_s=0.2 if rate > 300 else 0.0))
    assert found.ended_by == "sender"
    assert found.broke is None
    assert 200 <= found.held <= 300


def test_it_ends_at_the_most_that_may_be_tried():
    found, tried = searched(lambda rate: queue(rate, served=1e6), limits=Limits(most_rate=77.0))
    assert (found.held, found.broke, found.ended_by, max(tried)) == (77.0, None, "most_rate", 77.0)


def test_a_stop_leaves_what_was_found_so_far():
    steps = iter([Step(10.0, SECONDS, queue(10.0, served=100.0)), None])
    found = find(lambda _rate: next(steps), Limits(), start=10.0)
    assert (found.held, found.broke, found.ended_by) == (10.0, None, "stopped")


class Lanes:
    """Lanes that get through so many a second, committing some hundreds at once, and the time that passes."""

    def __init__(self, *, block=1, scoring=True, still=lambda _at: False, **paces):
        self._paces, self._block, self._scoring, self._still = paces, block, scoring, still
        self._at, self._came = 0.0, 0.0
        self._dealt = dict.fromkeys(paces, 0.0)

    def _look(self):
        looks = {}
        for name, dealt in self._dealt.items():
            told = int(dealt // self._block * self._block)
            looks[name.replace("_", " ")] = LaneLook(told, int(self._came) - told, self._scoring)
        return Look(lanes=looks, stands_still=self._still(self._at), at_s=self._at)

    def _pass(self, seconds, rate):
        ticks = 100
        for _ in range(ticks):
            still = self._still(self._at)
            self._at += seconds / ticks
            self._came += rate * seconds / ticks
            for name, pace in self._paces.items():
                self._dealt[name] += (
                    0 if still else min(pace * seconds / ticks, self._came - self._dealt[name])
                )

    def __call__(self, rate):
        before = self._look()
        self._pass(SECONDS, rate)
        after = self._look()
        self._pass(0.5, 0.0)
        return before, after


@pytest.mark.parametrize(("scoring", "part"), [(True, "scorers"), (False, "recorder")])
@pytest.mark.parametrize("block", [1, 512])
def test_a_lane_that_is_too_slow_is_named_before_the_champion(scoring, part, block):
    """It commits hundreds at once: a step by itself would call it behind at 40 and fine at 90."""
    looks = Lanes(challenger_v4=60.0, control_v3=1e6, scoring=scoring, block=block)
    found, tried = searched(lambda rate: queue(rate, served=200.0), looks=looks)
    assert [name for name, _, _ in found.order] == [f"{part} of challenger v4", "champion"]
    assert found.held == pytest.approx(200.0, rel=0.06)
    _, rate, why = found.order[0]
    pace = float(why.partition("about ")[2].split()[0])
    assert pace == pytest.approx(60, rel=0.1)
    assert rate == min(one for one in tried if one > pace)


@pytest.mark.parametrize("pace", [250.0, 1e6])
def test_lanes_that_keep_up_are_not_named(pace):
    looks = Lanes(challenger_v4=pace, control_v3=pace, block=64)
    found, _ = searched(lambda rate: queue(rate, served=200.0), looks=looks)
    assert [name for name, _, _ in found.order] == ["champion"]


def test_a_control_that_waits_for_a_challenger_is_not_named():
    looks = Lanes(challenger_v4=60.0, control_v3=60.0)
    found, _ = searched(lambda rate: queue(rate, served=200.0), looks=looks)
    assert [name for name, _, _ in found.order] == ["scorers of challenger v4", "champion"]
    alone = Lanes(challenger_v4=1e6, control_v3=60.0)
    found, _ = searched(lambda rate: queue(rate, served=200.0), looks=alone)
    assert [name for name, _, _ in found.order] == ["scorers of control v3", "champion"]


def test_a_lane_that_stands_still_on_purpose_is_not_judged_by_that():
    looks = Lanes(challenger_v4=300.0, still=lambda at: 20 <= at < 50)
    found, _ = searched(lambda rate: queue(rate, served=100.0), looks=looks)
    assert [name for name, _, _ in found.order] == ["champion"]


def test_a_journal_that_fails_is_named():
    step = Step(20.0, SECONDS, queue(20.0, served=100.0), Look(3, 0), Look(9, 0))
    assert broken(step, Limits()) == [("journal", "6 answers could not be recorded")]
    step = Step(20.0, SECONDS, queue(20.0, served=100.0), Look(3, 5), Look(3, 12))
    assert broken(step, Limits()) == [("journal", "its budget deleted 7 requests unread")]


def test_what_broke_once_and_held_later_did_not_break():
    found = Found()
    bad = Step(50.0, SECONDS, queue(50.0, served=20.0))
    found.take(bad, broken(bad, Limits()))
    good = Step(80.0, SECONDS, queue(80.0, served=100.0))
    found.take(good, broken(good, Limits()))
    found.settle()
    assert (found.held, found.broke, found.order) == (80.0, None, [])


def test_the_picture_stands_alone_and_says_what_was_found():
    looks = Lanes(challenger_v4=40.0)
    found, _ = searched(lambda rate: queue(rate, served=100.0), looks=looks)
    drawn = picture(found, Limits())
    assert drawn.startswith("<svg ")
    assert 'xmlns="http://www.w3.org/2000/svg"' in drawn
    assert drawn.count("<circle") == len(found.steps)
    for words in ("champion: ", "scorers of challenger v4: ", "requests a second held", "limit"):
        assert words in drawn
    assert picture(Found(), Limits()).startswith("<svg ")
