"""What MLflow's refusals and silences become, over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from rig.stores import fresh_store
from shadowserve.evidence.store import Store
from shadowserve.evidence.undelivered import UndeliveredError

pytestmark = pytest.mark.live


@contextmanager
def answering(
    status: int, *, hang_s: float = 0.0, body: bytes = b"<html>s3cret</html>"
) -> Iterator[str]:
    """A server that is well, and answers every call in one way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self.send_response(200)
                self.end_headers()
                return
            time.sleep(hang_s)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Retry-After", "3600")
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://ann:s3cret@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "hopeless"), [(401, True), (403, True), (429, False), (500, False), (503, False)]
)
def test_an_answer_that_is_a_no_says_whether_it_may_pass(status: int, hopeless: bool) -> None:
    with answering(status) as uri, pytest.raises(UndeliveredError) as caught:
        Store(uri).experiment("e")
    assert (caught.value.kind, caught.value.hopeless) == ("sink_error", hopeless)
    assert str(status) in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_mlflows_own_refusal_is_told_by_its_code() -> None:
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "s3cret"}).encode()
    with (
        answering(403, body=body) as uri,
        pytest.raises(UndeliveredError) as caught,
    ):
        Store(uri).experiment("e")
    assert (caught.value.code, caught.value.status) == ("PERMISSION_DENIED", 403)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_hangs_is_left_after_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Store.__init__.__globals__["_SWITCHES"], "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with (
        answering(200, hang_s=30.0) as uri,
        pytest.raises(UndeliveredError, match="No answer") as caught,
    ):
        Store(uri).experiment("e")
    assert caught.value.kind == "sink_dead"
    assert "s3cret" not in str(caught.value)


def test_nobody_there_is_told_as_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(UndeliveredError) as caught:
            Store(f"http://ann:s3cret@127.0.0.1:{port}")
    assert caught.value.kind == "sink_dead"
    assert "s3cret" not in str(caught.value)


def test_a_server_that_goes_away_between_two_calls_is_told_as_no_answer() -> None:
    with answering(200, body=b"{}") as uri:
        store = Store(uri)
    with pytest.raises(UndeliveredError) as caught:
        store.experiment("e")
    assert caught.value.kind == "sink_dead"


def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    store = Store(uri)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UndeliveredError, match="locked") as caught:
            store.experiment("e")
        other.execute("ROLLBACK")
    assert (caught.value.kind, caught.value.hopeless) == ("sink_error", False)
    assert store.experiment("e")


def test_a_file_that_was_away_and_came_back_is_written_again(tmp_path: Path) -> None:
    """No connection outlives its call: one opened meanwhile would write into nobody's file for ever."""
    uri = fresh_store(tmp_path)
    store = Store(uri)
    assert store.experiment("before")
    assert str(tmp_path / "mlflow.db") not in [one.path for one in psutil.Process().open_files()]
    file, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    file.rename(away)
    with pytest.raises(UndeliveredError):
        store.experiment("meanwhile")
    away.replace(file)
    assert store.experiment("after")
    with contextlib.closing(sqlite3.connect(file)) as other:
        names = {name for (name,) in other.execute("SELECT name FROM experiments")}
    assert {"before", "after"} <= names
