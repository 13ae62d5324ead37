"""Former champions that rest: their workers stay loaded for a while and take no callers, for the way back."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from shadowserve.state.deployment import Deployment
from shadowserve.supervisor.workers import Workers

END_S = 10.0


@dataclass(slots=True)
class Resting:
    """One generation at rest.

    Parameters
    ----------
    workers : Workers
    deployment : Deployment
        What they served.
    until : float
        Monotonic; then they end, and their memory is free.
    """

    workers: Workers
    deployment: Deployment
    until: float
    ended_at: float | None = None

    def look(self) -> bool:
        """End them once their time is over, or one of them is gone; False once none is left."""
        children = self.workers.children
        now = time.monotonic()
        whole = all(child.running for child in children)
        if self.ended_at is None and (now > self.until or not whole):
            self.end()
        if self.ended_at is not None and now - self.ended_at > END_S:
            for child in children:
                child.kill()
        if any(child.running for child in children):
            return True
        self.workers.retire()
        return False

    def end(self) -> None:
        """Ask them to end."""
        self.ended_at = time.monotonic()
        for child in self.workers.children:
            child.signal(signal.SIGTERM)

    def can_serve(self, deployment: Deployment) -> bool:
        """Whether a deployment's champion is what these have loaded, as it would be loaded for it."""
        if self.ended_at is not None or not all(child.running for child in self.workers.children):
            return False
        own, theirs = self.deployment, deployment
        same = (own.champion.pin, own.champion.digest) == (
            theirs.champion.pin,
            theirs.champion.digest,
        )
        return same and _loading(own) == _loading(theirs)


def _loading(deployment: Deployment) -> tuple[object, ...]:
    """Return what of the options a loaded version depends on."""
    options = deployment.options
    return options.method, options.batch, options.probe, options.output_kind, options.one_job
