"""The supervisor's one loop: a worker that hangs is replaced, and nothing but a reason ends it."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import pytest

from shadowserve.errors import ModelError
from shadowserve.host.placement import place
from shadowserve.host.pulse import Pulse
from shadowserve.http.tokens import VARIABLE
from shadowserve.records import Role
from shadowserve.settings.settings import Settings
from shadowserve.state import ends
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import LaneName
from shadowserve.state.places import Places
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.run import Supervisor
from shadowserve.versions.stores import Uris


@pytest.fixture
def supervisor(tmp_path):
    places = Places(tmp_path / "state")
    places.make()
    said: list[str] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as data,
        socket.create_server(("127.0.0.1", 0)) as console,
    ):
        settings, addresses = Settings(), Uris("sqlite:///x", "sqlite:///x")
        it = Supervisor(
            settings=settings,
            places=places,
            data_socket=data,
            console_socket=console,
            processes=Processes(settings, places, place(workers=1, lanes=0), addresses, "start"),
            say=said.append,
        )
        yield it, said


def asleep(tmp_path) -> Child:
    child = Child(
        name="champion worker 0",
        command=("-c", "import time; time.sleep(600)"),
        env=dict(os.environ),
        log=tmp_path / "log",
    )
    child.start()
    return child


@pytest.mark.parametrize(
    ("sign", "limit_s", "said_of_it"),
    [("busy_ns", 95, "been in one call of the model"), ("beat_ns", 60, "answered nobody")],
)
def test_a_worker_that_hangs_is_ended_in_a_call_of_the_model_and_elsewhere(
    supervisor, tmp_path, sign, limit_s, said_of_it
):
    """A call that lasts its own worker gives up first; where it cannot any more, this does."""
    it, said = supervisor
    child = asleep(tmp_path)
    clock = iter(range(1000))
    it.workers.pulses[0, said_of_it] = Pulse(clock=lambda: float(next(clock)))
    counted = Counters(it.places.counters(0))
    counted.set("pid", child.pid)
    for started_ns in (0, 5, 6):  # one that has not begun, and two that go on
        counted.set(sign, started_ns)
        for _ in range(limit_s + 1):
            it.workers.end_if_stuck(0, child)
            assert child.running
    counted.add("in_hand", 3)
    it.workers.end_if_stuck(0, child)
    assert not child.running
    assert f"{said_of_it} for {limit_s + 1} s" in said[0]
    it.workers.children = [child]
    it.workers.look()
    assert "3 requests with it" in said[1]
    assert (counted.counts().lost, counted.counts().in_hand) == (3, 0)
    assert ends.workers(ends.read(it.places)).to_dict()["ended"]["hang"] == 1
    child.kill()
    counted.close()


def test_a_call_of_the_process_before_is_not_held_against_the_next(supervisor, tmp_path):
    it, _ = supervisor
    child = asleep(tmp_path)
    counted = Counters(it.places.counters(0))
    counted.set("pid", child.pid + 1)
    counted.set("busy_ns", 1)
    counted.close()
    it.workers.end_if_stuck(0, child)
    assert child.running
    child.kill()


def test_a_dead_worker_is_replaced_at_once_and_then_after_longer_and_longer_waits(
    supervisor, tmp_path
):
    it, said = supervisor
    child = asleep(tmp_path)
    it.workers.children = [child]
    pids = []
    for _ in range(3):
        pids.append(child.pid)
        child.kill()
        it.workers.look()
        pids.append(child.pid)
    assert len(set(pids)) == 2  # the second death waits
    assert it.workers.deaths == 1
    child.started_ns -= 10**9
    it.workers.look()
    assert child.running
    assert len(said) == 2
    child.kill()


def test_a_worker_that_gave_a_reason_is_replaced_with_it_told(supervisor, tmp_path):
    it, said = supervisor
    child = asleep(tmp_path)
    it.workers.children = [child]
    it.places.champion_failed.write_text('{"reason": "no memory"}')
    child.kill()
    it.workers.look()
    assert "died (no memory)" in said[0]
    assert not it.places.champion_failed.exists()
    child.kill()


def test_what_a_full_disk_prevents_is_told_once_and_tried_again(supervisor):
    it, said = supervisor

    def fails() -> None:
        raise OSError(28, "No space left on device")

    for _ in range(3):
        it.attempts.attempt(fails)
    assert len(said) == 1
    assert "OSError" in said[0]


def test_a_reason_to_end_is_not_swallowed(supervisor):
    it, _ = supervisor

    def fails() -> None:
        raise ModelError("no")

    with pytest.raises(ModelError):
        it.attempts.attempt(fails)


def test_every_process_is_told_its_role(supervisor):
    """A featurizer that writes to a store, or bills for a call, can refuse to in a lane."""
    it, _ = supervisor
    names = [LaneName(Role.CHALLENGER, 4), LaneName(Role.CONTROL, 3)]
    children = [
        it.processes.worker(0, it.data_socket),
        *(it.processes.lane(name).child for name in names),
    ]
    roles = [child.env["SHADOWSERVE_ROLE"] for child in children]
    assert roles == ["champion", "challenger", "control"]


def test_the_ports_own_processes_inherit_the_token_and_lanes_do_not(supervisor, tmp_path):
    it, _ = supervisor
    file = tmp_path / "token"
    file.write_text("abc")
    file.chmod(0o600)
    made = replace(it.processes, settings=Settings(token_file=file))
    file.unlink()
    for child in (made.worker(0, it.data_socket), made.console(it.console_socket)):
        held = int(child.env[VARIABLE])
        assert held in child.pass_fds
        assert os.pread(held, 9, 0) == b"abc"
    name = LaneName(Role.CHALLENGER, 4)
    (it.places.root / "lanes").mkdir(exist_ok=True)
    for child in (made.lane(name).child, made.evidence()):
        assert VARIABLE not in child.env
        assert child.pass_fds == ()
