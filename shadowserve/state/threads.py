"""How many processes or threads each part of a loaded version uses here: told by who loaded it.

The supervisor loads no model, so that each process that has loaded one leaves a line for the start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from shadowserve.state.files import write_whole


class Part(Protocol):
    """A part of a model with an ``n_jobs``; `loading.Threads` is one."""

    @property
    def part(self) -> str:
        """Path within the model, empty for the model itself."""

    @property
    def n_jobs(self) -> int | None:
        """As set on the estimator."""

    @property
    def effective(self) -> int:
        """What it amounts to here."""


def line(parts: Iterable[Part]) -> str:
    """Say what each part asks for and gets, and how to do without; empty where none asks for any.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> line([SimpleNamespace(part="forest", n_jobs=-1, effective=2)])
    'forest n_jobs=-1 (2 here); --one-job makes it 1'
    """
    asking = [one for one in parts if one.n_jobs is not None]
    told = [f"{one.part or 'model'} n_jobs={one.n_jobs} ({one.effective} here)" for one in asking]
    if any(one.effective > 1 for one in asking):
        told.append("--one-job makes it 1")
    return "; ".join(told)


def tell(path: Path, parts: Iterable[Part]) -> None:
    """Leave the line at a place; a full disk is no reason not to serve."""
    with contextlib.suppress(OSError):
        write_whole(path, line(parts))


def told(path: Path) -> str:
    """Read it back; empty if nothing asks for any, or nothing was left."""
    try:
        return path.read_text()
    except OSError:
        return ""
