"""Challengers join and leave: every way in which that fails changes nothing, and the supervisor never waits."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import answer, records
from rig.scoring import version
from shadowserve.host.placement import place
from shadowserve.records import Role
from shadowserve.settings.settings import Settings
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger
from shadowserve.state.deployment import LaneName
from shadowserve.state.lane_condition import Condition, condition
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.desk import Visitor
from shadowserve.supervisor.membership import Membership
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.watch import LaneWatch
from shadowserve.versions.stores import Uris

FIVE = LaneName(Role.CHALLENGER, 5)
ASLEEP = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@dataclass(slots=True)
class Heard(Visitor):
    """A visitor that keeps what it is told."""

    told: list[dict] = field(default_factory=list)

    def _write(self, told) -> None:
        if not self.ended:
            self.told.append(json.loads(json.dumps(dict(told))))

    @property
    def last(self) -> dict:
        return self.told[-1].get("end", {})


def visitor() -> Heard:
    line, other = socket.socketpair()
    other.close()
    line.close()
    return Heard(line)


class Joins:
    """A membership whose joiner is a program of the test's."""

    def __init__(self, tmp_path, program: str = ASLEEP, lane: str = ASLEEP) -> None:
        self.places = made(tmp_path, CHALLENGER, CONTROL)
        self.places.scratch.mkdir()
        deployments.write(self.places, deployment())
        self.program, self.lane_program = program, lane
        self.said: list[str] = []
        self.lanes = [self.watch(name) for name in (CHALLENGER, CONTROL)]
        processes = Stand(
            Settings(), self.places, place(workers=1, lanes=2, cpus=range(8)), Uris("", ""), "now"
        )
        object.__setattr__(processes, "own", self)
        self.it = Membership(
            self.places,
            Settings(),
            processes,
            deployment(),
            self.lanes,
            self.watch,
            self.said.append,
        )

    def child(self, program: str, *fds: int) -> Child:
        arguments = ("-c", program, *map(str, fds))
        log = self.places.logs / "joiner.log"
        return Child("joiner", arguments, dict(os.environ), log, pass_fds=fds)

    def watch(self, name: LaneName) -> LaneWatch:
        lane = self.places.lane(name.role, name.version, name.stay)
        lane.make()
        return LaneWatch(name, lane, self.child(self.lane_program), 10.0, 2**40)

    def ask(self, **question) -> Heard:
        who = visitor()
        self.it.answer(who, question)
        return who

    def until(self, done, seconds: float = 20.0) -> None:
        until = time.monotonic() + seconds
        while not done():
            began = time.monotonic()
            self.it.turn()
            assert time.monotonic() - began < 5.0
            assert time.monotonic() < until, self.said
            time.sleep(0.01)

    def end(self) -> None:
        self.it.kill()
        for one in self.lanes:
            one.child.kill()


class Stand(Processes):
    """Processes of which the joiner is another program."""

    __slots__ = ("own",)

    def joiner(self, question: int, answers: int) -> Child:
        return self.own.child(self.own.program, question, answers)


@contextmanager
def joins(tmp_path, **programs):
    made_ = Joins(tmp_path, **programs)
    try:
        yield made_
    finally:
        made_.end()


def finds(number: int, *, first: str = "") -> str:
    found = {"version": version(number).to_dict(), "path": "/models/5", "champion": {"x": 1}}
    return (
        f"import json, os, sys\nfound = {found!r}\n"
        f"out = os.fdopen(int(sys.argv[2]), 'w')\n{first}\n"
        f"print(json.dumps({{'told': 'it is fetched'}}), file=out)\n"
        f"print(json.dumps({{'found': found}}), file=out)\nout.close()\n"
    )


def test_a_version_joins_and_the_command_waits_until_its_lane_runs(tmp_path):
    with joins(tmp_path, program=finds(5)) as it:
        answer(it.places, records(7))
        who = it.ask(ask="add", pin="v5")
        it.until(lambda: len(it.lanes) == 3)
        assert [one.name for one in it.lanes] == [CHALLENGER, FIVE, CONTROL]
        served = deployments.read(it.places)
        assert served.lanes == (CHALLENGER, FIVE, CONTROL)
        assert served.files[5] == "/models/5"
        known = ledger.read(it.places, served)
        assert known.balanced
        assert next(one for one in known.lanes if one.name == FIVE).before == 7
        assert not who.ended
        lane = it.places.lane(FIVE.role, 5)
        Condition("starting", "starts again in 1 s").write(lane)
        it.it.turn()
        assert who.told[-1] == {"told": "challenger v5 starts again in 1 s."}
        Condition("running").write(lane)
        it.it.turn()
        assert who.last["joined"] == "challenger v5"
        assert "challenger 2 of this champion (alpha 0.00833)" in " ".join(it.said)


