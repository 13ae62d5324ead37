"""Several processes for one version: the same record as by one, through any death of any of them."""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time

import numpy as np
import orjson
import pytest

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import (
    INCARNATION,
    Forked,
    answer,
    close,
    dealt_with,
    in_a_child,
    parts,
    records,
    told,
    work,
)
from rig.lane import lane as made_lane
from rig.scoring import double, native, opaque, pipeline
from shadowserve.comparison.learned import Learned
from shadowserve.lane import backlog, rescoring, scorer_handle
from shadowserve.lane.execution import WARMUP_REQUESTS
from shadowserve.lane.frames import (
    Frames,
    frame,
    observations_of,
    of_observations,
    of_requests,
    requests_of,
)
from shadowserve.lane.intake import turn
from shadowserve.lane.scorers import NOT_SURVIVED, Scorers
from shadowserve.records import Fault, Observation, Times
from shadowserve.state.lane_reading import snapshot
from shadowserve.statistics.measuring import Measuring, Plan
from shadowserve.statistics.switchback import Block

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


def by_scorers_alone(monkeypatch):
    """Let the lane's own process, which may score what nobody has begun, leave all of it to scorers."""
    made_job = Scorers._job
    monkeypatch.setattr(Scorers, "_job", lambda own, *args, **_: made_job(own, *args, blamed=True))


def deadly(frame, params):
    if (frame["age"].to_numpy() == DEADLY).any():
        os._exit(3)
    return double(frame, params)


def test_a_request_that_kills_scorers_is_crashed_and_its_neighbours_are_not(tmp_path, monkeypatch):
    """The first death costs each in the call one more try by itself, the second is one request's own."""
    by_scorers_alone(monkeypatch)
    places = places_at(tmp_path)
    answer(places, records(700))
    work(places, opaque(deadly), scorers=1)
    assert told(places) == {"both_ok": 699, "crashed": 1}
    rows = parts(places)
    assert rows[rows["outcome"] == "crashed"]["position"].tolist() == [DEADLY + 1]


def test_a_scorer_that_hangs_is_ended_at_the_deadline(tmp_path, monkeypatch):
    by_scorers_alone(monkeypatch)
    places = places_at(tmp_path)

    def hangs(frame, params):
        if (frame["age"].to_numpy() == DEADLY).any():
            time.sleep(600)
        return double(frame, params)

    answer(places, records(400))
    work(places, opaque(hangs), scorers=1, deadline_s=0.3)
    assert told(places) == {"both_ok": 399, "timed_out": 1}


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
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 3_000
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
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 300
    it.run()
    close(it)
    assert told(places) == {"both_ok": 300}
    assert (
        it.parts.scorers.remark
        == "1 of 2 processes score (scorer 1: it cannot load: its lock is held)"
    )


def test_a_scorer_that_ends_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(scorer_handle, "FIRST_PAUSE_S", 0.0)
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
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 300
    it.run()
    close(it)
    assert told(places) == {"both_ok": 300}


def answering(line, *frames_of):
    """Say that it is ready, and answer the first batch with what no scorer would."""
    line.sendall(frame({"incarnation": INCARNATION, "ready": True}))
    line.recv(1)
    line.sendall(b"".join(frames_of))
    line.recv(1 << 20)


def an_answer(**changes):
    told, parts = of_observations([Observation(answer=b"{}", times=Times((0,) * 6, (), (), 1, 1))])
    return frame(
        {"incarnation": INCARNATION, "number": 1, "seen": told, "spent_ns": 1, **changes}, parts
    )


