"""Who asks the console, as far as a request says so."""

from __future__ import annotations

import base64
from contextlib import suppress
from ipaddress import ip_address

from starlette.requests import Request


def is_local(request: Request) -> bool:
    """Tell whether a request came from this machine."""
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def named(request: Request, given: str = "") -> str:
    """Return who asks, such as ``ann@127.0.0.1``: the name that is given, else the password's user.

    Anybody with the token may give any name.
    """
    host = request.client.host if request.client is not None else "?"
    return f"{given.strip() or _user(request) or 'console'}@{host}"


def _user(request: Request) -> str:
    """Return the name that a browser's user gave with the password; empty for none."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    with suppress(ValueError):
        return base64.b64decode(given, validate=True).decode().partition(":")[0]
    return ""
