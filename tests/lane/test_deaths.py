"""A death counts once against what was in hand; the second is the request's outcome."""

from __future__ import annotations

import json

import pytest

from rig.journal import request
from shadowserve.lane.deaths import FATAL, Deaths, ended
from shadowserve.records import Outcome
from shadowserve.state.lane_file import LaneState

STEPS = [("prep/text", ("text",)), ("clf", ())]


@pytest.fixture
def dies(tmp_path):
    """Let a process die with positions in hand, and return what the next one counts."""

    def die(*positions, number, cause="deadline", step=0):
        file = tmp_path / "death.json"
        told = {"id": str(number), "positions": positions, "cause": cause, "step": step}
        file.write_text(json.dumps({**told, "worked_ms": 1500.0}))
        state = LaneState(tmp_path / "state.db")
        deaths = Deaths(state, file)
        assert not file.exists()
        return deaths

    return die


def test_the_first_death_sends_it_in_once_more_and_the_second_is_fatal(dies):
    once = dies(7, 8, number=1)
    assert [once.of(place) for place in (6, 7, 8)] == [0, 1, 1]
    assert once.of(7) < FATAL
    assert dies(7, number=2).of(7) == FATAL


def test_a_death_that_is_read_twice_counts_once(dies):
    dies(7, number=1)
    assert dies(7, number=1).of(7) == 1


def test_a_death_from_outside_counts_against_nobody(dies):
    assert dies(7, number=1, cause="outside").of(7) == 0


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("deadline", Outcome.TIMED_OUT),
        ("memory", Outcome.CRASHED),
        ("crash", Outcome.CRASHED),
    ],
)
def test_a_fatal_request_is_described_by_what_was_running(dies, cause, outcome):
    dies(7, number=1, cause=cause)
    deaths = dies(7, number=2, cause=cause)
    one = request(7)
    poison = deaths.poison(one, sizes={"text": 32}, steps=STEPS)
    assert (poison.cause, poison.step, poison.worked_ms) == (cause, "prep/text", 1500.0)
    record = ended(poison, one, window=3)
    assert (record.outcome, record.position, record.window) == (outcome, 7, 3)
    timed = outcome is Outcome.TIMED_OUT
    assert record.alone is timed
    assert record.lane_steps == ({"prep/text": 1500.0} if timed else {})
    assert record.lane_ms == (1500.0 if timed else None)


@pytest.mark.parametrize("step", [-1, 2])
def test_where_no_step_was_running_none_is_named(dies, step):
    dies(7, number=1, step=step)
    poison = dies(7, number=2, step=step).poison(request(7), sizes={}, steps=STEPS)
    assert poison.step is None