ODD = {
    "to a batch that nobody sent": an_answer(number=77),
    "of another process": an_answer(incarnation="other"),
    "of another length": an_answer(),
    "of nothing": an_answer(seen=None),
    "without a time": an_answer(spent_ns=None),
    "of text": an_answer(seen="all"),
    "whose times are cut": an_answer(seen=[{**of_observations([Observation(answer=b"")])[0][0], "lengths": [0, 0, 2]}]),
    "that is a list": frame([1, 2]),
    "that is no JSON": b"\x02\x00\x00\x00\x00\x00\x00\x00{{",
    "without an end": b"\xff" * 64,
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_no_scorer_would_say_costs_the_lane_nothing(tmp_path, monkeypatch, odd):
    monkeypatch.setattr(scorer_handle, "FIRST_PAUSE_S", 0.0)
    places = places_at(tmp_path)
    answer(places, records(300))
    it = made_lane(places, opaque(double))
    it.parts.scorers = Scorers(
        1, start=lambda _, line: Forked(lambda: answering(line, odd)), mark=it.parts.files.scorer,
        deaths=it.execution.deaths, incarnation=INCARNATION, deadline_s=10.0, memory_bytes=2**40,
    )  # fmt: skip
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 300
    it.run()
    close(it)
    assert told(places) == {"both_ok": 300}


def test_an_answer_that_comes_before_any_question_costs_the_lane_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(scorer_handle, "FIRST_PAUSE_S", 0.0)
    places = places_at(tmp_path)
    it = made_lane(places, opaque(double))
    it.parts.scorers = Scorers(
        1, start=lambda _, line: Forked(lambda: line.sendall(an_answer())), mark=it.parts.files.scorer,
        deaths=it.execution.deaths, incarnation=INCARNATION, deadline_s=10.0, memory_bytes=2**40,
    )  # fmt: skip
    until = time.monotonic() + 30
    while it.parts.scorers.any_at_work and time.monotonic() < until:
        it.parts.scorers.turn()
    close(it)
    assert "without progress" in (it.parts.scorers.remark or "")


def test_a_scorer_that_cannot_be_started_is_said_and_the_lane_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(scorer_handle, "FIRST_PAUSE_S", 0.0)
    places = places_at(tmp_path)
    answer(places, records(300))
    it = made_lane(places, opaque(double))

    def none(*_):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    it.parts.scorers = Scorers(
        1, start=none, mark=it.parts.files.scorer,
        deaths=it.execution.deaths, incarnation=INCARNATION, deadline_s=10.0, memory_bytes=2**40,
    )  # fmt: skip
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 300 and bool(it.parts.scorers.remark)
    it.run()
    close(it)
    assert told(places) == {"both_ok": 300}
    assert "it cannot be started" in (it.parts.scorers.remark or "")


def until_told(go):
    """Return a version that does not answer for several rows until it is told."""

    def version(frame, params):
        while len(frame) > 1 and not go.exists():
            time.sleep(0.002)
        return double(frame, params)

    return opaque(version)


def read_ahead(it, blocks):
    """Let a lane read until so many blocks wait for its scorers."""
    while len(it._ahead) < blocks:
        assert it.turn()


def test_every_scorer_scores(tmp_path, monkeypatch):
    by_scorers_alone(monkeypatch)
    places, pids, go = places_at(tmp_path), tmp_path / "pids", tmp_path / "go"

    def noted(frame, params):
        with pids.open("a") as out:
            out.write(f"{os.getpid()}\n")
        while len(frame) > 1 and not go.exists():
            time.sleep(0.002)
        return double(frame, params)

    answer(places, records(700))
    it = made_lane(places, opaque(noted), scorers=2)
    while not all(one.ready for one in it.parts.scorers._scorers):
        it.parts.scorers.turn()
    read_ahead(it, 4)  # the next holds a burst, before which scorers end what is in hand
    go.touch()
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 700
    it.run()
    close(it)
    assert told(places) == {"both_ok": 700}
    assert len(set(pids.read_text().split())) == 3


def test_a_stop_waits_for_nothing_that_is_read_ahead(tmp_path, monkeypatch):
    """Sixteen blocks of a slow version would take longer than a stop may; the next process has them."""
    by_scorers_alone(monkeypatch)
    places, go = places_at(tmp_path), tmp_path / "go"
    answer(places, records(700))
    it = made_lane(places, until_told(go), scorers=1)
    it.parts.stopping = lambda: len(it._ahead) >= 3
    it.run()
    close(it)
    assert told(places).get("both_ok", 0) < 700
    go.touch()
    work(places, until_told(go), scorers=1)
    assert told(places) == {"both_ok": 700}
    assert parts(places)["position"].is_unique


class Still:
    """A schedule on which lanes stand still."""

    def block(self, wall_ns):
        return 0, Block.STILL


def test_nothing_is_handed_out_while_lanes_stand_still(tmp_path, monkeypatch):
    """What callers wait meanwhile is compared with what they wait beside lanes at work."""
    by_scorers_alone(monkeypatch)
    places, go = places_at(tmp_path), tmp_path / "go"
    answer(places, records(700))
    it = made_lane(places, until_told(go), scorers=1)
    read_ahead(it, 4)
    at_work = it.parts.scorers
    it.parts.schedule, usual = Still(), it.parts.schedule
    waiting = len(at_work._waiting)
    go.touch()
    while any(one.jobs for one in at_work._scorers):
        assert not it.turn()
        at_work._wait(0.01)
    assert not it.turn()
    assert len(at_work._waiting) == waiting > 0
    it.parts.schedule = usual
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 700
    it.run()
    close(it)
    assert told(places) == {"both_ok": 700}


def wait_for_scorers(it):
    while not all(one.ready for one in it.parts.scorers._scorers):
        it.parts.scorers.turn()


def noise_of(path, version, *, n_scorers, n=1_200):
    """Let a lane score a journal with its scorers at work from the start; return what it saw of noise."""
    places = places_at(path)
    answer(places, records(n))
    it = made_lane(places, version, scorers=n_scorers, rescore=True)
    if n_scorers:
        wait_for_scorers(it)
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= n
    it.run()
    close(it)
    assert told(places)["both_ok"] == n
    return learned(places).noise


def test_what_is_scored_a_second_time_is_scored_by_another_process(tmp_path):
    """A version that answers by the process that it runs in: one process alone cannot see it."""
    home = os.getpid()

    def by_process(frame, params):
        return double(frame, params) + float(os.getpid() != home)

    assert noise_of(tmp_path / "1", opaque(by_process), n_scorers=0).again.mean == 0
    seen = noise_of(tmp_path / "2", opaque(by_process), n_scorers=1)
    assert seen.again.n >= 8
    assert seen.again.mean > 0.5


def test_what_a_scorer_scored_first_is_scored_again_by_the_lane(tmp_path):
    places = places_at(tmp_path)
    (sent,) = answer(places, records(1))
    it = made_lane(
        places, opaque(lambda frame, params: np.full(len(frame), float(os.getpid()))), scorers=1
    )
    wait_for_scorers(it)
    typed = it.parts.observer.typed(sent)
    assert it.execution.elsewhere(typed, 1) is None
    seen = it.execution.elsewhere(typed, 0)
    assert float(orjson.loads(seen.answer)["predictions"][0]) != float(os.getpid())
    with it.parts.scorers.silence():
        assert it.execution.elsewhere(typed, 0) is None
    close(it)


def test_a_second_scoring_that_kills_a_scorer_each_time_ends_nobody_else(tmp_path):
    places = places_at(tmp_path)
    (sent,) = answer(places, records(1))
    home = os.getpid()

    def dies_elsewhere(frame, params):
        if os.getpid() != home:
            os._exit(3)
        return double(frame, params)

    it = made_lane(places, opaque(dies_elsewhere), scorers=1)
    wait_for_scorers(it)
    # Told as a fault: the lane's own process is not to try what a scorer died of.
    assert it.execution.elsewhere(it.parts.observer.typed(sent), 0) is NOT_SURVIVED
    assert not it.parts.scorers._waiting
    # Its outcome is that of the first scoring, also for a lane that begins anew before it has committed.
    assert it.execution.deaths.of(sent.position) == 0
    close(it)


@pytest.mark.parametrize("n_scorers", [0, 1])
def test_an_answer_that_only_large_calls_change_is_seen_among_its_real_neighbours(
    tmp_path, monkeypatch, n_scorers
):
    """Made-up company is at most thirty-two rows; the lane's own calls hold hundreds."""
    monkeypatch.setattr(rescoring, "EVERY_SHARED", 20)

    def by_size(frame, params):
        return double(frame, params) + float(len(frame) > 40)

    seen = noise_of(tmp_path, opaque(by_size), n_scorers=n_scorers)
    assert seen.together.mean > 0
    assert seen.again.mean == 0


class Wanting:
    """A staffing that wants what it is told."""

    wanted = 1
    remark = "as told"

    def look(self, **_):
        return self.wanted


def test_processes_are_taken_and_given_back_while_the_lane_works(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog, "LOOK_NS", 0)
    places, staffing = places_at(tmp_path), Wanting()
    answer(places, records(1_400))
    it = made_lane(places, opaque(double), scorers=2, staffing=staffing)
    at_work = it.parts.scorers

    def turn_until(holds):
        until = time.monotonic() + 30
        while not holds() and time.monotonic() < until:
            it._look_at_backlog()
            at_work.turn()
        assert holds()

    def running():
        return [one.number for one in at_work._scorers if one.process is not None]

    assert it.turn()
    assert running() == []
    assert at_work.at_work == 1
    for wanted in (3, 1, 2, 1, 3):
        staffing.wanted = wanted
        turn_until(lambda: len(running()) == staffing.wanted - 1)
        turn_until(lambda: all(one.ready for one in at_work._scorers[: staffing.wanted - 1]))
        assert at_work.at_work == wanted
        assert it.turn()
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 1_400
    it.run()
    assert at_work.remark == "as told"
    close(it)
    assert told(places) == {"both_ok": 1_400}


def test_one_that_is_given_back_ends_what_it_has_in_hand(tmp_path, monkeypatch):
    by_scorers_alone(monkeypatch)
    monkeypatch.setattr(backlog, "LOOK_NS", 0)
    places, staffing, go = places_at(tmp_path), Wanting(), tmp_path / "go"
    staffing.wanted = 2
    answer(places, records(700))
    it = made_lane(places, until_told(go), scorers=1, staffing=staffing)
    it._look_at_backlog()
    wait_for_scorers(it)
    read_ahead(it, 3)
    staffing.wanted = 1
    it._look_at_backlog()
    it.parts.scorers.turn()
    assert it.parts.scorers._scorers[0].jobs
    go.touch()
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 700
    it.run()
    assert it.parts.scorers._scorers[0].line is None
    close(it)
    assert told(places) == {"both_ok": 700}


def test_a_scorer_that_waits_for_the_lanes_own_lock_is_told_of(tmp_path, monkeypatch):
    """A version that may not be loaded twice may refuse, which is said, or wait for ever."""
    monkeypatch.setattr(scorer_handle, "LONG_LOAD_S", 0.0)
    places = places_at(tmp_path)
    answer(places, records(300))
    it = made_lane(places, opaque(double))
    it.parts.scorers = Scorers(
        1, start=lambda *_: Forked(lambda: time.sleep(600)), mark=it.parts.files.scorer,
        deaths=it.execution.deaths, incarnation=INCARNATION, deadline_s=10.0, memory_bytes=2**40,
    )  # fmt: skip
    it.parts.stopping = lambda: dealt_with(it).get(0, 0) >= 300
    it.run()
    assert "has been loading for" in it.parts.scorers.remark
    assert "lock" in it.parts.scorers.remark
    close(it)
    assert told(places) == {"both_ok": 300}


def test_a_lane_that_waits_for_its_scorer_scores_what_waits_for_one(tmp_path):
    """The scorer ends its first batch only once the lane has scored a later one: a lane that idled would wait for ever."""
    released, own = tmp_path / "released", os.getpid()

    def slow(frame, params):
        until = time.monotonic() + 60
        while os.getpid() != own and not released.exists() and time.monotonic() < until:
            time.sleep(0.01)
        return double(frame, params)

    places = made(tmp_path / "state", CHALLENGER, CONTROL)
    sent = answer(places, records(8))
    it = made_lane(places, opaque(slow), scorers=1)
    scorers, here = it.parts.scorers, []
    tickets = [scorers.submit([typed]) for typed in it.parts.observer.typed_all(sent)]
    wait_for_scorers(it)
    scorers.turn()

    def score(batch):
        here.extend(one.request.position for one in batch)
        released.touch()
        return it.parts.observer.together(batch)

    scorers.collect(tickets[0], score=score)
    assert released.exists()
    assert here
    assert sent[0].position not in here
    assert tickets[0].by == {sent[0].position: 1}
    close(it)


def test_what_a_lane_times_alone_beside_scorers_counts_whole(tmp_path):
    """A scorer would have scored it meanwhile; without one only what it costs beyond its own work is excess."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(40))
    slow = opaque(lambda f, p: time.sleep(0.005) or double(f, p), batched=False)
    it = made_lane(places, slow, scorers=1)
    it.take_up()
    it.turn()
    measured = it.commits.learned.measuring
    after_warmup = measured.timed - WARMUP_REQUESTS
    assert after_warmup > 0
    assert measured.excess_ns >= after_warmup * 5_000_000
    close(it)
