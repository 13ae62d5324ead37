"""How many processes score for one version: ``--lane-processes N|auto``, and ``4=3`` for version 4 alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shadowserve.settings import spellings

AUTO = "auto"
_ONE = re.compile(r"(?:v?(\d+)=)?(auto|\d+)")
VARIABLE = "SHADOWSERVE_LANE_SCORERS"
"""Variable that tells a lane how many processes score for it, its own among them."""


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


def processes(given: Sequence[str], version: int, *, cpus: int, lanes: int) -> int:
    """Return how many processes score for a version.

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
    wanted = "1"
    for text in given:
        own, _, number = text.rpartition("=")
        if not own or int(own) == version:
            wanted = number
    return max(1, cpus // max(1, lanes)) if wanted == AUTO else int(wanted)
