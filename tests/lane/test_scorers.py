"""Several processes for one version: the same record as by one, through any death of any of them."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import numpy as np
import orjson
import pytest

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import INCARNATION, Forked, answer, close, in_a_child, parts, records, told, work
from rig.lane import lane as made_lane
from rig.scoring import double, native, opaque, pipeline
from shadowserve.comparison.learned import Learned
from shadowserve.lane import scorers
from shadowserve.lane.frames import (
    Frames,
    frame,
    observations_of,
    of_observations,
    of_requests,
    requests_of,
)
from shadowserve.lane.intake import turn
from shadowserve.lane.scorers import Scorers
from shadowserve.records import Fault, Observation, Times
from shadowserve.state.lane_reading import snapshot
from shadowserve.statistics.measuring import Measuring, Plan

FIXED = Plan(bursts=1.0, large=1.0, others=0.05)
DEADLY = next(
    n - 1
    for n in range(300, 500)
    if not turn(n, role=CHALLENGER.role, large=False, plan=FIXED, batched=True).alone
)
"""Age of a request that is scored among others."""
NUMBERS = ["lane_prediction"]
TIMED = ["lane_ms", "lag_ms", "starved_ms", "lane_steps_ms", "warmup"]


@pytest.fixture(autouse=True)
def fixed_schedule(monkeypatch):
    """Let each run time the same requests: what is scored alone, and what shares a call, is the same then."""
    monkeypatch.setattr(Measuring, "plan", lambda *_: FIXED)


def places_at(path):
    return made(path, CHALLENGER, CONTROL)


def learned(places):
    return Learned.from_state(
        snapshot(places.lane(CHALLENGER.role, CHALLENGER.version).state).summaries
    )


def test_frames_give_back_what_was_written_however_the_stream_is_cut():
    seen = [
        Observation(
            answer=b"{}", scores=np.array([[0.25, 0.75]]), times=Times((1, 2, 3, 4, 5, 6), (4, 5), (1, 2), 7, 8),
            inner=(("model/look_up", ("a", "b"), 3, 2),), starved_ns=5, nonfinite=1,
        ),
        Observation(fault=Fault("ValueError", "scale", "x.py:1 f", "abc", "age")),
    ]  # fmt: skip
    told, blobs = of_observations(seen)
    stream = frame({"number": 1, "seen": told}, blobs) * 2
    held, heard = Frames(), []
    for start in range(0, len(stream), 7):
        heard += list(held.feed(stream[start : start + 7]))
    assert len(heard) == 2
    for head, rest in heard:
        back = observations_of(head["seen"], rest)
        assert np.array_equal(back[0].scores, seen[0].scores)
        assert [(b.answer, b.times, b.inner, b.fault, b.starved_ns, b.nonfinite) for b in back] == [
            (b.answer, b.times, b.inner, b.fault, b.starved_ns, b.nonfinite) for b in seen
        ]


def test_a_scorer_is_told_of_a_request_what_scoring_takes(tmp_path):
    places = places_at(tmp_path)
    (sent,) = answer(places, records(1))
    told, blobs = of_requests([sent])
    (back,) = requests_of(orjson.loads(orjson.dumps(told)), b"".join(blobs))
    same = ("position", "protocol", "content_type", "arrived_ns", "body")
    assert [getattr(back, name) for name in same] == [getattr(sent, name) for name in same]
    assert back.answer == b""


@pytest.mark.parametrize(
    "version", [lambda n: native(pipeline(), number=n), lambda n: opaque(double, number=n)]
)
def test_the_record_is_the_same_with_one_two_and_four_processes(tmp_path, version):
    """Outcomes, labels and structure to the bit; numbers as law 4 says, for calls may hold other rows."""
    found = {}
    for n in (1, 2, 4):
        places = places_at(tmp_path / str(n))
        answer(places, records(700), champion=version(3), arrived_wall_ns=10**18)
        work(places, version(4), scorers=n - 1)
        assert told(places) == {"both_ok": 700}
        rows = parts(places).drop(columns=TIMED)
        found[n] = rows.sort_values("position", ignore_index=True)
    assert found[1]["alone"].mean() < 0.5
    for n in (2, 4):
        for column in found[1]:
            assert list(map(repr, found[n][column])) == list(map(repr, found[1][column])), column


def test_scorers_do_score(tmp_path):
    places, pids = places_at(tmp_path), tmp_path / "pids"

    def noted(frame, params):
        with pids.open("a") as out:
            out.write(f"{os.getpid()}\n")
        time.sleep(0.003)
        return double(frame, params)

    answer(places, records(700))
    work(places, opaque(noted), scorers=2)
    assert len(set(pids.read_text().split())) == 3


def deadly(frame, params):
    if (frame["age"].to_numpy() == DEADLY).any():
        os._exit(3)
    return double(frame, params)


def test_a_request_that_kills_scorers_is_crashed_and_its_neighbours_are_not(tmp_path, monkeypatch):
    """The first death costs each in the call one more try by itself, the second is one request's own."""
    made_job = Scorers._job
    # So that the lane's own process, which may score what nobody has begun, leaves all of it to scorers.
    monkeypatch.setattr(Scorers, "_job", lambda own, *args, **_: made_job(own, *args, blamed=True))
    places = places_at(tmp_path)
    answer(places, records(700))
    work(places, opaque(deadly), scorers=1)
    assert told(places) == {"both_ok": 699, "crashed": 1}
    rows = parts(places)
    assert rows[rows["outcome"] == "crashed"]["position"].tolist() == [DEADLY + 1]


