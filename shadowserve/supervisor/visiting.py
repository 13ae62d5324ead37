"""Asking the running supervisor from another process: one question, what it tells meanwhile, and its end."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.host import unix_socket
from shadowserve.state.places import Places
from shadowserve.state.presence import running

REACH_S = 10.0


class RefusedError(ShadowserveError):
    """The supervisor did not do what it was asked for; nothing has changed."""

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def ask(
    places: Places, question: Mapping[str, Any], *, tell: Callable[[str], None]
) -> Mapping[str, Any]:
    """Ask the supervisor that serves from a state directory, and wait for its last word.

    Parameters
    ----------
    question : mapping
        With ``ask``: what for.
    tell : callable
        Is given each line that it says meanwhile.

    Raises
    ------
    UnreachableError
        If none serves from there, or it goes away.
    RefusedError
        If it refuses.
    """
    with _reached(places) as line:
        line.sendall(json.dumps(dict(question)).encode() + b"\n")
        line.settimeout(None)  # it may take as long as a download does
        for told in _lines(line):
            if "told" in told:
                tell(str(told["told"]))
                continue
            end: Mapping[str, Any] = told["end"]
            if "refused" in end:
                raise RefusedError(str(end["refused"]), int(end["exit_code"]))
            return end
    raise UnreachableError(
        f"The supervisor of {places.root} went away before it had answered. 'shadowserve challengers "
        "list' says what has come of it."
    )


def _reached(places: Places) -> socket.socket:
    try:
        return unix_socket.connect(places.desk, timeout_s=REACH_S)
    except OSError as error:
        if running(places) is None:
            raise UnreachableError(
                f"Nothing is being served from {places.root}. Start 'shadowserve serve', or give --state-dir."
            ) from error
        raise UnreachableError(
            f"The supervisor of {places.root} does not answer: it is starting or being stopped, or an "
            "earlier release. Try again; if it stays so, restart it."
        ) from error


def _lines(line: socket.socket) -> Iterator[Mapping[str, Any]]:
    held = b""
    try:
        while came := line.recv(2**16):
            held += came
            *whole, held = held.split(b"\n")
            yield from (json.loads(one) for one in whole)
    except OSError:
        return
