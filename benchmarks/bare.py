"""The bare limit: a uvicorn application that parses the same JSON and answers with a constant."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import uvicorn

ANSWER = b'{"predictions":[1.0]}'
HEAD = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(ANSWER)).encode()),
]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request alike, once its body is read."""
    if scope["type"] != "http":
        return
    body, more = b"", scope["method"] == "POST"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if body:
        orjson.loads(body)
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False,
        lifespan="off",
    )  # fmt: skip