def test_a_scorer_that_hangs_is_ended_at_the_deadline(tmp_path):
    places = places_at(tmp_path)

    def hangs(frame, params):
        if (frame["age"].to_numpy() == DEADLY).any() and os.getpid() != own:
            time.sleep(600)
        return double(frame, params)

    own = os.getpid()
    answer(places, records(400))
    work(places, opaque(hangs), scorers=1, deadline_s=0.3)
    found = told(places)
    assert found.get("both_ok", 0) + found.get("timed_out", 0) == 400
    assert found.get("timed_out", 0) <= 1


def test_scorers_that_are_killed_from_outside_cost_nothing(tmp_path):
    places = places_at(tmp_path)

    def slow(frame, params):
        time.sleep(0.002)
        return double(frame, params)

    answer(places, records(3_000))
    it, chance, killed = made_lane(places, opaque(slow), scorers=2), random.Random(0), []
    done = threading.Event()

    def kill():
        while not done.wait(0.02):
            alive = [one.process for one in it.parts.scorers._scorers if one.process is not None]
            if alive:
                killed.append(chance.choice(alive))
                try:
                    os.kill(killed[-1].pid, signal.SIGKILL)
                except ProcessLookupError:
                    killed.pop()

    killer = threading.Thread(target=kill)
    killer.start()
    it.parts.stopping = lambda: it.parts.tail.cursor.get(0, 0) >= 3_000
    try:
        it.run()
    finally:
        done.set()
        killer.join()
        it.parts.scorers.close()
    assert len(killed) >= 5
    assert told(places) == {"both_ok": 3_000}
    rows = parts(places)
    assert rows["position"].is_unique
    assert len(rows) == 3_000


def test_a_lane_with_scorers_that_is_killed_goes_on_without_loss_or_repetition(tmp_path):
    places, chance = places_at(tmp_path), random.Random(1)
    answer(places, records(2_000))

    def slow(frame, params):
        time.sleep(0.001)
        return double(frame, params)

    for _ in range(8):
        in_a_child(
            lambda: work(places, opaque(slow), scorers=1), kill_after_s=0.2 + chance.random() / 2
        )
    work(places, opaque(slow), scorers=1)
    assert told(places) == {"both_ok": 2_000}
    rows = parts(places)
    assert rows["position"].is_unique
    assert len(rows) == 2_000


def refusing(line):
    line.sendall(frame({"incarnation": INCARNATION, "refused": "its lock is held"}))


def test_a_scorer_that_cannot_load_is_said_and_the_lane_goes_on(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(300))
    it = made_lane(places, opaque(double))
    files = it.parts.files
    it.parts.scorers = Scorers(
        1, start=lambda _, line: Forked(lambda: refusing(line)), mark=files.scorer,
        deaths=it.execution.deaths, incarnation=INCARNATION, deadline_s=10.0, memory_bytes=2**40,
    )  # fmt: skip
    it.parts.stopping = lambda: it.parts.tail.cursor.get(0, 0) >= 300
    it.run()
    close(it)
    assert told(places) == {"both_ok": 300}
    assert (
        it.parts.scorers.remark
        == "1 of 2 processes score (scorer 1: it cannot load: its lock is held)"
    )


def test_a_scorer_that_ends_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(scorers, "FIRST_PAUSE_S", 0.0)
    places = places_at(tmp_path)
    answer(places, records(300))
    it = made_lane(places, opaque(double))
    it.parts.scorers = Scorers(
        1, start=lambda *_: Forked(lambda: None), mark=it.parts.files.scorer,
        deaths=it.execution.deaths, incarnation=INCARNATION, deadline_s=10.0, memory_bytes=2**40,
    )  # fmt: skip
    until = time.monotonic() + 30
    while it.parts.scorers.any_at_work and time.monotonic() < until:
        it.parts.scorers.turn()
    assert "without progress" in (it.parts.scorers.remark or "")
    it.parts.stopping = lambda: it.parts.tail.cursor.get(0, 0) >= 300
    it.run()
    close(it)
    assert told(places) == {"both_ok": 300}
