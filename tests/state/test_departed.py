"""Series of ended processes are kept in one file, and asking stays as quick as it was."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from shadowserve.state import departed
from shadowserve.state.metrics import exposition
from shadowserve.state.places import Places

PROCESS = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from shadowserve.state.metrics import RoleMetrics
from shadowserve.records import Times
metrics = RoleMetrics("challenger", 4, steps=["scale", "ünïcode step"])
for _ in range(3):
    metrics.observe(Times(phases_ns=(10**6,) * 6, wall_ns=(2 * 10**6, 3 * 10**6), cpu_ns=(1, 1)))
print(os.getpid())
"""


@pytest.fixture
def places(tmp_path):
    found = Places(tmp_path)
    found.make()
    (tmp_path / "run").mkdir()
    return found


def lived(places, n):
    """Let so many processes live, observe and end."""
    for _ in range(n):
        subprocess.run([sys.executable, "-c", PROCESS, places.root / "run"], check=True, capture_output=True)  # fmt: skip


def counted(places):
    told = exposition(places, places.root / "run").decode()
    return sorted(line for line in told.splitlines() if "_step_seconds" in line and line[0] != "#")


def files(places):
    return sorted(path.name for path in (places.root / "run").glob("*.db"))


def test_what_ended_processes_observed_stays_and_their_files_go(places):
    lived(places, 3)
    before = counted(places)
    assert any("ünïcode" in line and line.endswith(" 9.0") for line in before)
    assert departed.merge(places.root / "run") == 3
    assert files(places) == ["histogram_0.db"]
    assert counted(places) == before
    lived(places, 1)
    after = counted(places)
    assert departed.merge(places.root / "run") == 1
    assert counted(places) == after
    assert any(line.endswith(" 12.0") for line in after)
    assert departed.merge(places.root / "run") == 0


def test_a_living_process_keeps_its_file(places):
    program = f"{PROCESS}\nsys.stdout.flush(); sys.stdin.read()"
    one = subprocess.Popen(
        [sys.executable, "-c", program, places.root / "run"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert one.stdout.readline()
    assert departed.merge(places.root / "run") == 0
    assert len(files(places)) == 1
    one.communicate()


def test_a_file_that_was_cut_off_takes_no_other_with_it(places):
    lived(places, 2)
    run = places.root / "run"
    victim = run / files(places)[0]
    victim.write_bytes(victim.read_bytes()[:30])
    assert departed.merge(run) == 2
    assert any(line.endswith(" 3.0") for line in counted(places))


def test_who_asks_meanwhile_sees_all_of_it_or_all_of_it(places):
    lived(places, 2)
    before, seen, done = counted(places), [], threading.Event()

    def ask():
        while not done.is_set():
            seen.append(counted(places))

    asking = threading.Thread(target=ask)
    asking.start()
    while len(seen) < 3:
        pass
    departed.merge(places.root / "run")
    n = len(seen)
    while len(seen) < n + 3:
        pass
    done.set()
    asking.join()
    assert all(one == before for one in seen)
