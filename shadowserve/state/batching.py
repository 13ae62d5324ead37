"""Whether a version's calls are shared, as it stands now: settled at load, and earned or stopped since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.records import Role
from shadowserve.state.places import Places
from shadowserve.state.sharing import (
    EARNED,
    EARNED_ROWS,
    STOPPED,
    UNDECIDED,
    Sharing,
    Shown,
    remembered,
    told,
)


@dataclass(frozen=True, slots=True)
class Batching:
    """Whether calls of a version are shared now, why, and what has been shown of it.

    Parameters
    ----------
    role, version : str, int
        As which it was loaded, and which one it is.
    decided : Sharing
        What loading settled: whether calls may be shared, and why.
    shown : Shown
        What recorded requests have shown since, over all workers and restarts.
    marked : int
        What its files are marked with: still undecided, earned or stopped. It is what workers obey.
    """

    role: str
    version: int
    decided: Sharing
    shown: Shown
    marked: int

    @property
    def shared(self) -> bool:
        """Whether callers' requests share calls now."""
        # The mark goes before what was decided at load: it may have changed under the running
        # workers.
        return self.decided.rows(1)[self.marked] > 0

    def __str__(self) -> str:
        decided, shown = self.decided, self.shown
        if self.marked == STOPPED:
            return f"row by row: {shown.story()}"
        if self.shared and not decided.batched:
            return f"in batches since {shown.earned}, earned by real requests: {shown.story()}"
        if decided.batched or not decided.able or decided.differs or decided.mode == "off":
            return decided.why
        if decided.mode == "earned":
            return f"{decided.why}; to be earned by {EARNED_ROWS:,} real rows: {shown.story()}"
        return f"{decided.why}; {shown.story()} (--batch earned)"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        shown, decided = self.shown, self.decided
        return {
            "role": self.role,
            "version": self.version,
            "mode": decided.mode,
            "shared": self.shared,
            "why": str(self),
            "calls_at_start": decided.tries + len(decided.warmed),
            "rows_alike": shown.rows,
            "rows_rounded": shown.rounded,
            "rows_unsteady": shown.unsteady,
            "rows_dependent": shown.dependent,
            "faster": shown.faster,
            "earned": shown.earned,
            "stopped": shown.stopped,
        }


def batching(
    places: Places, role: Role, version: int, *, digest: str | None, method: str
) -> Batching | None:
    """Tell what holds for a version; None while nobody has loaded it."""
    decided = told(places.sharing(role, version))
    if decided is None:
        return None
    shown = remembered(places.shown(digest, method))
    return Batching(role.value, version, decided, shown, _marked(places.mark(digest, method)))


def _marked(path: Path) -> int:
    """Read a mark without mapping it."""
    try:
        found = path.read_bytes()[:1]
    except OSError:
        return UNDECIDED
    return found[0] if found and found[0] in (EARNED, STOPPED) else UNDECIDED
