"""Callers of a model that hangs, dies or is stopped: an answer wherever their connection still lives."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from rig import tiny
from rig.served import Load, Served

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # sockets of killed servers, and MLflow's own
]
OPTIONS = (
    *("--no-control", "--workers", "2", "--request-timeout", "2s", "--read-timeout", "2s"),
    *("--drain-delay", "1s"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory, store):
    root = tmp_path_factory.mktemp("waiting")
    with Served(root, store, *OPTIONS, champion=tiny.TRICKY, challengers=()) as deployment:
        deployment.until(lambda: ready(deployment), "both workers")
        yield deployment


def ready(served):
    """Whether a probe on a connection of its own is told so; a worker that dies resets those it has."""
    try:
        return httpx.get(f"{served.url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def asked(served, note):
    """Return the status of a request on a connection of its own, or how it failed."""
    try:
        body = {"dataframe_records": [tiny.row(1.0, note)]}
        url = f"{served.url}/invocations"
        return httpx.post(url, json=body, timeout=60, trust_env=False).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


def test_a_hanging_call_costs_its_caller_a_504_and_nobody_a_connection(served):
    with ThreadPoolExecutor(31) as pool:
        slow = pool.submit(asked, served, "hang")
        served.until(lambda: busy(served), "the call")
        others = [pool.submit(asked, served, "nnn") for _ in range(30)]
        assert slow.result() == 504
        told = [one.result() for one in others]
    assert set(told) <= {200, 503}, told
    served.until(lambda: served.ledger()["champion"]["restarts"], "the worker's end")
    served.until(lambda: ready(served), "a worker in its place")
    champion = served.ledger()["champion"]
    assert champion["timed_out"] == 1
    assert champion["not_ready"] == told.count(503)
    assert champion["lost"] == 0
    assert (champion["restarts"], champion["ended"]["hang"]) == (1, 1)
    logs = "".join(log.read_text() for log in (served.state / "logs").glob("champion-*.log"))
    assert "tricky.py" in logs
    assert "in _hang" in logs


def busy(served):
    from shadowserve.state import counters

    paths = [served.state / "counters" / f"{n}.bin" for n in range(2)]
    return any(counters.read(path).busy_ns for path in paths)


def test_a_worker_that_dies_takes_its_own_request_along_and_no_other_finds_it_unloaded(served):
    before = served.ledger()["champion"]
    with Load(served, callers=4) as load:
        served.until(lambda: load.n > 50, "traffic")
        assert asked(served, "exit") not in (200, 503)
        served.until(lambda: not ready(served), "the death to be seen")
        served.until(lambda: ready(served), "a worker in its place")
        n = load.n
        served.until(lambda: load.n > n + 50, "traffic")
    assert set(load.told) - {"200"} <= {"ReadError", "RemoteProtocolError"}, load.told
    after = served.ledger()["champion"]
    broken = load.n - load.told["200"]  # some may not have been read yet
    assert 1 <= after["lost"] - before["lost"] <= 1 + broken
    assert after["ended"]["crash"] - before["ended"]["crash"] == 1
    assert after["not_ready"] == before["not_ready"]


def test_a_stop_tells_balancers_first_and_then_refuses_and_resets_nobody(served):
    workers = [psutil.Process(served.worker_pid(n)) for n in range(2)]
    with Load(served, callers=8) as load:
        served.until(lambda: load.n > 100, "traffic")
        served.process.send_signal(signal.SIGTERM)
        served.until(lambda: not ready(served), "readiness to be gone")
        n = load.told["200"]
        served.until(lambda: load.told["200"] > n + 50, "answers meanwhile")
        while any(one.is_running() and one.status() != "zombie" for one in workers):
            time.sleep(0.01)
    assert set(load.told) <= {"200", "503"}, load.told
    assert load.wrong == 0
    assert served.process.wait(60) == 0
