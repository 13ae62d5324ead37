"""Who waits for a version that loads is told where that gets hardly any CPU, and only there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rig import busy
from shadowserve.host.clock import run_delay_ns
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.starving import Starving

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="Linux")

SPIN = "while True: pass"
STRANGERS = 6


@pytest.fixture
def begun(tmp_path):
    """Start background processes on one CPU; all are ended."""
    children: list[Child] = []

    def begin(program: str) -> Child:
        one = Child(
            name="joiner",
            command=("-c", program),
            env=dict(os.environ),
            log=tmp_path / "log",
            idle=True,
            cpus=frozenset({min(os.sched_getaffinity(0))}),
        )
        one.start()
        children.append(one)
        return one

    yield begin
    for one in children:
        one.kill()


@pytest.fixture
def strangers():
    """Busy processes of others on that CPU."""
    with busy.strangers(STRANGERS):
        yield


def test_one_that_waits_for_a_cpu_most_of_its_life_is_told_and_later_again(
    begun, strangers, monkeypatch
):
    monkeypatch.setattr("shadowserve.supervisor.starving.FIRST_S", 0.5)
    child, starving, told = begun(SPIN), Starving(), []
    until = time.monotonic() + 300
    while len(told) < 2:
        assert time.monotonic() < until
        if (hungry := starving.look(child)) is not None:
            told.append((time.monotonic_ns() - child.started_ns, hungry))
            assert starving.look(child) is None  # not at each turn
        time.sleep(0.01)
    assert all("for a CPU: others keep those of the lanes busy" in one for _, one in told)
    assert told[1][0] > 1.5 * told[0][0]


def test_one_that_sleeps_is_not(begun, monkeypatch):
    monkeypatch.setattr("shadowserve.supervisor.starving.FIRST_S", 0.0)
    child = begun("import time; print('up', flush=True); time.sleep(600)")
    # However long its interpreter waited for a CPU at first: from here on it has slept most of its life.
    while (
        "up" not in child.log.read_text()
        or 4 * (run_delay_ns(child.pid) or 0) > time.monotonic_ns() - child.started_ns
    ):
        time.sleep(0.01)
    assert Starving().look(child) is None


def test_one_that_has_ended_or_is_young_is_not(begun, strangers, monkeypatch):
    monkeypatch.setattr("shadowserve.supervisor.starving.FIRST_S", 1e9)
    child = begun(SPIN)
    assert Starving().look(child) is None
    child.kill()
    child.wait(30)
    assert Starving().look(child) is None
