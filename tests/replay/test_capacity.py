"""Where a target breaks: at what it serves, at limits, in its journal and its lanes, and never by a hiccup."""

from __future__ import annotations

from dataclasses import replace

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


def lanes(rate, dealt_per_s, *, scoring=True, waited=0):
    """A lane that gets through so many a second, beside one that keeps up."""
    came = rate * SECONDS
    dealt = min(came, dealt_per_s * SECONDS)
    before = {"challenger v4": LaneLook(100, waited, scoring), "control v3": LaneLook(0, 0, True)}
    after = {
        "challenger v4": LaneLook(100 + int(dealt), waited + int(came - dealt), scoring),
        "control v3": LaneLook(int(came), int(rate * 0.4), True),
    }
    return Look(lanes=before), Look(lanes=after)


@pytest.mark.parametrize(("scoring", "part"), [(True, "scorers"), (False, "recorder")])
def test_a_lane_that_falls_behind_is_named_before_the_champion(scoring, part):
    found, _ = searched(
        lambda rate: queue(rate, served=200.0),
        looks=lambda rate: lanes(rate, 60.0, scoring=scoring),
    )
    assert [name for name, _, _ in found.order] == [f"{part} of challenger v4", "champion"]
    assert found.held == pytest.approx(200.0, rel=0.06)
    _, rate, why = found.order[0]
    assert 60 < rate < 200
    assert "it got through 60 a second" in why


def test_a_lane_that_commits_twice_a_second_is_not_behind():
    found, _ = searched(lambda rate: queue(rate, served=100.0), looks=lambda rate: lanes(rate, 1e6))
    assert [name for name, _, _ in found.order] == ["champion"]


def test_a_lane_that_was_behind_before_and_catches_up_is_not_broken():
    before = Look(lanes={"challenger v4": LaneLook(0, 9_000, True)})
    after = Look(lanes={"challenger v4": LaneLook(1_000, 8_100, True)})
    step = Step(20.0, SECONDS, queue(20.0, served=100.0), before, after)
    assert broken(step, Limits()) == []


def test_a_control_that_waits_for_a_challenger_is_not_broken():
    names = ("challenger v4", "control v3")
    before, after = ({name: LaneLook(n, m, True) for name in names} for n, m in ((0, 0), (50, 450)))
    step = Step(100.0, SECONDS, queue(100.0, served=200.0), Look(lanes=before), Look(lanes=after))
    assert [one.part for one in broken(step, Limits())] == ["scorers of challenger v4"]
    alone = Look(lanes={**after, "challenger v4": LaneLook(500, 0, True)})
    (one,) = broken(replace(step, after=alone), Limits())
    assert one.part == "scorers of control v3"


def test_a_lane_that_stands_still_on_purpose_is_not_judged():
    before, after = lanes(50.0, 0.0)
    step = Step(50.0, SECONDS, queue(50.0, served=100.0), before, after)
    assert broken(step, Limits()) != []
    for looks in (
        (replace(before, stands_still=True), after),
        (before, replace(after, stands_still=True)),
    ):
        assert broken(Step(50.0, SECONDS, step.tally, *looks), Limits()) == []


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
    found, _ = searched(
        lambda rate: queue(rate, served=100.0), looks=lambda rate: lanes(rate, 40.0)
    )
    drawn = picture(found, Limits())
    assert drawn.startswith("<svg ")
    assert 'xmlns="http://www.w3.org/2000/svg"' in drawn
    assert drawn.count("<circle") == len(found.steps)
    for words in ("champion: ", "scorers of challenger v4: ", "requests a second held", "limit"):
        assert words in drawn
    assert picture(Found(), Limits()).startswith("<svg ")
