"""Deaths: which requests earlier processes of a lane did not survive, and what becomes of them.

A request that was in hand at one death is tried once more, alone. The second death is its outcome;
nothing is tried a third time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowserve.comparison.failures import Poison
from shadowserve.records import Comparison, Outcome, Request
from shadowserve.state.death import Death
from shadowserve.state.inflight import TYPING
from shadowserve.state.lane_file import LaneState

FATAL = 2
_OUTCOMES = {
    "deadline": Outcome.TIMED_OUT,
    "memory": Outcome.CRASHED,
    "crash": Outcome.CRASHED,
}


class Deaths:
    """How often the lane's process died with which request in hand.

    Parameters
    ----------
    state : LaneState
        Where they are counted.
    file : Path
        Written by the supervisor when the last process died; read once, then deleted.
    """

    def __init__(self, state: LaneState, file: Path) -> None:
        self._state = state
        if file.exists():
            # Recorded before the note goes: one that is read twice counts once.
            state.record_death(Death.read(file))
            file.unlink()
        self._counted = state.deaths()

    def count(self, death: Death) -> None:
        """Count the death of a scorer against what it had in hand."""
        self._state.record_death(death)
        self._counted = self._state.deaths()

    def of(self, position: int) -> int:
        """Return how many processes died with the request in hand; `FATAL` are enough."""
        return self._counted.get(position, (0, ""))[0]

    @property
    def waiting(self) -> bool:
        """Whether requests that were in hand at a death are still to be tried."""
        return bool(self._counted)

    def poison(
        self,
        request: Request,
        *,
        sizes: Mapping[str, int],
        steps: Sequence[tuple[str, tuple[str, ...]]],
    ) -> Poison:
        """Describe a request that was fatal.

        Parameters
        ----------
        sizes : mapping of column to int
            Sizes of its inputs, as far as they may be kept.
        steps : sequence of (name, columns)
            The plan's, to name the one that was running.
        """
        detail = self._state.death_detail(request.position)
        index = detail.get("step", -1)
        return Poison(
            position=request.position,
            request_id=request.request_id,
            cause=self._counted[request.position][1],
            step="schema" if index == TYPING else _named(steps, index),
            worked_ms=float(detail.get("worked_ms", 0.0)),
            sizes=dict(sizes),
        )


def _named(steps: Sequence[tuple[str, tuple[str, ...]]], index: int) -> str | None:
    return steps[index][0] if 0 <= index < len(steps) else None


def ended(poison: Poison, request: Request, *, window: int) -> Comparison:
    """Return the record of a request that was fatal: at the deadline it counts as that, at least."""
    outcome = _OUTCOMES[poison.cause]
    times: dict[str, Any] = {}
    if outcome is Outcome.TIMED_OUT:
        steps = {poison.step: poison.worked_ms} if poison.step else {}
        times = {"alone": True, "lane_ms": poison.worked_ms, "lane_steps": steps}
    return Comparison(
        position=request.position,
        request_id=request.request_id,
        arrived_wall_ns=request.arrived_wall_ns,
        n_rows=request.n_rows,
        window=window,
        outcome=outcome,
        sizes=poison.sizes,
        **{"alone": False, **times},
    )
