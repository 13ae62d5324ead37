"""The world around a deployment fails: disk, MLflow, neighbours, callers. Callers get their answers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rig import tiny
from rig.disk import small_disk
from rig.served import Load, Served

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # sockets of killed servers, and MLflow's own
]


HEAD = (
    "POST /invocations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    "content-length: {}\r\n\r\n"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory, store):
    root = tmp_path_factory.mktemp("surroundings")
    options = ("--deadline", "3s")
    with Served(root, store, *options, champion=tiny.BURNING) as deployment:
        yield deployment


@pytest.fixture
def disk(tmp_path):
    """A file system of 160 MiB, where this user may mount one."""
    with small_disk(tmp_path / "disk", mib=160) as mounted:
        if mounted is None:
            pytest.skip("this user may not mount a small file system")
        yield mounted


def test_a_full_disk_takes_the_record_and_no_answer(tmp_path, store, disk):
    """Answers leave, each failure is counted, and the record goes on when there is room again."""
    served = Served(tmp_path, store, "--no-control", state=disk.path / "state")
    with served:
        for _ in range(20):
            assert served.post().status_code == 200
        served.settled()
        disk.fill()
        lost = [served.post("n" * 3000).status_code for _ in range(120)]
        assert set(lost) == {200}
        assert served.process.poll() is None
        pid = served.worker_pid()
        os.kill(pid, 9)
        served.until(lambda: served.worker_pid() != pid, "a new worker")
        served.until(lambda: served.post().status_code == 200, "answers on a full disk")
        disk.empty()
        served.until(lambda: served.post().status_code == 200, "room")
        time.sleep(2.5)
        for _ in range(20):
            assert served.post().status_code == 200
        told = served.settled()
        assert told["balanced"]
        assert told["journal"]["append_failed"] >= 1
        assert told["champion"]["answered"] == sum(
            told["journal"][name] for name in ("appended", "append_failed")
        )
        (lane,) = told["lanes"]
        assert lane["both_ok"] == told["journal"]["appended"] >= 30


def is_shipping(served) -> bool:
    """Whether evidence has its runs and reaches them; between attempts it waits up to a minute."""
    told = json.loads((served.state / "evidence.json").read_text())
    return told["state"] == "shipping" and all(lane["run_id"] for lane in told["lanes"].values())


def test_a_locked_and_a_missing_mlflow_store_wait_and_lose_nothing(tmp_path, store):
    """SS-022, SS-069: requests go on, evidence arrives later and once."""
    import mlflow

    with Served(tmp_path, store) as served:
        held = sqlite3.connect(served.store, isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        with Load(served, callers=2) as load:
            served.until(lambda: load.n > 1200, "traffic while MLflow's file is locked")
        assert set(load.told) == {"200"}
        held.execute("ROLLBACK")
        held.close()
        away = served.store.with_suffix(".away")
        served.store.rename(away)
        for _ in range(50):
            assert served.post().status_code == 200
        served.settled()
        served.store.unlink(missing_ok=True)
        away.rename(served.store)
        told = served.settled()
        assert told["balanced"]
        served.until(lambda: is_shipping(served), "the evidence writer to find the store again")
        assert served.stop() == 0
    client = mlflow.MlflowClient(f"sqlite:///{served.store}", f"sqlite:///{served.store}")
    experiment = client.get_experiment_by_name("shadowserve/tiny")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    for run in runs:
        points = client.get_metric_history(run.info.run_id, "ledger/requests")
        assert len({point.step for point in points}) == len(points)
        if "control" not in run.info.run_name:
            assert sum(point.value for point in points) == told["journal"]["appended"]


def test_health_answers_while_everything_is_busy(served):
    """SS-037: champion and lanes are saturated; probes are never held up for long."""
    with Load(served, callers=8) as load, ThreadPoolExecutor(4) as pool:
        burning = [pool.submit(served.post, "burn") for _ in range(24)]
        spent = []
        while not all(one.done() for one in burning):
            for url in (f"{served.url}/livez", f"{served.url}/readyz", f"{served.console}/livez"):
                began = time.monotonic()
                assert httpx.get(url, timeout=5.0).status_code == 200
                spent.append(time.monotonic() - began)
        assert {one.result().status_code for one in burning} == {200}
    assert set(load.told) == {"200"}
    assert sorted(spent)[len(spent) // 2] < 0.5, sorted(spent)[-10:]


def test_a_body_of_33_mb_is_refused_before_it_is_parsed(served):
    """SS-122: 413 from its declared length; the others do not notice."""
    body = json.dumps({"dataframe_records": [tiny.row(1.0, "n" * 50)] * 450_000}).encode()
    assert len(body) > 33_000_000
    with Load(served, callers=2) as load:
        served.until(lambda: load.n > 20, "traffic")
        with socket.create_connection((served.facts["host"], served.facts["port"])) as caller:
            head = HEAD.format(len(body))
            caller.sendall(head.encode())
            caller.settimeout(10)
            assert b" 413 " in caller.recv(4096)
        with contextlib.suppress(httpx.WriteError, httpx.ReadError):
            told = served.client.post(f"{served.url}/invocations", content=body)
            assert told.status_code == 413
    assert set(load.told) == {"200"}


@pytest.mark.parametrize("plane", ["port", "console_port"])
def test_a_head_without_end_is_hung_up_on(served, plane):
    """The parser keeps what has come of a header: without a bound one caller fills the memory."""
    with socket.create_connection((served.facts["host"], served.facts[plane])) as caller:
        caller.settimeout(10)
        with contextlib.suppress(ConnectionError):
            caller.sendall(b"POST /invocations HTTP/1.1\r\nx-a: ")
            for _ in range(64):
                caller.sendall(b"a" * 2**16)
        assert b" 431 " in caller.recv(4096)


def test_many_callers_at_once_get_an_answer_each(served):
    """64 in a closed loop: nothing but 200 (BentoML's batching answers 503 here)."""
    with Load(served, callers=64) as load:
        served.until(lambda: load.n > 1500, "traffic")
    assert set(load.told) == {"200"}
    assert load.wrong == 0
    assert served.settled()["balanced"]


def test_beyond_the_bound_callers_are_told_when_to_come_back(served):
    """SS-020: a full line by rows answers 503 with Retry-After; none hangs, none is lost."""
    rows = [tiny.row(1.0, "n")] * 6000
    slow = [tiny.row(1.0, "burn")] * 10
    before = served.ledger()["champion"]

    def ask(records):
        body = {"dataframe_records": records}
        return httpx.post(f"{served.url}/invocations", json=body, timeout=120.0)

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask, slow)
        time.sleep(0.5)
        told = [one.result() for one in [pool.submit(ask, rows) for _ in range(8)]]
        assert first.result().status_code == 200
    statuses = sorted({one.status_code for one in told})
    assert statuses == [200, 503]
    assert all(one.headers["retry-after"] for one in told if one.status_code == 503)
    after = served.ledger()["champion"]
    refused = sum(one.status_code == 503 for one in told)
    assert after["overloaded"] - before["overloaded"] == refused


