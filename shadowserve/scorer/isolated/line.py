"""The line to an isolated version: its process, started by the environment's interpreter, and what is asked of it.

The process that asks ends as the version's process ends, with the same signal or code. So whoever watches it
sees what it would see without isolation: a crash, a kill from outside, or too much memory, and what was in hand.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from shadowserve.ending import ending
from shadowserve.errors import AnswerError, ModelError
from shadowserve.faults import ToldFaultError
from shadowserve.host import clock
from shadowserve.host.clock import Starvation
from shadowserve.host.leash import tie_to_parent
from shadowserve.host.private_log import log_descriptor
from shadowserve.legible import legible
from shadowserve.records import Fault
from shadowserve.scorer.isolated import neutral
from shadowserve.scorer.isolated.folder import ENTRY
from shadowserve.state.inflight import GAVE_UP, NO_ROOM, TOO_LARGE

READ_BYTES = 1 << 20
MOST_NAME = 200
LOOK_S = 0.05
"""How long an answer is waited for until somebody looks at the process."""
_NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error)
"""What reading an answer raises that no such process of ours would write."""
_OF_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "VIRTUAL_ENV")
"""Variables that would lead the other interpreter, or what it starts, to this one's libraries."""

_log = logging.getLogger(__name__)


class Line:
    """A version's own process, and what goes to and fro.

    Parameters
    ----------
    python : Path
        The environment's interpreter.
    folder : Path
        Holds this package and nothing else.
    title : str
        Told as an argument, so that the process's command says what it is.
    ended : callable
        Is told the exit code where the process has ended, negative for a signal; does not return.

    Attributes
    ----------
    ended : callable
        As given; by default this process ends alike.
    starved : callable
        Is told how many nanoseconds of the running call the version's thread has waited for a CPU.
    memory_bytes : int or None
        Memory of its own beyond which the process is ended.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        *,
        title: str,
        ended: Callable[[int], Any] | None = None,
    ) -> None:
        self.ended = end_alike if ended is None else ended
        self.starved: Callable[[int], None] = lambda _: None
        self.memory_bytes: int | None = None
        self._own, theirs = socket.socketpair()
        self._held = neutral.Frames()
        with theirs, tempfile.TemporaryFile() as step:
            step.write(bytes(8))
            step.flush()
            self._step = memoryview(mmap.mmap(step.fileno(), 8)).cast("q")
            self._step[0] = -1
            self.process = _start(python, folder, theirs, step.fileno(), title)
        self._starvation = Starvation(self.process.pid)

    @property
    def pid(self) -> int:
        """Process id of the version."""
        return self.process.pid

    def ask(
        self,
        do: str,
        told: Mapping[str, Any] | None = None,
        parts: Sequence[bytes] = (),
        *,
        mark: Any = None,
    ) -> tuple[Any, list[Any]]:
        """Ask for one thing and wait for what is answered.

        Parameters
        ----------
        mark : sequence of int of length 1, optional
            Is left the index of the step that runs.

        Returns
        -------
        answer, parts
            As the process wrote them.

        Raises
        ------
        ModelError, AnswerError, ToldFaultError
            What the version raised there.
        """
        self._step[0] = -1
        try:
            self._own.sendall(neutral.frame({**(told or {}), "do": do}, parts))
            head, given = self._answer(mark)
            if mark is not None:
                mark[0] = self._step[0]
            return _done(head), given
        except OSError:
            if mark is not None:
                mark[0] = self._step[0]  # whoever asks why it died asks in which step
            self._gone()
        except _NOT_OURS as error:
            if isinstance(error, ModelError | AnswerError):
                raise
            _log.error("the version's process wrote what is no answer (%s)", type(error).__name__)
            self.process.kill()
            self._gone(code=1)

    def open(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Have the version loaded; return what is known of it.

        Raises
        ------
        ModelError
            If it cannot be loaded, or its process ended by itself before it was.
        """
        ended, self.ended = self.ended, lambda code: ended(code) if code < 0 else None
        try:
            facts, parts = self.ask("open", told)
        finally:
            self.ended = ended
        found: dict[str, Any] = neutral.read(facts, parts)
        return found

    def close(self) -> None:
        """Let the process end."""
        self._own.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._starvation.close()

    def _answer(self, mark: Any) -> tuple[dict[str, Any], list[Any]]:
        delay_ns = self._starvation.delay_ns() or 0
        while True:
            if not select.select([self._own], [], [], LOOK_S)[0]:
                if mark is not None:
                    mark[0] = self._step[0]
                self.starved(max(0, (self._starvation.delay_ns() or 0) - delay_ns))
                self._look()
                continue
            read = self._own.recv(READ_BYTES)
            if not read:
                raise ConnectionResetError
            for head, parts in self._held.feed(read):
                return head, parts

    def _look(self) -> None:
        if self.process.poll() is not None:
            raise ConnectionResetError
        used = clock.own_bytes(self.pid) if self.memory_bytes is not None else None
        if used is not None and self.memory_bytes is not None and used > self.memory_bytes:
            _log.error("the version's process took %d MB", used // 10**6)
            self.process.kill()
            self.process.wait()
            self.ended(TOO_LARGE)

    def _gone(self, *, code: int | None = None) -> NoReturn:
        """End as the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        found = self.process.returncode if code is None else code
        _log.error("the version's own process ended (%s)", ending(found))
        self.ended(found)
        raise ModelError(
            f"the version's own process ended before it was loaded ({ending(found)}). Its log says more; if its "
            "environment is damaged, delete that folder, and it is made again."
        )


def end_alike(code: int) -> None:
    """End this process as another has ended: by the same signal, or with the same code."""
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        time.sleep(1.0)  # a blocked signal
    os._exit(1 if code in (GAVE_UP, NO_ROOM) else abs(code))


def _done(head: Mapping[str, Any]) -> Any:
    if "refused" in head:
        raise ModelError(str(head["refused"]))
    if "unwritable" in head:
        raise AnswerError(str(head["unwritable"]))
    if "fault" in head:
        raise ToldFaultError(_fault(head["fault"]))
    return head["done"]


def _fault(told: Mapping[str, Any]) -> Fault:
    """Read a fault that the version's process told; its own code may have written it."""
    kind, frame, digest = (
        legible(str(told[name]), most=MOST_NAME) for name in ("type", "frame", "digest")
    )
    step, column = (
        None if told[n] is None else str(told[n])[:MOST_NAME] for n in ("step", "column")
    )
    return Fault(type=kind, step=step, frame=frame, digest=digest, column=column)


def _start(
    python: Path, folder: Path, line: socket.socket, step: int, title: str
) -> subprocess.Popen[bytes]:
    log = log_descriptor()
    script = folder / "shadowserve" / ENTRY
    environ = {name: value for name, value in os.environ.items() if name not in _OF_PYTHON}
    return subprocess.Popen(
        # Isolated: neither variables nor the user's own packages nor the working directory lead its imports.
        [str(python), "-I", str(script), str(folder), str(line.fileno()), str(step), title],
        env={**environ, "SHADOWSERVE_PARENT": str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if log is None else log,
        stderr=log,
        pass_fds=(line.fileno(), step),
        preexec_fn=tie_to_parent,
    )
