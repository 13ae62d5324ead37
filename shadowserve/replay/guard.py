"""A look now and then, while requests are replayed, whether somebody else has come to be served."""

from __future__ import annotations

import threading
import time

from shadowserve.errors import ShadowserveError
from shadowserve.replay.account import Account

EVERY_S = 5.0


class Guard:
    """Asks the target every few seconds, in a thread of its own.

    Parameters
    ----------
    account : Account

    Attributes
    ----------
    came : bool
        Whether somebody else was served since it began.
    """

    def __init__(self, account: Account, *, every_s: float = EVERY_S) -> None:
        self._account = account
        self._every_s = every_s
        self._began = time.monotonic()
        self._over = threading.Event()
        self.came = False
        self._thread = threading.Thread(target=self._watch, name="replay-guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            asked = time.monotonic()
            try:
                age_s = self._account.own_age_s()
            except ShadowserveError:  # a target that is loaded may not say; the next look tells
                continue
            if age_s is not None and asked - age_s > self._began:
                self.came = True
                return
