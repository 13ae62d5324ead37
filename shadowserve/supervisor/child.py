"""A process that the supervisor started: its command, its talk, its life and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.host import stages
from shadowserve.host.isolation import cut_network
from shadowserve.host.leash import tie_to_parent
from shadowserve.host.priority import step_back, step_forward, told
from shadowserve.host.private_log import STACKS
from shadowserve.supervisor.allowance import offer_first

STACKS_S = 0.3


@dataclass(slots=True)
class Child:
    """One process on the leash.

    Parameters
    ----------
    name : str
        Names it in messages; its log file is called after it, across restarts.
    command : sequence of str
        Arguments after the Python interpreter.
    env : mapping
        Its whole environment.
    log : Path
        Where its stdout and stderr go, appended, mode 0600.
    pass_fds : tuple of int
        Descriptors it inherits.
    idle : bool
        Whether it works in the background, with a small claim on CPUs (`priority`).
    network : bool
        Whether it may use the network.
    cpus : frozenset of int, optional
        The CPUs it is confined to.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    pass_fds: tuple[int, ...] = ()
    idle: bool = False
    network: bool = True
    cpus: frozenset[int] | None = None
    started_ns: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; its signals are the supervisor's alone to send."""
        descriptor = os.open(
            self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, 0o600
        )
        try:
            self.process = subprocess.Popen(
                [sys.executable, *self.command],
                env={
                    **self.env,
                    "SHADOWSERVE_PARENT": str(os.getpid()),
                    stages.VARIABLE: str(time.monotonic_ns()),
                },
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=self.pass_fds,
                # A group of its own: Ctrl-C reaches the supervisor alone, and one signal ends all
                # that the child started.
                start_new_session=True,
                preexec_fn=self._prepare,
            )
        finally:
            os.close(descriptor)
        self.started_ns = time.monotonic_ns()

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return self.process.pid if self.process else 0

    @property
    def running(self) -> bool:
        """Whether it has been started and not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs or before the start."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.running and self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def end(self, *, deadline_s: float) -> bool:
        """Send SIGTERM, wait, then SIGKILL the process group. True if SIGTERM was enough."""
        self.hasten()
        self.signal(signal.SIGTERM)
        by_itself = self.wait(deadline_s)
        self.kill()
        return by_itself

    def kill(self) -> None:
        """End it and all that it started, now."""
        if self.process is None:
            return
        self.hasten()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait(5.0)

    def show_stacks(self, *, patience_s: float = STACKS_S) -> None:
        """Have it write where all its threads are into its log, before it is killed."""
        if STACKS is None or not self.running:
            return
        self.hasten()
        before = self._log_bytes()
        self.signal(STACKS)
        until = time.monotonic() + patience_s
        while self.running and self._log_bytes() == before and time.monotonic() < until:
            time.sleep(0.01)

    def _log_bytes(self) -> int:
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def wait(self, seconds: float) -> bool:
        """Wait for its end; True if it came."""
        if self.process is None:
            return True
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def hasten(self) -> None:
        """Let a background process end soon, however busy its CPUs are."""
        if self.idle and self.running:
            step_forward(self.pid)

    def _prepare(self) -> None:
        """Run in the child before its program: the leash, the priority and the CPUs.

        The network comes first: a new user namespace would undo the leash.
        """
        if not self.network:
            cut_network()
        tie_to_parent()
        if self.idle:
            offer_first()
            step_back(told(self.env))
        if self.cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cpus)
