"""A limit: uvicorn and an application that parses the same JSON and answers as many constants."""

from __future__ import annotations

from typing import Any

import orjson


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer any request; the lifespan protocol is declined."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = b""
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    rows = next(iter(orjson.loads(body).values())) if body else ()  # under whichever name they come
    told = orjson.dumps({"predictions": [1.0] * len(rows)})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})
