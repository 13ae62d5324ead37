"""Typing runs the code of a model's type hint: it is in hand like a call, and its end is an outcome."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rig.deployment import CHALLENGER, made
from rig.lane import answer, records, told, work
from rig.oddities import ERRORS
from rig.scoring import opaque
from shadowserve.comparison.learned import Learned
from shadowserve.records import position
from shadowserve.state import inflight
from shadowserve.state.inflight import TYPING
from shadowserve.state.lane_reading import snapshot

SIGNATURE = {"inputs": json.dumps([{"type": "double"}])}


def hinted(fits):
    """A version of one bare column that is tried by a function, as a type hint does."""
    scorer = opaque(lambda frame, _: frame[0].to_numpy() * 2, signature=SIGNATURE)
    return replace(scorer, schema=replace(scorer.schema, fits=fits))


def answered(places, n):
    """Journal a request for each number from 1, each from a worker of its own."""
    for number in range(1, n + 1):
        sent = {"inputs": [float(number)]}
        told_ = {"predictions": [2.0 * number]}
        body, right = json.dumps(sent).encode(), json.dumps(told_).encode()
        answer(places, records(1), worker=number, body=body, answer=right)


def test_what_is_being_typed_is_in_hand_and_nothing_else(tmp_path):
    """The neighbour that was scored before is not."""
    places = made(tmp_path, CHALLENGER)
    answered(places, 6)
    seen = []

    def fits(_value):
        mark = inflight.read(places.lane(CHALLENGER.role, 4).inflight)
        seen.append((mark.positions, mark.step))

    work(places, hinted(fits))
    assert seen == [((position(n, 1),), TYPING) for n in range(1, 7)]


@pytest.mark.parametrize("name", ["system exit", "interrupt", "text raises", "base exception"])
def test_whatever_a_type_hint_raises_is_its_own_requests_error(tmp_path, name):
    places = made(tmp_path, CHALLENGER)
    answered(places, 7)

    def fits(value):
        if value == 7.0:
            raise ERRORS[name]()

    work(places, hinted(fits))
    assert told(places) == {"both_ok": 6, "challenger_error": 1}


def test_a_request_that_killed_two_while_it_was_typed_is_typed_by_no_hint_again(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answered(places, 7)
    files = places.lane(CHALLENGER.role, 4)
    for death in ("first", "second"):
        note = {"id": death, "positions": [position(7, 1)], "cause": "deadline", "step": TYPING}
        files.death.write_text(json.dumps({**note, "worked_ms": 10_000.0}))
        work(places, hinted(lambda _: None), upto=0)

    def fits(value):
        assert value != 7.0

    work(places, hinted(fits))
    assert told(places) == {"both_ok": 6, "timed_out": 1}
    (poison,) = Learned.from_state(snapshot(files.state).summaries).failures.poison
    assert (poison.position, poison.step, poison.cause) == (position(7, 1), "schema", "deadline")
