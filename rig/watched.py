"""A watch on a deployment's ledger: read again and again as long as a block lasts, it balances at every moment."""

from __future__ import annotations

import threading
from typing import Any

from rig.served import Served
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger
from shadowserve.state.places import Places


class Watched:
    """Reads the ledger, and keeps what does not balance.

    Parameters
    ----------
    served : Served
    every_s : float
        What it waits between two readings.

    Attributes
    ----------
    n : int
        How often it was read.
    unbalanced : list of dict
        Ledgers that did not balance.
    """

    def __init__(self, served: Served, *, every_s: float = 0.05) -> None:
        self._places, self._every_s = Places(served.state), every_s
        self.n, self.unbalanced = 0, list[dict[str, Any]]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(self._every_s):
            deployment = deployments.read(self._places)
            if deployment is None:
                raise LookupError("the deployment's file has gone")
            found = ledger.read(self._places, deployment)
            self.n += 1
            if not found.balanced:
                self.unbalanced.append(found.to_dict())

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
