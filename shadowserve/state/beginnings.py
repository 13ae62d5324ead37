"""The beginnings of a deployment's processes: what each start was made of, left for `serve --verbose`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.host import stages
from shadowserve.state.files import write_whole


@dataclass(frozen=True, slots=True)
class Beginning:
    """One process's start.

    Parameters
    ----------
    began_ns : int or None
        On the monotonic clock; None where the system does not tell.
    stages : tuple of (str, int)
        What ended when, in this order, on the same clock.
    """

    began_ns: int | None
    stages: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Beginning:
        """Read what `stages.told` returns."""
        began_ns = told["began_ns"]
        ends = tuple((str(stage), int(ended_ns)) for stage, ended_ns in told["stages"])
        return cls(None if began_ns is None else int(began_ns), ends)

    def parts(self) -> list[tuple[str, float | None]]:
        """Return each stage with its seconds; the first one's are None where nobody knows its begin.

        Examples
        --------
        >>> Beginning(0, (("imports", 10**9), ("loading", 3 * 10**9))).parts()
        [('imports', 1.0), ('loading', 2.0)]
        """
        ends = [self.began_ns, *(ended_ns for _, ended_ns in self.stages)]
        return [
            (stage, None if before is None else (ended_ns - before) / 1e9)
            for (stage, ended_ns), before in zip(self.stages, ends, strict=False)
        ]


def tell(folder: Path, process: str) -> None:
    """Leave this process's stages so far; a full disk keeps nothing, and hinders nobody."""
    with contextlib.suppress(OSError):
        write_whole(folder / f"began-{process}.json", json.dumps(stages.told()))


def read(folder: Path, process: str) -> Beginning | None:
    """Return what a process left; None where it has not yet, or not legibly."""
    try:
        return Beginning.of(json.loads((folder / f"began-{process}.json").read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clear(folder: Path) -> None:
    """Take away what the processes of an ended start left: the next one's are others."""
    for path in folder.glob("began-*.json"):
        path.unlink(missing_ok=True)
