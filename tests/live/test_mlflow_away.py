"""MLflow refuses, hangs, says no or breaks off, from the first call or in the middle of the work.

A real tracking server stands behind a door that misbehaves on demand. Whatever the door does, what
waits arrives once it is mended: each window once, with its part and its traces.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rig.evidence import (
    CHALLENGER,
    client,
    close_windows,
    deployment,
    state_directory,
)
from rig.stores import fresh_store
from shadowserve.evidence import store
from shadowserve.evidence.carrying import Carrier
from shadowserve.state import pace
from shadowserve.versions import stores

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # sockets broken off on purpose, and MLflow's own
]

SINKS = {
    "refuses": "sink_dead",
    "hangs": "sink_dead",
    "401": "sink_error",
    "403": "sink_error",
    "429": "sink_error",
    "500": "sink_error",
    "breaks off": "sink_error",
    "says anything": "sink_error",
}
IN_THE_MIDDLE = 9
"""Calls that are let through before the door begins to misbehave: then the first part is on its way."""


class Door:
    """A port before the tracking server that passes calls on, or does what its mode says."""

    def __init__(self, behind: int) -> None:
        self.mode, self.good_calls = "well", 0
        self._behind = behind
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    door.handle(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def begin(self, mode: str, *, after: int) -> None:
        """Misbehave from the n-th call on."""
        self.mode, self.good_calls = mode, after
        if mode == "refuses" and not after:
            self.close()

    def mend(self) -> None:
        self.mode = "well"
        if self._server is None:
            self.open()

    def refuse_traces(self) -> None:
        """Answer 500 to whatever stores traces, as a server or proxy that is too old does."""
        self.mode = "fails on traces"

    def handle(self, caller: BaseHTTPRequestHandler) -> None:
        body = caller.rfile.read(int(caller.headers.get("content-length") or 0))
        mode = self.mode
        if mode != "well" and self.good_calls > 0:
            self.good_calls -= 1
            mode = "well"
            if self.mode == "refuses" and not self.good_calls:
                threading.Thread(target=self.close).start()
        if mode == "fails on traces":
            mode = "500" if "trace" in caller.path else "well"
        if mode == "refuses":
            return
        if mode == "hangs":
            until = time.monotonic() + 20
            while self.mode == mode and time.monotonic() < until:
                time.sleep(0.05)
            return
        if mode == "says anything":
            self._answer(caller, 200, b"<html>Please log in.</html>")
        elif mode.isdigit():
            self._answer(caller, int(mode), b"no")
        else:
            status, told = self._passed_on(caller, body)
            self._answer(caller, status, told, whole=mode == "well")

    def _passed_on(self, caller: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        behind = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=20)
        own = ("host", "connection", "content-length", "accept-encoding")
        head = {name: value for name, value in caller.headers.items() if name.lower() not in own}
        behind.request(caller.command, caller.path, body, head)
        answer = behind.getresponse()
        told = answer.read()
        behind.close()
        return answer.status, told

    def _answer(
        self, caller: BaseHTTPRequestHandler, status: int, body: bytes, *, whole: bool = True
    ) -> None:
        caller.send_response(status)
        caller.send_header("content-type", "application/json")
        caller.send_header("content-length", str(len(body) + (not whole)))
        caller.end_headers()
        caller.wfile.write(body if whole else body[: len(body) // 2])


@pytest.fixture(scope="module")
def behind(tmp_path_factory) -> Iterator[int]:
    """The port of a real tracking server."""
    root = tmp_path_factory.mktemp("tracking")
    fresh_store(root)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as free:
        port = free.server_port
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{root}/mlflow.db",
        "--artifacts-destination", str(root / "artifacts"),
    ]  # fmt: skip
    with (root / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: stores_answer(port), 90)
        client(f"http://127.0.0.1:{port}").search_experiments()
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def stores_answer(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        asked.request("GET", "/health")
        return asked.getresponse().status == 200
    return False


def until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.fixture
def door(behind, monkeypatch) -> Iterator[Door]:
    """Deadlines are cut, so that hours pass in seconds."""
    monkeypatch.setitem(store._SWITCHES, "MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setattr(stores, "REACH_S", 0.5)
    standing = Door(behind)
    yield standing
    standing.mend()
    standing.close()


class Turns:
    """Lets a carrier work so many times, without the pauses between."""

    def __init__(self, n: int) -> None:
        self._left = n

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0

    def wait(self, _seconds: float) -> None:
        pass


@pytest.mark.parametrize("after", [0, IN_THE_MIDDLE], ids=["from the first", "in the middle"])
@pytest.mark.parametrize("mode", SINKS)
def test_what_waited_arrives_once_when_mlflow_is_back(
    door: Door, tmp_path: Path, mode: str, after: int
) -> None:
    """SS-022, SS-068, SS-075: no failure ends the writer, each is told by its kind, nothing is lost."""
    served = deployment(f"http://127.0.0.1:{door.port}", id=f"{mode} {after}")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    door.begin(mode, after=after)
    carrier = Carrier(places, served)
    carrier.run(Turns(3))
    told = json.loads((places.root / "evidence.json").read_text())
    assert told["kind"] == SINKS[mode], told
    assert told["state"] == ("failed" if mode in ("401", "403") else "waiting")
    assert told["lanes"]["challenger v4"]["waiting"] >= 1
    assert carrier.condition.failures == 3
    assert (pace.factor(places.wider) > 1) == (mode == "429")
    close_windows(places, CHALLENGER, 1)
    door.mend()
    carrier.run(Turns(3))  # on a busy machine one call may take longer than the cut deadline
    assert carrier.condition.failures == 0
    carrier.flush(until=time.monotonic() + 20)
    behind = client(f"http://127.0.0.1:{door.port}")
    found = behind.get_experiment_by_name(f"shadowserve/{served.model}")
    runs = behind.search_runs(
        [found.experiment_id], f"tags.`shadowserve.deployment` = '{served.id}'"
    )
    (run,) = runs
    history = behind.get_metric_history(run.info.run_id, "ledger/requests")
    assert [point.step for point in history] == [0, 1, 2]
    parts = [Path(one.path).name for one in behind.list_artifacts(run.info.run_id, "comparisons")]
    assert parts == sorted(p.name for p in places.lane(CHALLENGER.role, 4).parts.iterdir())
    traces = behind.search_traces(
        locations=[found.experiment_id], run_id=run.info.run_id, max_results=100
    )
    seen = Counter(trace.info.client_request_id for trace in traces)
    assert set(seen.values()) <= {1}
    assert bool(seen) == (mode != "429")  # fewer calls: traces stay away, and are counted
    assert bool(carrier.writer.counts[CHALLENGER]["untraced"]) == (mode == "429")


def test_a_server_that_fails_on_traces_gets_the_windows_all_the_same(
    door: Door, tmp_path: Path
) -> None:
    served = deployment(f"http://127.0.0.1:{door.port}", id="no traces")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 3)
    door.refuse_traces()
    carrier = Carrier(places, served)
    carrier.run(Turns(4))
    assert carrier.writer.counts[CHALLENGER]["arrived"] == 0
    carrier.run(Turns(1))
    told = carrier.writer.counts[CHALLENGER]
    assert (told["arrived"], told["untraced"]) == (3, 3)
