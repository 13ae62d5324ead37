"""The middleware copies what passes, and whatever becomes of the copies, the app's callers never know."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from rig.tapped import (
    ASKED,
    PATHS,
    app,
    ask,
    mute,
    tap,
)
from shadowserve.tap import TapMiddleware
from shadowserve.tap.middleware import PATHS as COPIED
from shadowserve.wire.protocol import Purpose
from shadowserve.wire.protocols import PROTOCOLS


@pytest.fixture
def nobody(free_port):
    return f"http://127.0.0.1:{free_port}/tap"


def tapped(url, inner=None, **options):
    return TapMiddleware(inner or app(), url, **{"paths": list(PATHS), **options})


def same_as_alone(middleware):
    """Ask everything through the middleware and past it; a caller sees the same bytes."""
    for path in PATHS:
        assert ask(middleware, path) == ask(app(), path), path
        assert ask(middleware, path, method="GET") == ask(app(), path, method="GET"), path


@pytest.mark.parametrize("status", [202, 400, 401, 404, 413, 500, 503])
def test_answers_are_the_apps_whatever_the_tap_says(status):
    with tap(status=status) as there:
        same_as_alone(tapped(there.url))


@pytest.mark.parametrize(
    "told", [[], "text", {"rejected": "many", "errors": 3}, {"errors": [None]}]
)
def test_answers_are_the_apps_whatever_nonsense_the_tap_talks(told):
    with tap(told=told) as there:
        middleware = tapped(there.url)
        same_as_alone(middleware)
        middleware.close()


def test_answers_are_the_apps_without_a_tap(nobody):
    middleware = tapped(nobody)
    same_as_alone(middleware)
    middleware.close(0.1)


def test_answers_are_the_apps_while_the_tap_hangs():
    with mute() as url:
        same_as_alone(tapped(url))
    with tap(hang=True) as there:
        same_as_alone(tapped(there.url))


def test_an_exception_of_the_app_passes_as_it_is(nobody):
    async def broken(scope, receive, send):
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        asyncio.run(tapped(nobody, broken)(scope(), None, None))


def scope(path="/invocations"):
    return {"type": "http", "path": path, "method": "POST", "headers": []}


def test_a_copy_holds_the_bytes_the_status_and_the_time():
    with tap() as there:
        middleware = tapped(there.url, token="abc")
        status, _, answer = ask(middleware, **{"x-request-id": "r1", "content-type": "text/csv"})
        ask(middleware, "/fail")
        middleware.close(10)
        first, failed = there.records
        assert there.heads[0]["authorization"] == "Bearer abc"
    assert first["request_text"].encode() == ASKED
    assert first["answer_text"].encode() == answer
    assert (first["status"], first["request_id"], first["content_type"]) == (
        status,
        "r1",
        "text/csv",
    )
    assert first["protocol"] == "invocations"
    assert 0 < first["latency_ms"] < 60_000
    assert failed["status"] == 500
    assert "answer_text" not in failed
    assert (middleware.sent, middleware.rejected, middleware.dropped) == (2, 0, 0)


def test_bytes_that_are_no_text_travel_as_base64():
    with tap() as there:
        middleware = tapped(there.url)
        ask(middleware, body=b"\xff\x00")
        middleware.close(10)
    assert there.records[0]["request_base64"] == "/wA="


def test_only_posts_to_its_paths_that_the_app_answered_are_copied():
    with tap() as there:
        middleware = tapped(there.url, paths={"/stream": "predict", "/refuse": "predict"})
        for path in ("/invocations", "/refuse", "/stream"):
            ask(middleware, path)
            ask(middleware, path, method="GET")
        middleware.close(10)
    assert [one["protocol"] for one in there.records] == ["predict"]
    assert there.records[0]["answer_text"].startswith("0,1,2,")
    assert middleware.dropped == 0


@pytest.mark.parametrize("written", ["/invocations", "/api/v1/invocations"])
@pytest.mark.parametrize("how", ["inside the mount", "around it", "root path", "stripped"])
def test_requests_under_a_mount_or_a_root_path_are_copied(written, how):
    """By the path that the app itself routes by, or by the whole one."""
    with tap() as there:
        if how == "inside the mount":
            middleware = tapped(there.url, paths=[written])
            served = Starlette(routes=[Mount("/api", Starlette(routes=[Mount("/v1", middleware)]))])
        elif how == "around it":
            served = Starlette(routes=[Mount("/api/v1", app())])
            served = middleware = tapped(there.url, served, paths=["/api/v1/invocations"])
        else:
            middleware = tapped(there.url, paths=[written])

            async def served(scope, receive, send):
                await middleware({**scope, "root_path": "/api/v1"}, receive, send)

        stripped = how == "stripped" and written == "/invocations"
        told = ask(served, "/invocations" if stripped else "/api/v1/invocations")
        middleware.close(10)
    if how == "inside the mount":
        assert told[0] == 200
    assert len(there.records) == 1


def test_a_path_that_only_begins_like_the_root_path_is_none():
    with tap() as there:
        middleware = tapped(there.url)

        async def served(scope, receive, send):
            await middleware({**scope, "root_path": "/api"}, receive, send)

        ask(served, "/apis/invocations")
        middleware.close(10)
    assert there.records == []


def test_a_share_is_copied():
    with tap() as there:
        none, everything = (tapped(there.url, sample_rate=rate) for rate in (0.0, 1.0))
        for middleware in (none, everything):
            ask(middleware)
            middleware.close(10)
    assert (none.sent, everything.sent) == (0, 1)


def test_an_app_with_a_form_of_its_own_is_adapted():
    async def own(request):
        await request.body()
        return JSONResponse({"result": {"price": 2.5}})

    inner = Starlette(routes=[Route("/price", own, methods=["POST"])])
    with tap() as there:
        middleware = tapped(
            there.url, inner, paths=["/price"],
            to_records=lambda request: [request["item"]],
            to_predictions=lambda answer: [answer["result"]["price"]],
        )  # fmt: skip
        ask(middleware, "/price", b'{"item": {"x": 1.10, "big": 9007199254740993}}')
        ask(middleware, "/price", b'{"another": 1}')
        ask(middleware, "/price", b"no json")
        middleware.close(10)
    (record,) = there.records
    assert json.loads(record["request_text"]) == {
        "dataframe_records": [{"x": 1.1, "big": 9007199254740993}]
    }
    assert json.loads(record["answer_text"]) == {"predictions": [2.5]}
    assert middleware.dropped == 2


def test_what_is_too_large_is_passed_on_and_not_copied():
    with tap() as there:
        middleware = tapped(there.url, max_body=100)
        large = b"x" * 101
        assert ask(middleware, body=large) == ask(app(), body=large)
        assert ask(middleware, "/stream") == ask(app(), "/stream")
        ask(middleware, body=b"x" * 60)
        middleware.close(10)
    assert len(there.records) == 1
    assert middleware.dropped == 2


def test_the_queue_is_bounded_by_bytes_and_what_does_not_fit_is_counted():
    with tap(hang=True) as there:
        middleware = tapped(there.url, max_queued_bytes=5_000)
        for _ in range(100):
            assert ask(middleware, body=b"x" * 1_000)[0] == 200
        assert middleware.dropped >= 95
        assert middleware._outbox._held_bytes <= 5_000
        there.released.set()
        middleware.close(10)
        assert middleware.sent + middleware.dropped == 100
    assert middleware._outbox._held_bytes == 0


def test_the_queue_is_bounded_by_records(monkeypatch):
    monkeypatch.setattr("shadowserve.tap.middleware.MAX_QUEUED_RECORDS", 3)
    with tap(hang=True) as there:
        middleware = tapped(there.url)
        for _ in range(100):
            ask(middleware, body=b"")
        assert middleware.dropped >= 30
        there.released.set()
        middleware.close(10)
        assert middleware.sent + middleware.dropped == 100


def test_nothing_is_held_once_all_is_said(nobody):
    middleware = tapped(nobody, max_body=50)
    for path in PATHS:
        ask(middleware, path)
        ask(middleware, path, body=b"x" * 51)
    middleware.close(0.0)
    middleware._outbox._thread.join(10)
    assert middleware._outbox._held_bytes == 0
    assert middleware.sent == 0


def test_a_caller_who_leaves_is_neither_copied_nor_an_error(nobody):
    async def waits(scope, receive, send):
        await receive()
        await asyncio.sleep(60)

    async def leave():
        middleware = tapped(nobody, waits)

        async def receive():
            return {"type": "http.request", "body": b"x", "more_body": False}

        task = asyncio.create_task(middleware(scope(), receive, None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return middleware

    middleware = asyncio.run(leave())
    assert (middleware.dropped, middleware._outbox._held_bytes) == (0, 0)


def test_a_tap_that_comes_later_gets_what_waited(free_port):
    middleware = tapped(f"http://127.0.0.1:{free_port}/tap")
    ask(middleware)
    with socket.socket() as probe:  # refused until somebody listens
        assert probe.connect_ex(("127.0.0.1", free_port)) != 0
    late = ThreadingHTTPServer(("127.0.0.1", free_port), _Taking)
    threading.Thread(target=late.serve_forever, daemon=True).start()
    middleware.close(10)
    late.shutdown()
    late.server_close()
    assert (middleware.sent, middleware.dropped) == (1, 0)


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(202)
        self.end_headers()
        self.wfile.write(b'{"rejected": 0}')

    def log_message(self, *_):
        pass


def test_what_the_tap_rejects_is_counted_and_its_reason_logged(caplog):
    error = {"code": "missing_column", "message": "Request lacks x."}
    with tap(status=400, told={"error": error}) as there:
        middleware = tapped(there.url)
        ask(middleware)
        middleware.close(10)
    assert (middleware.rejected, middleware.dropped) == (1, 0)
    assert "Request lacks x." in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "127.0.0.1:3001"},
        {"sample_rate": 2.0},
        {"to_records": list},
        {"to_predictions": list},
    ],
)
def test_what_cannot_be_is_refused_when_the_app_is_made(wrong):
    with pytest.raises(ValueError, match=r"[.]$"):
        TapMiddleware(app(), **wrong)


def test_the_paths_that_are_copied_unasked_are_the_protocols_own():
    """It cannot read the table: it stands in other people's apps. Those that name a model are asked for."""
    routes = [(route, each.name) for each in PROTOCOLS for route in each.routes]
    scored = {
        r.path: name for r, name in routes if r.purpose is Purpose.SCORE and not r.names_model
    }
    assert scored == COPIED


def test_the_middleware_needs_the_standard_library_alone():
    code = "import sys, shadowserve; shadowserve.TapMiddleware; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "orjson", "mlflow", "starlette", "bentoml"}
    assert not heavy & set(run.stdout.split())
