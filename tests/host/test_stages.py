"""What a process's start was made of: stages in order, on one clock, and a beginning that the system tells."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from shadowserve.host import stages


@pytest.fixture(autouse=True)
def _forgotten():
    stages.begin(None)
    yield
    stages.begin(None)


def test_stages_are_told_in_order_and_end_where_the_next_begins(monkeypatch):
    monkeypatch.delenv(stages.VARIABLE, raising=False)
    before = time.monotonic_ns()
    stages.begin(before)
    stages.reached("imports")
    stages.reached("loading")
    told = stages.told()
    assert told["began_ns"] == before
    assert [stage for stage, _ in told["stages"]] == ["imports", "loading"]
    ends = [ended for _, ended in told["stages"]]
    assert before <= ends[0] <= ends[1] <= time.monotonic_ns()


def test_a_child_knows_from_its_parent_when_it_was_begun(monkeypatch):
    monkeypatch.setenv(stages.VARIABLE, "17")
    assert stages.told()["began_ns"] == 17
    monkeypatch.setenv(stages.VARIABLE, "long ago")
    assert stages.told()["began_ns"] is None


def test_a_loop_that_goes_on_for_ever_fills_nothing():
    for _ in range(10 * stages.MOST):
        stages.reached("again")
    assert len(stages.told()["stages"]) == stages.MOST


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_a_process_finds_out_when_it_was_begun():
    code = "import time; time.sleep(0.3); from shadowserve.host import stages; print(stages.own_beginning_ns(), time.monotonic_ns())"
    before = time.monotonic_ns()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    began, now = map(int, run.stdout.split())
    tick = 10_000_000  # the system counts in hundredths of a second
    assert before - tick <= began <= now - 300_000_000 + tick
    ours = time.time() - psutil.Process().create_time()
    assert (time.monotonic_ns() - stages.own_beginning_ns()) / 1e9 == pytest.approx(ours, abs=2.0)
