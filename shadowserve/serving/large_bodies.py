"""Large bodies of a worker: handed to its body parser, and back as typed rows.

One process parses for a worker, one body at a time; it is started when the first body comes that is not
small, and until it has begun only bodies of megabytes wait for it. A body whose parser dies is handed to
another, once; the second death is its refusal. Where no parser can be started, bodies are parsed here, as
slowly as that is for everybody else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from shadowserve.errors import RequestError
from shadowserve.schema.plain import PlainSchema
from shadowserve.schema.schema import Schema
from shadowserve.serving import parser_line
from shadowserve.serving.parser_line import Asked, Beginning, Told
from shadowserve.wire.jsontext import refuse_nan
from shadowserve.wire.protocol import Parsed, Protocol

APART = 256 * 2**10
"""Bytes; what is not smaller is parsed apart. Below, reading holds the interpreter for 12 ms at most, where a body
is little but brackets."""
WAITS = 2**20
"""Bytes; a smaller body does not wait for a parser that has still to begin, which takes a second."""
START_S = 60.0
PARSE_S = 60.0
AGAIN_S = 30.0
"""How long nothing is started after a parser that did not begin."""
MAX_DEATHS = 2

_DIED = (OSError, EOFError, pickle.UnpicklingError, struct.error)
"""What talking to a parser raises that has died, or does not answer in time."""
_log = logging.getLogger(__name__)


class _NoParser(Exception):  # noqa: N818 - a state, not a fault
    """No parser can be started."""


class ParserFaultError(Exception):
    """A parser met a fault of ours; the log names its type and place."""


class LargeBodies:
    """Parses bodies in a process of its own.

    Parameters
    ----------
    schema : Schema
        How rows are typed; a type hint is not tried there.
    model, version
        Whose answers the protocols carry.
    title : str
        Of the process.
    """

    def __init__(self, schema: Schema, *, model: str, version: int, title: str) -> None:
        # Read here it goes without the type hint too: that runs the model's code, on the model's own thread.
        self._schema = schema.without_hint()
        self._beginning = Beginning(PlainSchema.of(schema), model, version, title, os.getpid())
        # One thread, which lives as long as the worker: Linux ends a child with the thread that began it.
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._again_at = 0.0
        self._ready = self._starting = False

    def takes(self, n_bytes: int) -> bool:
        """Tell whether a body of so many bytes is to be parsed apart; start a parser where there is none.

        To be asked for each body that is not small: larger ones may follow it.
        """
        if not (self._ready or self._starting):
            self._starting = True
            self._hands.submit(self._try_start)
        return n_bytes >= (APART if self._ready else WAITS)

    async def parse(
        self, protocol: Protocol, body: bytes, content_type: str, *, strict: bool
    ) -> Parsed:
        """Read and type a body.

        Raises
        ------
        RequestError
            As the protocol's own parsing; or a 500, where two parsers died of it.
        ParserFaultError
        """
        call = partial(self._parse, protocol, body, content_type, strict=strict)
        return await asyncio.get_running_loop().run_in_executor(self._hands, call)

    def close(self) -> None:
        """End the parser."""
        if (process := self._process) is not None:
            process.kill()  # whatever the thread waits for is over then
        self._hands.submit(self._end)
        self._hands.shutdown()

    def _parse(self, protocol: Protocol, body: bytes, content_type: str, *, strict: bool) -> Parsed:
        for deaths in range(MAX_DEATHS):
            try:
                line = self._started()
            except _NoParser:
                if deaths:
                    break  # what has ended a parser does not come near the champion
                if strict:
                    refuse_nan(body)
                return protocol.timed_parse(body, content_type, self._schema)
            try:
                parser_line.send(line, Asked(protocol.name, content_type, strict), body)
                return self._answer(line)
            except (RequestError, ParserFaultError):
                raise
            except BaseException as error:
                self._end()  # whatever it was, what is left on the line is no answer to the next
                if not isinstance(error, _DIED):
                    raise
                _log.warning("the parser of large bodies ended (%s)", type(error).__name__)
                if isinstance(error, TimeoutError):
                    break  # a second one would take as long
        raise RequestError(
            "The body could not be read: what reads large bodies ended over it. "
            "Send fewer rows at a time.",
            code="internal_error",
            status=500,
        )

    def _answer(self, line: socket.socket) -> Parsed:
        told, _ = parser_line.head(line)
        if not isinstance(told, Told):
            raise EOFError("what came is no answer")
        reading = partial(parser_line.read, line)
        rows = None if told.rows is None else told.rows.rows(reading)
        if told.last:
            self._end()
        if told.refusal is not None:
            raise RequestError(**told.refusal)  # type: ignore[arg-type]
        if rows is None:
            _log.error("the parser of large bodies: %s", told.fault)
            raise ParserFaultError
        return Parsed(rows, told.echo, told.parse_ns, told.schema_ns)

    def _try_start(self) -> None:
        try:
            with suppress(_NoParser):
                self._started()
        finally:
            self._starting = False

    def _started(self) -> socket.socket:
        """Return the line to a parser that lives, as far as can be seen."""
        if self._line is not None and self._process is not None and self._process.poll() is None:
            return self._line
        self._end()
        if time.monotonic() < self._again_at:
            raise _NoParser
        try:
            return self._start()
        except (*_DIED, subprocess.SubprocessError) as error:
            self._end()
            self._again_at = time.monotonic() + AGAIN_S
            _log.warning(
                "no parser of large bodies could be started (%s): they are read here, and hold up others",
                type(error).__name__,
            )
            raise _NoParser from error

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair()
        self._line = ours
        ours.settimeout(START_S)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shadowserve.serving.body_parser", str(its.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
            )
        parser_line.send(ours, self._beginning)
        parser_line.head(ours)
        ours.settimeout(PARSE_S)
        self._ready = True
        return ours

    def _end(self) -> None:
        self._ready = False
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None
