"""Whereabouts: which process of which machine, told so that another one can see whether it is gone.

A process id alone does not do: ids come back, and another machine or container has the same ones.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_OWN_IDS = _PROC / "self/ns/pid"
_ENDED = ("Z", "X")
"""States of a process that has ended and that its parent has not asked for yet."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A process, and where its id means it.

    Parameters
    ----------
    host : str
        The machine's name, for people.
    place : str
        Start of the machine and container; only there does `pid` mean this process.
    pid : int
    began : str
        When it began, as the kernel counts; empty where that is not known.
    """

    host: str
    place: str
    pid: int
    began: str

    @classmethod
    def own(cls) -> Self:
        """Return this process's."""
        return cls(socket.gethostname(), _place(), os.getpid(), _state_of(os.getpid())[1])

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Self:
        """Read what `to_dict` returned; what is missing stays unknown."""
        pid = told.get("pid", "")
        return cls(
            told.get("host", ""),
            told.get("place", ""),
            int(pid) if pid.isdecimal() else 0,
            told.get("began", ""),
        )

    def to_dict(self) -> dict[str, str]:
        """Return it as texts."""
        return {name: str(value) for name, value in asdict(self).items()}

    @property
    def is_gone(self) -> bool | None:
        """Whether the process has ended; None where that cannot be seen from here."""
        if not self.pid or not self.place or self.place != _place():
            return None
        state, began = _state_of(self.pid)
        if state in ("", *_ENDED):
            return True
        if self.began and not began:
            return None  # a process has this id, and whether it is this one is not shown to us
        return bool(self.began and began and began != self.began)


def _place() -> str:
    with contextlib.suppress(OSError):
        return f"{_BOOT.read_text().strip()} {_OWN_IDS.readlink()}"
    return socket.gethostname()


def _state_of(pid: int) -> tuple[str, str]:
    """Return a process's state and its beginning; an empty state where there is none, `?` where it is not told."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        # Elsewhere than on Linux, and where the processes of others are hidden (hidepid), it may run all the same.
        return ("?" if _is_there(pid) else ""), ""
    # The name stands in brackets and may hold anything, brackets too.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True
