"""A worker's body parser: a process that reads and types large bodies, and knows no model.

python -m shadowserve.serving.body_parser <descriptor>

Reading a body of some megabytes holds the interpreter for as long as that takes; in a process of its own it
holds nobody up. It answers on the socket that it inherits, one body after the other, and ends with it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from setproctitle import setproctitle

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of
from shadowserve.host.clock import own_bytes
from shadowserve.host.leash import tie_to_parent, watch_parent
from shadowserve.schema.plain import PlainRows
from shadowserve.schema.schema import Schema
from shadowserve.serving.parser_line import Asked, Beginning, Told, head, read, send
from shadowserve.wire.jsontext import refuse_nan
from shadowserve.wire.protocol import Protocol
from shadowserve.wire.protocols import protocols


def main(arguments: Sequence[str]) -> int:
    """Parse until the worker goes away."""
    tie_to_parent()
    # A stop is the worker's to hear: it finishes what it has, and this process ends with its line.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    line = socket.socket(fileno=int(arguments[0]))
    line.set_inheritable(False)
    try:
        beginning, _ = head(line)
        if not isinstance(beginning, Beginning):
            return 2
        watch_parent(beginning.parent)
        setproctitle(beginning.title)
        schema = beginning.schema.schema()
        known = protocols(beginning.model, beginning.version)
        send(line, os.getpid())
        while True:
            asked, size = head(line)
            body = bytes(read(line, size))
            if not isinstance(asked, Asked):
                return 2
            told, parts = _told(known, body, asked, schema)
            told = replace(told, last=(own_bytes() or 0) > beginning.most_memory)
            send(line, told, *parts)
            if told.last:
                return 0
            del body, parts  # not held until the next one has come
    except (EOFError, OSError):
        return 0  # the worker has ended


def _told(
    known: Mapping[str, Protocol], body: bytes, asked: Asked, schema: Schema
) -> tuple[Told, list[bytes]]:
    """Parse one body; return what is answered, and what follows it."""
    try:
        if asked.strict:
            refuse_nan(body)
        parsed = known[asked.protocol].timed_parse(body, asked.content_type, schema)
        rows, parts = PlainRows.of(parsed.rows)
        return Told(rows, parsed.echo, parsed.parse_ns, parsed.schema_ns), parts
    except RequestError as error:
        return Told(refusal={"message": str(error), **_facts(error)}), []
    except Exception as error:
        fault = fault_of(error)
        return Told(fault=f"{fault.type} at {fault.frame}"), []


def _facts(error: RequestError) -> dict[str, object]:
    return {
        "code": error.code,
        "column": error.column,
        "row": error.row,
        "status": error.status,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
