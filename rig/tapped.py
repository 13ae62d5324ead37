"""An app to be tapped, and taps that keep, refuse, hang or stay mute."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rig.asgi import calling

ASKED = b'{"dataframe_records": [{"x": 1.10}]}'


async def _answer(request):
    body = await request.body()
    return Response(b'{"predictions":  [%d]}' % len(body), media_type="application/json",
                    headers={"x-own": "kept"})  # fmt: skip


async def _stream(request):
    async def parts():
        for i in range(2_000):
            yield b"%d," % i

    return StreamingResponse(parts())


async def _file(request):
    return FileResponse(__file__)


async def _refuse(request):
    return JSONResponse({"detail": "no"}, status_code=422)


async def _fail(request):
    await request.body()
    raise RuntimeError("the model's own")


async def _unread(request):
    return Response(b"{}")


PATHS = {"/invocations": _answer, "/stream": _stream, "/file": _file, "/refuse": _refuse,
         "/fail": _fail, "/unread": _unread}  # fmt: skip


def app():
    return Starlette(
        routes=[Route(path, take, methods=["POST", "GET"]) for path, take in PATHS.items()]
    )


def ask(served, path="/invocations", body=ASKED, method="POST", **head):
    """Send one request in process; return what a caller sees of the answer."""

    async def once():
        async with calling(served, raise_app_exceptions=False) as client:
            told = await client.request(method, path, content=body, headers=head)
            return told.status_code, told.headers.raw, told.content

    return asyncio.run(once())


class Tap:
    """A tap of the test's own that keeps what it got and answers as it is told to."""

    def __init__(self, *, status=202, told=None, hang=False):
        self.records, self.heads = [], []
        self.released = threading.Event()
        if not hang:
            self.released.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                outer.heads.append(dict(self.headers))
                outer.records += [json.loads(line) for line in raw.split(b"\n")]
                outer.released.wait()
                body = json.dumps(told if told is not None else {"rejected": 0}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/tap"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def tap(**options):
    made = Tap(**options)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def mute():
    """An address that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/tap"
