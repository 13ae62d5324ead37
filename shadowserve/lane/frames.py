"""What a lane and its scorers say to each other: bodies one way, observations the other.

A frame is two lengths, a head of JSON, and bytes laid end to end. The bodies are the journal's own, so that
a scorer types them itself. Nothing is unpickled: a model may have written into its process's memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson

from shadowserve.records import Fault, Observation, Request, Times

_LENGTHS = struct.Struct("<II")


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, read: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Take in what was read and yield the head and the bytes of each frame that is whole."""
        self._held += read
        while len(self._held) >= _LENGTHS.size:
            head, rest = _LENGTHS.unpack_from(self._held)
            end = _LENGTHS.size + head + rest
            if len(self._held) < end:
                return
            at = _LENGTHS.size + head
            yield orjson.loads(self._held[_LENGTHS.size : at]), bytes(self._held[at:end])
            del self._held[:end]


def frame(head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """Return a frame.

    Examples
    --------
    >>> list(Frames().feed(frame({"number": 1}, [b"ab", b"c"])))
    [({'number': 1}, b'abc')]
    """
    told, rest = orjson.dumps(head), b"".join(parts)
    return _LENGTHS.pack(len(told), len(rest)) + told + rest


def of_requests(requests: Sequence[Request]) -> tuple[list[Any], list[bytes]]:
    """Return what a scorer has to know of requests, for a head, and their bodies."""
    bodies = [one.body or b"" for one in requests]
    told = [
        [one.position, one.protocol, one.content_type, one.arrived_ns, len(body)]
        for one, body in zip(requests, bodies, strict=True)
    ]
    return told, bodies


def requests_of(told: Sequence[Sequence[Any]], rest: bytes) -> list[Request]:
    """Read what `of_requests` wrote; what a scorer need not know is empty."""
    made, at = [], 0
    for position, protocol, content_type, arrived_ns, length in told:
        made.append(
            Request(
                position=position, request_id="", arrived_wall_ns=0, arrived_ns=arrived_ns,
                protocol=protocol, content_type=content_type, body=rest[at : at + length], status=0,
                answer=b"", n_rows=0, times=b"",
            )
        )  # fmt: skip
        at += length
    return made


def of_observations(seen: Sequence[Observation]) -> tuple[list[Any], list[bytes]]:
    """Return observations for a head, and the bytes that go with them."""
    told: list[Any] = []
    parts: list[bytes] = []
    for one in seen:
        scores = None if one.scores is None else np.ascontiguousarray(one.scores, dtype="<f8")
        own = (
            one.answer or b"",
            b"" if scores is None else scores.tobytes(),
            one.times.pack() if one.times else b"",
        )
        told.append(
            {
                "lengths": [len(part) for part in own],
                "answered": one.answer is not None,
                "shape": None if scores is None else scores.shape,
                "fault": None if one.fault is None else asdict(one.fault),
                "inner": one.inner,
                "starved_ns": one.starved_ns,
                "nonfinite": one.nonfinite,
            }
        )
        parts += own
    return told, parts


def observations_of(told: Sequence[Mapping[str, Any]], rest: bytes) -> list[Observation]:
    """Read what `of_observations` wrote."""
    made, at = [], 0
    for one in told:
        cut = []
        for length in one["lengths"]:
            cut.append(rest[at : at + length])
            at += length
        answer, scores, times = cut
        made.append(
            Observation(
                answer=answer if one["answered"] else None,
                scores=np.frombuffer(scores, dtype="<f8").reshape(one["shape"])
                if one["shape"] is not None
                else None,
                fault=None if one["fault"] is None else Fault(**one["fault"]),
                times=Times.unpack(times) if times else None,
                inner=tuple((name, tuple(columns), *ns) for name, columns, *ns in one["inner"]),
                starved_ns=one["starved_ns"],
                nonfinite=one["nonfinite"],
            )
        )
    return made
