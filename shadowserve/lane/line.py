"""A line between two lanes: short messages both ways, through a pair of pipes."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from math import nan
from pathlib import Path

_MESSAGE = struct.Struct("<5qd")


class Word(IntEnum):
    """What a message says."""

    COME = 1  # challenger: score this one with me
    HERE = 2  # control: I have it, and wait
    YOURS = 3  # challenger: I have scored, your turn
    DONE = 4  # control: I have scored
    NO = 5  # control: not this one


@dataclass(frozen=True, slots=True)
class Message:
    """One message of fixed size.

    Parameters
    ----------
    word : Word
    position : int
        The request.
    pid : int
        Of who sends it.
    flag : int
        COME: whether the challenger goes first. DONE: whether the control was warm.
    until_ns : int
        COME: when the challenger has given up.
    ms : float
        DONE: the control's time; NaN where it failed.
    """

    word: Word
    position: int
    pid: int = field(default_factory=os.getpid)
    flag: int = 0
    until_ns: int = 0
    ms: float = nan


class Line:
    """Both directions between two lanes: a pipe by name each, of which one is read here.

    Parameters
    ----------
    incoming, outgoing : Path
        Created if missing.
    """

    def __init__(self, incoming: Path, outgoing: Path) -> None:
        self._in, self._out = (_pipe(path) for path in (incoming, outgoing))

    def fileno(self) -> int:
        """Return the descriptor that is read, for whoever waits for several lines."""
        return self._in

    def say(self, message: Message) -> None:
        """Send a message; to one who has not read for long nothing more is sent."""
        m = message
        with suppress(BlockingIOError):
            os.write(
                self._out,
                _MESSAGE.pack(m.word, m.position, m.pid, m.flag, m.until_ns, m.ms),
            )

    def read(self) -> list[Message]:
        """Return what has come, without waiting."""
        with suppress(BlockingIOError):
            raw = os.read(self._in, 1024 * _MESSAGE.size)
            whole = len(raw) // _MESSAGE.size * _MESSAGE.size
            return [Message(Word(w), *rest) for w, *rest in _MESSAGE.iter_unpack(raw[:whole])]
        return []

    def wait(self, seconds: float) -> bool:
        """Wait until something can be read; False if nothing came."""
        return bool(poll([self], seconds))

    def close(self) -> None:
        """Close both directions."""
        os.close(self._in)
        os.close(self._out)


def _pipe(path: Path) -> int:
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    # Open for both directions: neither lane waits for the other, nor sees an end when it restarts.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def poll(lines: Sequence[Line], seconds: float) -> list[int]:
    """Wait until something can be read from any of the lines; return their descriptors."""
    waiting = select.poll()
    for line in lines:
        waiting.register(line.fileno(), select.POLLIN)
    return [fd for fd, _ in waiting.poll(max(0.0, seconds) * 1e3)]
