"""Many bodies at once: requests of one row each are typed in one go, each as it would be by itself.

To type a value costs little; what costs is to begin. So the rows of many requests are laid out by column
first. Where one of them is refused, the others are typed in halves without it, and it is typed by itself, which
says what was wrong with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire.protocol import Parsed, Protocol

FEWEST = 4
"""Of fewer nothing is gained."""


def parse_all(
    protocol: Protocol, bodies: Sequence[tuple[bytes, str]], schema: Schema
) -> list[Parsed | None]:
    """Read and type bodies.

    Parameters
    ----------
    protocol : Protocol
    bodies : sequence of (body, content type)
    schema : Schema

    Returns
    -------
    list of Parsed or None
        None where `Protocol.timed_parse` has to be asked: more rows than one, parameters, other forms, and
        whatever is refused. What typing took is shared evenly.
    """
    found: list[Parsed | None] = [None] * len(bodies)
    record_of = protocol.record
    if record_of is None or not schema.types_together or schema.params or len(bodies) < FEWEST:
        return found
    records: list[dict[str, Any]] = []
    places: list[int] = []
    began_ns = time.monotonic_ns()
    for at, (body, content_type) in enumerate(bodies):
        try:
            record = record_of(protocol.read_body(body, content_type))
        except Exception:  # noqa: S112 - it is read again by itself, which tells what is wrong
            continue
        if record is not None:
            records.append(record)
            places.append(at)
    if len(records) < FEWEST:
        return found
    read_ns = time.monotonic_ns()
    typed = _halving(records, schema)
    parse_ns = (read_ns - began_ns) // len(bodies)
    schema_ns = (time.monotonic_ns() - read_ns) // len(records)
    for at, rows in zip(places, typed, strict=True):
        if rows is not None:
            found[at] = Parsed(rows, None, parse_ns, schema_ns)
    return found


def outcomes(
    bodies: Sequence[tuple[Protocol, bytes, str]], schema: Schema
) -> list[Parsed | BaseException]:
    """Read and type bodies, each of which is read once.

    Parameters
    ----------
    bodies : sequence of (protocol, body, content type)
    schema : Schema

    Returns
    -------
    list of Parsed or BaseException
        What `Protocol.timed_parse` returns or raises for each.
    """
    ends: list[Any] = [None] * len(bodies)
    read: list[tuple[int, Any, int]] = []
    lone: list[tuple[int, dict[str, Any], int]] = []
    together = schema.types_together and not schema.params
    for at, (protocol, body, content_type) in enumerate(bodies):
        began_ns = time.monotonic_ns()
        try:
            given = protocol.read_body(body, content_type)
            record = protocol.record(given) if together and protocol.record is not None else None
        except BaseException as error:
            ends[at] = error
            continue
        read_ns = time.monotonic_ns() - began_ns
        read.append((at, given, read_ns))
        if record is not None:
            lone.append((at, record, read_ns))
    if len(lone) >= FEWEST:
        began_ns = time.monotonic_ns()
        typed = _halving([record for _, record, _ in lone], schema)
        each_ns = (time.monotonic_ns() - began_ns) // len(lone)
        for (at, _, read_ns), rows in zip(lone, typed, strict=True):
            ends[at] = None if rows is None else Parsed(rows, None, read_ns, each_ns)
    for at, given, read_ns in read:
        if ends[at] is None:
            ends[at] = _typed(bodies[at][0], given, schema, read_ns)
    return ends


def _typed(protocol: Protocol, given: Any, schema: Schema, read_ns: int) -> Parsed | BaseException:
    began_ns = time.monotonic_ns()
    try:
        rows, echo = protocol.type(given, schema)
    except BaseException as error:
        return error
    return Parsed(rows, echo, read_ns, time.monotonic_ns() - began_ns)


def _halving(records: Sequence[dict[str, Any]], schema: Schema) -> list[Rows | None]:
    """Type records; None for those that have to be typed by themselves."""
    rows = schema.type_singly(records)
    if rows is not None:
        return list(rows)
    if len(records) == 1:
        return [None]
    middle = len(records) // 2
    return _halving(records[:middle], schema) + _halving(records[middle:], schema)
