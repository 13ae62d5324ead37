"""How many processes score for one version: ``--lane-processes N|auto``, and ``4=3`` for version 4 alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shadowserve.settings import spellings

AUTO = "auto"
_ONE = re.compile(r"(?:v?(\d+)=)?(auto|\d+)")
VARIABLE = "SHADOWSERVE_LANE_SCORERS"
"""Variable that tells a lane how many processes score for it at most, its own among them."""
AS_NEEDED = "SHADOWSERVE_LANE_AS_NEEDED"
"""Variable that is set where a lane takes and gives back processes as its traffic needs."""


def read(value: object) -> tuple[str, ...]:
    """Read numbers of processes, each for all versions or for one.

    Raises
    ------
    ValueError
        Anything but a whole number of at least 1, or ``auto``, with or without a version before it.

    Examples
    --------
    >>> read("auto,v4=3"), read(["2"])
    (('auto', '4=3'), ('2',))
    """
    found = []
    for text in spellings.texts(value):
        match = _ONE.fullmatch(text)
        if match is None or match[2].strip("0") == "":
            raise ValueError(
                f"{text!r} is no number of processes. Write 2, auto, or 4=3 for version 4."
            )
        found.append(text.removeprefix("v"))
    return tuple(found)


def is_auto(given: Sequence[str], version: int) -> bool:
    """Whether a version takes as many processes as its traffic needs.

    Examples
    --------
    >>> is_auto(("auto", "4=3"), 3), is_auto(("auto", "4=3"), 4)
    (True, False)
    """
    return _wanted(given, version) == AUTO


def threads_for(given: Sequence[str], *, lanes: int) -> int | None:
    """Return among how many processes of all lanes threads are shared, before versions are known.

    Threads are fixed at the start, alike in all roles, for as many processes as there may ever be. None
    where any lane may take as many as there are CPUs: then each has one thread.

    Examples
    --------
    >>> threads_for(("1",), lanes=2), threads_for(("2", "4=3"), lanes=2), threads_for(("4=auto",), lanes=2)
    (2, 6, None)
    """
    numbers = [text.rpartition("=")[2] for text in given]
    if AUTO in numbers:
        return None
    return max([1, *map(int, numbers)]) * lanes


def _wanted(given: Sequence[str], version: int) -> str:
    wanted = "1"
    for text in given:
        own, _, number = text.rpartition("=")
        if not own or int(own) == version:
            wanted = number
    return wanted


def processes(given: Sequence[str], version: int, *, cpus: int, lanes: int) -> int:
    """Return how many processes score for a version, at most.

    Parameters
    ----------
    given : sequence of str
        As `read` returns them; the last that speaks of the version holds.
    version : int
    cpus, lanes : int
        CPUs that lanes may use, and how many lanes share them: what ``auto`` goes by.

    Examples
    --------
    >>> [processes(("auto", "4=3"), v, cpus=8, lanes=2) for v in (3, 4)], processes((), 4, cpus=8, lanes=2)
    ([4, 3], 1)
    """
    wanted = _wanted(given, version)
    return max(1, cpus // max(1, lanes)) if wanted == AUTO else int(wanted)
