"""Attempts: what a full disk or a locked file may prevent is told once, and tried again at the next turn."""

from __future__ import annotations

from collections.abc import Callable

from shadowserve.errors import ModelError
from shadowserve.faults import fault_of


class Attempts:
    """Does what may fail for now.

    Parameters
    ----------
    say : callable
        Tells the user, one line a call.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = ""

    def attempt(self, look: Callable[[], None]) -> None:
        """Do it; whatever fails is told, unless it is what was told last.

        Raises
        ------
        ModelError
            Since no further turn mends that.
        """
        try:
            look()
        except ModelError:
            raise
        except Exception as error:
            fault = fault_of(error)
            told = f"{fault.type} at {fault.frame}; it is tried again."
            if told != self._told:
                self._told = told
                self._say(told)