def test_a_version_runs_as_it_joined_isolated_or_not(tmp_path):
    as_asked = """
asked = os.fdopen(int(sys.argv[1]))
asked.seek(0)
found["isolated"] = json.load(asked)["isolated"]
"""
    with joins(tmp_path, program=finds(5, first=as_asked)) as it:
        for isolate in (True, False, True):
            it.ask(ask="add", pin="v5", isolate=isolate, wait=False)
            it.until(lambda: len(it.lanes) == 3)
            served = deployments.read(it.places)
            assert served.isolates(served.lane_of(5)) is isolate
            it.ask(ask="remove", pin="v5")
            it.until(lambda: not it.it.watches[2:])


def test_the_champion_is_tried_once_however_many_join(tmp_path):
    keep = f"""
asked = os.fdopen(int(sys.argv[1]))
asked.seek(0)
open({str(tmp_path / "asked.json")!r}, "w").write(asked.read())"""
    with joins(tmp_path, program=finds(5)) as it:
        it.ask(ask="add", pin="v5", wait=False)
        it.until(lambda: len(it.lanes) == 3)
        it.program = finds(6, first=keep)
        it.ask(ask="add", pin="v6", wait=False)
        it.until(lambda: len(it.lanes) == 4)
        asked = json.loads((tmp_path / "asked.json").read_text())
        assert asked["champion"] == {"x": 1}


@pytest.mark.parametrize(
    ("pin", "says"),
    [
        ("v4", "challenger already"),
        ("v3", "the champion itself"),
        ("latest", "no fixed version"),
        ("", "Pin is empty"),
    ],
)
def test_what_cannot_join_is_refused_at_once(tmp_path, pin, says):
    with joins(tmp_path) as it:
        before = it.places.deployment.read_bytes()
        who = it.ask(ask="add", pin=pin)
        assert says in who.last["refused"]
        assert it.places.deployment.read_bytes() == before
        assert list(it.it.children) == []


@pytest.mark.parametrize("since", ["yesterday", "-1", "nan", "inf", "0"])
def test_a_moment_that_is_none_is_refused(tmp_path, since):
    with joins(tmp_path) as it:
        assert "--from" in it.ask(ask="add", pin="v5", since=since).last["refused"]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("raise SystemExit(7)", "ended"),
        ("import sys, os; os.write(int(sys.argv[2]), b'{\"told\": ')", "ended"),
        (
            "import sys, os; os.write(int(sys.argv[2]), "
            'b\'{"refused": "The registry is away.", "exit_code": 4}\\n\')',
            "The registry is away.",
        ),
        (finds(4), "challenger already"),
    ],
    ids=["killed", "exit", "half a line", "refused", "an alias of one that is there"],
)
def test_a_joiner_that_fails_changes_nothing(tmp_path, program, says):
    with joins(tmp_path, program=program) as it:
        before = it.places.deployment.read_bytes()
        who = it.ask(ask="add", pin="@next")
        it.until(lambda: who.ended)
        assert says in who.last["refused"]
        assert it.places.deployment.read_bytes() == before
        assert len(it.lanes) == 2
        assert list(it.it.children) == []
        listed = it.ask(ask="list").last
        assert listed["joining"] is None
        assert says in listed["last_refused"]
        it.program = finds(5)
        it.ask(ask="add", pin="v5")
        it.until(lambda: len(it.lanes) == 3)


def test_one_joins_at_a_time_and_can_be_called_off(tmp_path):
    with joins(tmp_path, program=STUBBORN) as it:
        first = it.ask(ask="add", pin="v5", since="start")
        assert "joining just now" in it.ask(ask="add", pin="v6").last["refused"]
        assert it.ask(ask="list").last["joining"]["pin"] == "v5"
        assert it.it.holds == [{}]
        (child,) = it.it.children
        assert it.ask(ask="remove", pin="v5").last == {"cancelled": "v5"}
        it.until(lambda: first.ended)
        assert "asked to leave" in first.last["refused"]
        assert not child.running
        assert it.it.holds == []


