"""While no worker is there, callers are answered at once; with a worker, never."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time

import httpx
import pytest

from rig.certificate import certified
from rig.standin import standing_in
from shadowserve.errors import RequestError
from shadowserve.http.certificate import Certificate
from shadowserve.supervisor import standin
from shadowserve.wire.protocols import form_at


@pytest.fixture
def data_plane(tmp_path):
    needed = threading.Event()
    needed.set()
    with standing_in(tmp_path, needed=needed.is_set) as (url, counted, listener):
        yield url, needed, counted, listener


def test_a_request_gets_a_503_that_says_when_to_come_back(data_plane):
    url, _, counted, _ = data_plane
    told = httpx.post(f"{url}/invocations", content=b"x" * 300_000, trust_env=False)
    assert told.status_code == 503
    assert told.headers["retry-after"] == "1"
    assert told.headers["x-shadowserve-model"] == "films/3"
    error = json.loads(told.content)["error"]
    assert set(error) == {"code", "message", "column", "row", "request_id"}
    assert error["request_id"] == told.headers["x-request-id"]
    assert (error["code"], error["message"]) == (
        "not_ready", "It is being tested. Try again in a second.",
    )  # fmt: skip
    assert counted.counts().not_ready == 1


def test_a_client_of_the_inference_protocol_gets_the_protocols_own_form(data_plane):
    """It reads a text where others read an object; the worker's refusals have that form too."""
    url, _, counted, _ = data_plane
    told = httpx.post(f"{url}/v2/models/films/infer?x=1", content=b"{}", trust_env=False)
    assert told.status_code == 503
    assert json.loads(told.content) == {"error": "It is being tested. Try again in a second."}
    error = RequestError("It is being tested. Try again in a second.", code="not_ready")
    assert form_at("/v2/models/films/infer").write(error, "r1") == told.content
    assert counted.counts().not_ready == 1


def test_probes_learn_that_it_lives_and_is_not_ready(data_plane):
    url, _, counted, _ = data_plane
    assert httpx.get(f"{url}/livez?x=1", trust_env=False).status_code == 200
    for path in ("readyz", "ping", "health", "v2/health/ready"):
        assert httpx.get(f"{url}/{path}", trust_env=False).status_code == 503
    assert (counted.counts().not_ready, counted.counts().overloaded) == (0, 0)


def test_a_caller_that_waits_for_leave_to_send_is_not_waited_for():
    """curl holds a large body back until it is told 100 or anything else."""
    head = b"POST /x?y HTTP/1.1\r\nhost: x\r\nExpect: 100-Continue\r\ncontent-length: 9\r\n\r\n"
    here, there = socket.socketpair()
    with here, there:
        there.sendall(head)
        assert standin._read(here, until=time.monotonic() + 3600) == b"/x"


def test_callers_that_say_nothing_are_dealt_with_beside_each_other(data_plane, monkeypatch):
    monkeypatch.setattr(standin, "PATIENCE_S", 5.0)
    url, _, _, _ = data_plane
    where = httpx.URL(url).netloc.decode().split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(where))
        assert httpx.get(f"{url}/livez", timeout=20, trust_env=False).status_code == 200


def test_a_caller_that_says_nothing_keeps_nobody_else_waiting_for_long(data_plane):
    url, _, _, _ = data_plane
    with socket.create_connection(httpx.URL(url).netloc.decode().split(":")):
        assert httpx.get(f"{url}/livez", timeout=20, trust_env=False).status_code == 200


def test_a_caller_that_drips_keeps_nobody_else_waiting_for_long(data_plane):
    url, _, _, _ = data_plane
    done = threading.Event()

    def drip(caller):
        while not done.wait(0.05):
            with contextlib.suppress(OSError):
                caller.sendall(b"x")

    with socket.create_connection(httpx.URL(url).netloc.decode().split(":")) as caller:
        dripping = threading.Thread(target=drip, args=(caller,))
        dripping.start()
        try:
            assert httpx.get(f"{url}/livez", timeout=20, trust_env=False).status_code == 200
        finally:
            done.set()
            dripping.join()


def test_every_answer_bears_an_id_and_the_version(data_plane):
    url, _, _, _ = data_plane
    for path in ("livez", "readyz"):
        head = httpx.get(f"{url}/{path}", trust_env=False).headers
        assert len(head["x-request-id"]) == 32
        assert head["x-shadowserve-model"] == "films/3"


def test_it_speaks_tls_where_the_workers_do(tmp_path):
    chain, key = certified(tmp_path)
    with standing_in(tmp_path, certificate=Certificate(chain, key)) as (url, _, _):
        trusting = ssl.create_default_context(cafile=str(chain))
        told = httpx.post(f"{url}/invocations", content=b"{}", verify=trusting, trust_env=False)
        assert told.status_code == 503
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{url.replace('https', 'http')}/livez", trust_env=False)


def test_a_worker_that_accepts_gets_the_callers(data_plane):
    url, needed, counted, listener = data_plane
    needed.clear()
    threading.Event().wait(0.3)  # a look that had begun is over
    listener.settimeout(20)
    with socket.create_connection(httpx.URL(url).netloc.decode().split(":")) as caller:
        threading.Event().wait(0.3)  # the stand-in has looked again
        accepted, _ = listener.accept()
        with accepted:
            caller.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
    assert counted.counts().not_ready == 0
