"""Whether requests of several callers may share a call of a version, and what has been shown of it.

A caller's answer must never depend on who else asked at that moment. So requests share a call only
where that is known by structure, where the team says so, or, if the team allows it, where recorded
requests have shown it. What was shown is remembered by the digest of a version's files. One mapped
byte, which every champion worker reads before each batch, begins and ends it in all of them at once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from shadowserve.state.files import mapped, write_whole

EARNED_ROWS = 1_000
"""Real rows that must have been answered alike in company before callers' requests share a call."""

UNDECIDED, EARNED, STOPPED = range(3)


@dataclass(frozen=True, slots=True)
class Sharing:
    """What is decided about a version when it is loaded.

    Parameters
    ----------
    mode : {"auto", "earned", "on", "off"}
        As the team asked with ``--batch``.
    able : bool
        Whether the signature lets any two requests be laid end to end.
    unknown : str or None
        The part that may look at a row's neighbours; None where it is known by structure that none
        does.
    differs : bool
        Whether the tries at the start answered a row differently alone and in company.
    probe : str
        How much was tried, as the team asked with ``--probe``.
    tries : int
        How often the model was called for it.
    warmed : tuple of int
        Rows of the calls that warmed the instance which serves.
    tried : str
        What it was tried on, in words.
    """

    mode: str = "auto"
    able: bool = True
    unknown: str | None = None
    differs: bool = False
    probe: str = "example"
    tries: int = 0
    warmed: tuple[int, ...] = ()
    tried: str = ""

    @property
    def batched(self) -> bool:
        """Whether requests share calls from the start."""
        # What was seen goes before what the team asked: --batch on cannot undo a wrong answer.
        if not self.able or self.differs or self.mode == "off":
            return False
        return self.mode == "on" or self.unknown is None

    @property
    def earnable(self) -> bool:
        """Whether requests begin to share calls once that is earned."""
        return self.able and not self.batched and not self.differs and self.mode == "earned"

    def rows(self, most: int) -> tuple[int, int, int]:
        """Return how many rows may share a call while the mark is undecided, earned and stopped."""
        # A stop ends also what was known by structure: it was seen to be wrong.
        begun = most if self.batched else 0
        return begun, most if self.batched or self.earnable else 0, 0

    @property
    def why(self) -> str:
        """Say in words what holds and why."""
        if self.mode == "off":
            return "row by row, as --batch off says"
        if not self.able:
            return "row by row: its signature does not fix every type and shape"
        if self.differs:
            return "row by row: at the start it answered a row differently alone and in company"
        if self.mode == "on":
            return "in batches, as --batch on says"
        if self.unknown is None:
            return "in batches: by its structure it looks at one row at a time"
        return f"row by row: {self.unknown} may look at a row's neighbours"

    @property
    def note(self) -> str:
        """Say the same as a note on the version."""
        return f"is served {self.why}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {**asdict(self), "warmed": list(self.warmed)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; what this release does not know is left out."""
        known = {name: values[name] for name in _names(cls) if name in values}
        return cls(**{**known, "warmed": tuple(known.get("warmed", ()))})


@dataclass(frozen=True, slots=True)
class Shown:
    """What recorded requests have shown of a version, whoever scored them.

    Parameters
    ----------
    rows : int
        Real rows that were answered in company as they were alone.
    rounded : int
        Rows that differed no further than single precision rounds.
    unsteady : int
        Rows whose answers differ from call to call, so that nothing can be shown of them.
    dependent : int
        Rows proven to depend on their neighbours.
    alone_ns, company_ns : int
        Time of a row alone and in company, summed over the rows that were tried in both.
    earned, stopped : str or None
        When, in UTC.
    """

    rows: int = 0
    rounded: int = 0
    unsteady: int = 0
    dependent: int = 0
    alone_ns: int = 0
    company_ns: int = 0
    earned: str | None = None
    stopped: str | None = None

    @property
    def faster(self) -> float | None:
        """Return how many times as many rows a batch would take in the same time; None if unknown."""
        return self.alone_ns / self.company_ns if self.company_ns else None

    @property
    def clean(self) -> bool:
        """Whether nothing speaks against sharing calls."""
        return not (self.rounded or self.unsteady or self.dependent)

    def story(self) -> str:
        """Say what was shown, and what it would bring."""
        if self.dependent:
            return f"{self.dependent} real rows depend on their neighbours (stopped {self.stopped})"
        if self.unsteady:
            return f"{self.unsteady} real rows are answered differently from call to call: nothing can be shown"
        if self.rounded:
            return (
                f"{self.rounded} real rows differ in the digits that single precision rounds, so it cannot be "
                "earned"
            )
        if not self.rows:
            return "nothing tried yet"
        gain = f"; about {self.faster:.1f} times the throughput" if self.faster else ""
        return f"{self.rows:,} real rows alike in company{gain}"


class Mark:
    """The byte that all workers see: undecided, earned or stopped.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing; what was marked before holds.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._map = mapped(path, 1)
        self.cell = memoryview(self._map)
        # A byte of another release, or of a damaged file, must not begin shared calls.
        if self.cell[0] not in (EARNED, STOPPED):
            self.cell[0] = UNDECIDED

    @property
    def value(self) -> int:
        """What is marked."""
        return self.cell[0]

    def earn(self) -> None:
        """Let requests share calls where the team allows it; never after a stop."""
        if self.cell[0] != STOPPED:
            self.cell[0] = EARNED

    def doubt(self) -> None:
        """Take back what was earned: something was seen of which nothing can be shown."""
        if self.cell[0] == EARNED:
            self.cell[0] = UNDECIDED

    def stop(self) -> None:
        """End it for good, for all workers."""
        self.cell[0] = STOPPED

    def close(self) -> None:
        """Unmap the file; the mark stays in it."""
        self.cell.release()
        self._map.close()


def remember(path: Path, shown: Shown) -> None:
    """Write what was shown beside the mark; a full disk is no reason not to go on."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(shown)))


def remembered(path: Path) -> Shown:
    """Read it back; nothing shown where nothing was left, or another release wrote it."""
    try:
        found = json.loads(path.read_text())
        return Shown(**{name: found[name] for name in _names(Shown) if name in found})
    except (OSError, ValueError, TypeError):
        return Shown()


def tell(path: Path, sharing: Sharing) -> None:
    """Leave what was decided for the start's lines and for status."""
    with contextlib.suppress(OSError):
        write_whole(path, json.dumps(sharing.to_dict()))


def told(path: Path) -> Sharing | None:
    """Read it back; None if nobody has loaded the version yet."""
    try:
        return Sharing.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
