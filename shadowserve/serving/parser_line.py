"""The line between a worker and its body parser: what either says, and how it is cut.

A message is two lengths, a pickled head, and bytes as they are. What a parser says may be unpickled: it runs
no code of a model's.
"""

from __future__ import annotations

import pickle
import socket
import struct
from dataclasses import dataclass

from shadowserve.schema.plain import PlainRows, PlainSchema

LENGTHS = struct.Struct("<II")
"""Before each message: how many bytes its head has, and its body."""
MOST_MEMORY = 2**30


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a parser is told first.

    Parameters
    ----------
    model, version
        Whose answers the protocols carry.
    title : str
        Of the process.
    parent : int
        The worker's process.
    most_memory : int
        Bytes; a parser that holds more ends after its answer, and another takes its place.
    """

    schema: PlainSchema
    model: str
    version: int
    title: str
    parent: int
    most_memory: int = MOST_MEMORY


@dataclass(frozen=True, slots=True)
class Asked:
    """What goes before a body; `strict` as ``--strict-json``."""

    protocol: str
    content_type: str
    strict: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What is answered: rows, whose parts follow; or a refusal; or the type and place of a fault of ours.

    `last` says that no more is answered.
    """

    rows: PlainRows | None = None
    echo: str | None = None
    parse_ns: int = 0
    schema_ns: int = 0
    refusal: dict[str, object] | None = None
    fault: str | None = None
    last: bool = False


def read(line: socket.socket, n_bytes: int) -> bytearray:
    """Return the next bytes of a line.

    Raises
    ------
    EOFError
        If it ends before.
    """
    held = bytearray(n_bytes)
    view, at = memoryview(held), 0
    while at < n_bytes:
        came = line.recv_into(view[at:])
        if not came:
            raise EOFError("the other end has gone")
        at += came
    view.release()
    return held


def send(line: socket.socket, head: object, *parts: bytes) -> None:
    """Send a message: its head, and what follows as it is."""
    told = pickle.dumps(head, protocol=5)
    size = sum(map(len, parts))
    line.sendall(LENGTHS.pack(len(told), size) + told)
    for part in parts:
        line.sendall(part)


def head(line: socket.socket) -> tuple[object, int]:
    """Return the head of the next message, and how many bytes follow it."""
    length, size = LENGTHS.unpack(read(line, LENGTHS.size))
    return pickle.loads(read(line, length)), size