def test_who_begins_with_now_holds_nothing_of_the_journal(tmp_path):
    with joins(tmp_path) as it:
        it.ask(ask="add", pin="v5")
        assert it.it.holds == []


@pytest.mark.parametrize("lane", [ASLEEP, STUBBORN], ids=["asleep", "stubborn"])
def test_a_challenger_leaves_at_once_and_its_lane_soon(tmp_path, monkeypatch, lane):
    monkeypatch.setattr("shadowserve.supervisor.membership.LEAVE_S", 0.5)
    with joins(tmp_path, program=finds(5), lane=lane) as it:
        it.ask(ask="add", pin="v5", wait=False)
        it.until(lambda: len(it.lanes) == 3)
        watch = it.lanes[1]
        watch.start()
        time.sleep(0.2)
        who = it.ask(ask="remove", pin="v5")
        assert deployments.read(it.places).left_lanes == (FIVE,)
        assert [one.name for one in it.lanes] == [CHALLENGER, CONTROL]
        assert watch in it.it.watches  # its cursor still holds the journal
        it.until(lambda: who.ended)
        assert who.last["left"] == "challenger v5"
        assert not watch.child.running
        assert watch not in it.it.watches
        assert condition(it.places.lane(FIVE.role, 5)).state == "left"


@pytest.mark.parametrize(
    ("pin", "says"),
    [
        ("v9", "no challenger of this deployment. Its challengers: v4"),
        ("v3", "no challenger"),
        ("other:4", "no challenger"),
        ("@next", "another version by now"),
        ("v4", "only challenger"),
    ],
)
def test_who_cannot_leave_stays(tmp_path, pin, says):
    with joins(tmp_path) as it:
        before = it.places.deployment.read_bytes()
        assert says in it.ask(ask="remove", pin=pin).last["refused"]
        assert it.places.deployment.read_bytes() == before
        assert len(it.lanes) == 2


def test_a_version_that_is_leaving_joins_again_once_it_has_left(tmp_path):
    with joins(tmp_path, program=finds(5), lane=STUBBORN) as it:
        it.ask(ask="add", pin="v5", wait=False)
        it.until(lambda: len(it.lanes) == 3)
        it.lanes[1].start()
        time.sleep(0.2)
        it.ask(ask="remove", pin="v5")
        assert "leaving just now" in it.ask(ask="add", pin="v5").last["refused"]
        it.it._leaving[0].until = 0.0
        it.it.turn()
        it.ask(ask="add", pin="v5", wait=False)
        it.until(lambda: len(it.lanes) == 3)
        assert it.lanes[1].name == LaneName(Role.CHALLENGER, 5, 2)


def test_a_full_disk_keeps_a_version_out_and_everything_as_it_was(tmp_path, monkeypatch):
    with joins(tmp_path, program=finds(5)) as it:
        before = it.places.deployment.read_bytes()

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(deployments, "write", full)
        who = it.ask(ask="add", pin="v5")
        it.until(lambda: who.ended)
        assert "cannot be written" in who.last["refused"]
        assert it.places.deployment.read_bytes() == before
        assert len(it.lanes) == 2


def test_lanes_score_one_at_a_time_while_they_are_more_than_their_cpus(tmp_path):
    with joins(tmp_path, program=finds(5)) as it:
        placement = place(workers=1, lanes=2, cpus=range(3))
        it.it.processes = replace(it.it.processes, placement=placement)
        object.__setattr__(it.it.processes, "own", it)
        it.it._crowd()
        assert not it.places.crowded.exists()
        it.ask(ask="add", pin="v5", wait=False)
        it.until(lambda: len(it.lanes) == 3)
        assert it.places.crowded.exists()
        it.ask(ask="remove", pin="v5")
        assert not it.places.crowded.exists()


def test_an_unknown_question_is_refused(tmp_path):
    with joins(tmp_path) as it:
        assert "does not know this" in it.ask(ask="promote").last["refused"]
        assert "does not know this" in it.ask().last["refused"]