def test_a_caller_that_leaves_is_counted_and_its_request_recorded(served):
    before = served.settled()
    body = json.dumps({"dataframe_records": [tiny.row(1.0, "burn")]}).encode()
    with socket.create_connection((served.facts["host"], served.facts["port"])) as caller:
        head = HEAD.format(len(body))
        caller.sendall(head.encode() + body)
    served.until(lambda: served.ledger()["champion"]["client_gone"] > 0, "the count")
    after = served.settled()
    assert after["champion"]["client_gone"] - before["champion"]["client_gone"] == 1
    assert after["journal"]["appended"] - before["journal"]["appended"] == 1


def schedule(processes: list[int], how: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended
            for thread in Path(f"/proc/{process}/task").iterdir():
                os.sched_setscheduler(int(thread.name), how, os.sched_param(0))


def test_strangers_on_every_core_starve_lanes_and_time_nobody_out(served):
    """Both cores taken: starvation is no timeout and no poison."""
    burn = "while True: pass"
    cores = os.cpu_count() or 1
    lanes = [served.lane_pid(tiny.BETTER), served.lane_pid(tiny.BURNING, "control")]
    schedule(lanes, os.SCHED_IDLE)
    strangers = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(cores)]
    try:
        with Load(served, callers=2, pause_s=0.05) as load:
            served.until(lambda: load.n > 100, "traffic")
            time.sleep(5)
    finally:
        for one in strangers:
            one.kill()
            one.wait()
        schedule(lanes, os.SCHED_OTHER)
    assert set(load.told) == {"200"}
    told = served.settled()
    assert told["balanced"]
    assert not any(lane["timed_out"] or lane["crashed"] for lane in told["lanes"])


def test_a_flooded_console_is_not_on_anybodys_way(served):
    with Load(served, callers=2) as load, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(served.report) for _ in range(24)]
        probes = [httpx.get(f"{served.console}/livez", timeout=10).status_code for _ in range(10)]
        assert all(one.result()["schema"] for one in asked)
    assert set(probes) == {200}
    assert set(load.told) == {"200"}
