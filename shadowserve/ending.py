"""How a process ended, in words that lead on."""

from __future__ import annotations

import signal

_NATIVE = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGSYS", "SIGTRAP")


FILES_CLOSED = 78
"""How a process ends whose model closed its files: what it would write might reach another's."""


def ending(code: int | None) -> str:
    """Say how a process ended.

    Parameters
    ----------
    code : int or None
        Exit code, negative for a signal; None where nobody knows.

    Examples
    --------
    >>> ending(-11), ending(-15), ending(3)
    ('crashed in native code: SIGSEGV', 'ended by SIGTERM', 'exit code 3')
    """
    if code == FILES_CLOSED:
        return "its model closed the files that the process had open"
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return "killed by SIGKILL, from outside or for want of memory"
    return f"crashed in native code: {name}" if name in _NATIVE else f"ended by {name}"
