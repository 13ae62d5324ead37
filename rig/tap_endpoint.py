"""A console whose tap is open, and what it has journaled."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

from rig.asgi import calling
from rig.deployment import OPTIONS, deployment
from rig.scoring import body, record
from shadowserve.console.app import Console
from shadowserve.console.tap import Tap
from shadowserve.journal.reader import JournalReader

SERVED = deployment(
    options={**OPTIONS, "tap": True, "max_body": 100_000, "sample_rate": 1.0, "entity": None}
)
LINES = {"content-type": "application/x-ndjson"}


@asynccontextmanager
async def console(places, served=SERVED):
    """A console whose tap is open; closed again at the end."""
    tap = Tap(places, served)
    app = Console(places, tap=tap).app()
    async with tap.lifespan(app):
        while not tap.ready:
            await asyncio.sleep(0.01)
        async with calling(app, raise_app_exceptions=True) as client:
            yield client


def post(places, content, headers=LINES, served=SERVED):
    async def once():
        async with console(places, served) as client:
            return await client.post("/tap", content=content, headers=headers)

    return asyncio.run(once())


def line(n=1, **changes):
    fields = {
        "request_text": body(record(n)).decode(),
        "answer": {"predictions": [float(n)]},
        "latency_ms": 2.0,
        "request_id": f"r{n}",
    }
    return json.dumps({**fields, **changes})


def journaled(places):
    return JournalReader(places.journal, cursor={}).read(1_000).requests
