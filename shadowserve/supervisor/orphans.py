"""Processes that a model started itself are killed when the supervisor has gone.

The kernel ends a killed supervisor's children, not theirs. A pool of processes that a version keeps would
go on holding memory and, forked from a worker, the port. So a small process waits for the supervisor's
end, clean or not, and then ends whatever still bears the start's token in its environment (Linux).

python -m shadowserve.supervisor.orphans TOKEN
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "SHADOWSERVE_START"
_PROCESSES = Path("/proc")
_LOOK_S = 0.05
_END_S = 5.0


class Sweeper:
    """The waiting process, as the supervisor has it.

    Parameters
    ----------
    token : str
        This start's, which all processes of the deployment inherit.
    """

    def __init__(self, token: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if _PROCESSES.is_dir():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shadowserve.supervisor.orphans", token],
                # Without the token, or it would end itself.
                env={name: value for name, value in os.environ.items() if name != VARIABLE},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id; 0 where there is none."""
        return 0 if self._process is None else self._process.pid

    def close(self) -> None:
        """Let it sweep, and wait until it has."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def end_all(token: str) -> int:
    """End every process that bears the token, and return how many that were.

    Parameters
    ----------
    token : str
        What `VARIABLE` is set to.
    """
    borne, ended = f"{VARIABLE}={token}".encode(), 0
    for place in _PROCESSES.iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                if borne in (place / "environ").read_bytes().split(b"\0"):
                    os.kill(int(place.name), signal.SIGKILL)
                    ended += 1
    return ended


def main(token: str) -> None:
    """Wait for the supervisor's end, then end what is left, and what that had just started."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the pipe is what counts
    sys.stdin.buffer.read()
    while end_all(token):
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main(sys.argv[1])
