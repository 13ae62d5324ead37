"""A deployment as it is now, for processes that outlive a change of its challengers.

Its file is read again only when it is another one: the supervisor replaces it whole.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from shadowserve.errors import ShadowserveError
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places


class Followed:
    """One deployment, whoever has joined and left since it was first read.

    Parameters
    ----------
    places : Places
        Where its file lies. Another deployment's file there is none of its concern.
    deployment : Deployment
        As it was read first.
    """

    def __init__(self, places: Places, deployment: Deployment) -> None:
        self._path, self._places = places.deployment, places
        self._known = deployment
        self._seen: tuple[int, int] | None = None
        self._reading = threading.Lock()

    def now(self) -> Deployment:
        """Return the deployment as its file has it; as it was known where that cannot be read."""
        with self._reading:
            with suppress(OSError, ShadowserveError):
                found = self._path.stat()
                sign = (found.st_ino, found.st_mtime_ns)
                if sign != self._seen:
                    read = deployments.read(self._places)
                    if read is not None and read.id == self._known.id:
                        self._known = read
                    self._seen = sign
            return self._known
