"""Challenger and control score a request one after the other, and neither waits for long."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from rig.deployment import CHALLENGER, CONTROL, OPTIONS, deployment, made
from rig.lane import answer, close, lane, records, told
from rig.scoring import double, opaque
from shadowserve.comparison.bursts import burst_of
from shadowserve.comparison.learned import Learned
from shadowserve.lane import turns
from shadowserve.lane.building import take_turns
from shadowserve.lane.line import Line, Message, Word
from shadowserve.lane.members import Members
from shadowserve.lane.turns import Asking
from shadowserve.records import Observation, position
from shadowserve.state.lane_reading import snapshot


@pytest.fixture
def lines(tmp_path):
    """The challenger's end and the control's."""
    ends = Line(tmp_path / "back", tmp_path / "forth"), Line(tmp_path / "forth", tmp_path / "back")
    yield ends
    for end in ends:
        end.close()


def asking(line, **changes):
    return Asking(line, **{"is_loading": lambda: False, "leave": lambda: False, **changes})


def run(places, made, *, until):
    """Let a lane work in this thread until something holds."""
    made.parts.stopping = until
    made.run()
    close(made)


def together(tmp_path, *, n=600, rescore=True, challenger=double):
    """Run both lanes at once, each in a thread of its own, over one journal."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    served = deployment(options={**OPTIONS, "rescore": rescore})
    answer(places, records(n), champion=opaque(double, number=3))
    done = threading.Event()

    def control():
        own = lane(places, opaque(double, number=3), name=CONTROL, rescore=rescore)
        take_turns(own, served, Members(own.parts.places, served))
        end = time.monotonic() + 60
        run(places, own, until=lambda: (done.is_set() and own.parts.tail.cursor.get(0, 0) >= n) or time.monotonic() > end)  # fmt: skip

    thread = threading.Thread(target=control)
    thread.start()
    own = lane(places, opaque(challenger), rescore=rescore)
    take_turns(own, served, Members(own.parts.places, served))
    run(places, own, until=lambda: own.parts.tail.cursor.get(0, 0) >= n)
    done.set()
    thread.join()
    return places


def start_of(burst):
    """Return the position at which a burst begins."""
    block = range(200 * burst + 1, 200 * burst + 201)
    return next(place for place in block if burst_of(place))


def learned(places, name=CHALLENGER):
    return Learned.from_state(snapshot(places.lane(name.role, name.version).state).summaries)


def test_bursts_are_scored_in_turn_and_gathered_by_the_challenger(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 30.0)
    monkeypatch.setattr(turns, "WORK_S", 30.0)
    places = together(tmp_path)
    paired = learned(places).pairing.paired
    assert paired.beside_ms is not None
    assert (paired.n_bursts, paired.n_pairs) == (2, 32)  # the first took the measure
    assert learned(places, CONTROL).pairing.paired.n_bursts == 0


def test_the_ledger_of_both_is_exact_and_the_control_scores_no_request_twice(tmp_path, monkeypatch):
    """What it scored in a turn it keeps for when it comes to that request itself."""
    monkeypatch.setattr(turns, "PATIENCE_S", 30.0)
    monkeypatch.setattr(turns, "WORK_S", 30.0)
    calls = []

    def counted(frame, params):
        calls.append(int(frame["age"].iloc[0]))
        return double(frame, params)

    places = together(tmp_path, rescore=False, challenger=counted)
    assert told(places) == {"both_ok": 600}
    assert sorted(calls) == sorted(set(calls))
    control = told(places, CONTROL, control=True)
    assert sum(control.values()) == 600


def test_a_control_that_does_not_come_costs_one_pair_and_patience_not_a_place(lines, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.05)
    own = asking(lines[0])
    scored = []

    def score():
        scored.append(1)
        return Observation()

    began = time.monotonic()
    found = [own.turn(place, score)[1] for place in range(1, 21)]
    assert found == [None] * 20
    assert len(scored) == 20
    assert time.monotonic() - began < 10.0
    assert len(lines[1].read()) == 1  # within a burst it asks no more


def test_after_several_bursts_in_vain_it_asks_to_one_in_four_only(lines, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    own = asking(lines[0])
    for burst in range(40):
        own.turn(start_of(burst), Observation)
    asked = [message.position // 200 for message in lines[1].read()]
    assert asked[:4] == [0, 1, 3, 7]
    assert max(np.diff(asked)) == 4


def test_whoever_goes_first_is_drawn_by_lot_and_both_agree(lines, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    own = asking(lines[0])
    for burst in range(400):
        own._pass_over = 0
        own.turn(start_of(burst), Observation)
    first = [message.flag for message in lines[1].read()]
    assert len(first) == 400
    assert 0.4 < np.mean(first) < 0.6


def test_a_control_that_refuses_is_not_waited_for(lines):
    own = asking(lines[0])
    thread = threading.Thread(target=_refuse, args=(lines[1],))
    thread.start()
    began = time.monotonic()
    assert own.turn(position(0, 1), Observation)[1] is None
    thread.join()
    assert time.monotonic() - began < turns.WORK_S


def _refuse(line):
    line.wait(10.0)
    [asked] = line.read()
    line.say(Message(Word.NO, asked.position))


def test_between_bursts_and_while_the_lane_ends_nobody_is_asked(lines):
    own = asking(lines[0], leave=lambda: True)
    own.turn(1, Observation)
    asking(lines[0]).turn(21, Observation)
    assert lines[1].read() == []


def test_what_an_earlier_process_said_is_not_heard(lines):
    lines[1].say(Message(Word.DONE, 1, ms=5.0))
    own = asking(lines[0])
    assert lines[0].read() == []
    del own


def test_a_full_pipe_holds_nobody_up(lines):
    for n in range(3_000):
        lines[0].say(Message(Word.COME, n))
    assert len(lines[1].read()) > 100


def test_a_question_that_was_given_up_is_not_answered(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(20), champion=opaque(double, number=3))
    own = lane(places, opaque(double, number=3), name=CONTROL)
    take_turns(own, deployment(), Members(own.parts.places, deployment()))
    own.take_up()
    forth, back = places.turns(4)
    line = Line(back, forth)
    line.say(Message(Word.COME, 3, until_ns=time.monotonic_ns() - 1))
    own.parts.answering.serve()
    assert line.read() == []
    line.say(Message(Word.COME, 3, until_ns=time.monotonic_ns() + 10**12))
    own.parts.answering.serve()
    here, done = line.read()
    assert (here.word, done.word, done.position) == (Word.HERE, Word.DONE, 3)
    assert done.ms > 0
    assert done.pid == os.getpid()
    line.close()
    close(own)


def test_a_paused_control_and_one_that_died_of_the_request_refuse(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(20), champion=opaque(double, number=3))
    own = lane(places, opaque(double, number=3), name=CONTROL)
    take_turns(own, deployment(), Members(own.parts.places, deployment()))
    own.take_up()
    assert not own.execution.refuses(3)
    own.execution.deaths._counted[3] = (1, "crash")
    assert own.execution.refuses(3)
    places.paused.touch()
    assert own.execution.refuses(4)
    close(own)
