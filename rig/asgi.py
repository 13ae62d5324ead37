"""An ASGI application, asked in process without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx


@asynccontextmanager
async def calling(
    app: Any, *, base_url: str = "http://test", **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application, for several requests on one loop."""
    transport = httpx.ASGITransport(app, **options)
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client


def called(app: Any, method: str, path: str, **request: Any) -> httpx.Response:
    """The answer to one request."""

    async def once() -> httpx.Response:
        async with calling(app) as client:
            return await client.request(method, path, **request)

    return asyncio.run(once())
