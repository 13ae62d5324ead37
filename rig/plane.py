"""The data plane over a real champion, asked without a server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn

from rig.asgi import called
from rig.champion import Serving
from rig.scoring import body, native, pipeline, record
from shadowserve.http.header_limit import BoundedHead
from shadowserve.serving.dataplane import DataPlane
from shadowserve.serving.ready import Ready
from shadowserve.state.sampling import Sampling
from shadowserve.state.unknown_columns import UnknownColumns
from shadowserve.statistics.units import nobody

JSON = {"content-type": "application/json"}
MAX_BODY = 4096


async def behind(scope, receive, send):
    """BentoML's place: everything that is not ours."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"behind"})


class Plane:
    """A data plane over a champion, asked without a server."""

    def __init__(self, tmp_path, scorer=None, *, opened=True, ready=True, **options: Any) -> None:
        scorer = scorer or native(pipeline())
        self.serving = Serving(tmp_path, scorer)
        sampling = options.pop("sampling", Sampling())
        entity_of = options.pop("entity_of", nobody)
        self._refusals = options.pop("refusals", None)
        self._large = options.pop("large", None)
        self._former = options.pop("former", ())
        self.plane = DataPlane(
            behind,
            counters=self.serving.counters,
            unknown_columns=UnknownColumns(tmp_path / "0.names"),
            all_ready=lambda: ready,
            metrics=options.pop("metrics", lambda: b"shadowserve_requests_total 0\n"),
            max_body=options.pop("max_body", MAX_BODY),
            **options,
        )
        self._opened = opened
        self._ready = (scorer.schema, sampling, entity_of)

    def __enter__(self):
        self.serving.__enter__()
        schema, sampling, entity_of = self._ready
        if self._opened:
            self.plane.open(
                Ready(
                    model="films",
                    version=3,
                    champion=self.serving.champion,
                    schema=schema,
                    sampling=sampling,
                    refusals=self._refusals,
                    entity_of=entity_of,
                    large=self._large,
                    former=self._former,
                )
            )
        return self

    def __exit__(self, *error):
        self.serving.__exit__(*error)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return called(self.plane, method, path, **options)

    def post(self, sent: bytes | None = None, path: str = "/invocations", **head: str):
        headers = {**JSON, **{name.replace("_", "-"): value for name, value in head.items()}}
        return self.ask("POST", path, content=body(record(1)) if sent is None else sent, headers=headers)  # fmt: skip

    @property
    def counts(self):
        return self.serving.counters.counts()


@contextlib.contextmanager
def served(tmp_path, scorer=None, *, short: bool = True, **options) -> Iterator[tuple[Plane, int]]:
    """A plane behind uvicorn; with the short way, or by the application alone."""
    with Plane(tmp_path, scorer or native(pipeline()), **options) as plane:
        config = uvicorn.Config(
            plane.plane, port=0, http=BoundedHead, log_config=None, lifespan="off", loop="asyncio"
        )
        server = uvicorn.Server(config)
        BoundedHead.short_way = plane.plane.short_way if short else None
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield plane, server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
            BoundedHead.short_way = None


def error_of(response) -> dict[str, Any]:
    """The error of a refusal, which has the contract's form."""
    found = response.json()["error"]
    assert set(found) == {"code", "message", "column", "row", "request_id"}
    assert found["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return found
