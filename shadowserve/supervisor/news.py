"""What the supervisor tells of the evidence: at the start, when it changes, and at the end."""

from __future__ import annotations

from dataclasses import dataclass

from shadowserve.evidence.outstanding import outstanding
from shadowserve.state import arrival
from shadowserve.state.arrival import Arrival
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places


@dataclass(slots=True)
class EvidenceNews:
    """Tells a change once: that evidence waits and why, and that it arrives again.

    Parameters
    ----------
    places : Places
        Where the evidence writer notes, in `arrival`, what waits and why.
    """

    places: Places
    _told: str = ""

    def look(self) -> str | None:
        """Return a line if something is new, None if not."""
        seen = arrival.read(self.places.arrival)
        sign = _sign(seen)
        if sign == self._told or (not sign and not self._told):
            return None
        self._told = sign
        return line(seen) if sign else f"Evidence       arrives again: {seen}"


def line(seen: Arrival) -> str:
    """Return how evidence fares, as a line of a start."""
    return f"Evidence       {seen}"


def last_words(places: Places, deployment: Deployment) -> str:
    """Return what a stop says last: whether all has arrived, and if not how much, why and what then.

    Raises
    ------
    UnreadableError
        If a lane's file cannot be read.
    """
    n = outstanding(places, deployment)
    if not n:
        return "Evidence       all windows have arrived in MLflow."
    seen = arrival.read(places.arrival)
    have = "has" if n == 1 else "have"
    why = f" {seen.reason}" if seen.troubled else ""
    return (
        f"Evidence       {arrival.windows(n)} {have} not arrived in MLflow.{why} The next start from "
        f"{places.root} delivers them, whatever it serves."
    )


def _sign(seen: Arrival) -> str:
    """Return what makes two readings the same news; counts that grow are none."""
    return f"{seen.state} {seen.reason}" if seen.troubled else ""
