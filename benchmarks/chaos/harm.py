"""The faults: what is done to a running deployment, and how long callers may notice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
import psutil

from benchmarks.chaos import tiny
from benchmarks.chaos.served import Served
from benchmarks.chaos.traffic import Traffic

RECOVERY_S = 120.0


@dataclass(slots=True)
class Chaos:
    """What the faults act on, and the spans in which a failed call is their doing.

    Parameters
    ----------
    served : Served
        The deployment.
    traffic : Traffic
        Its callers.
    outages : list of (begin, end)
        Monotonic seconds around each kill of a worker or the supervisor.
    """

    served: Served
    traffic: Traffic
    rng: random.Random
    outages: list[tuple[float, float]] = field(default_factory=list)

    def kill_challenger(self) -> None:
        """SIGKILL a lane."""
        _kill(self.served.lane_pid(tiny.TRICKY))

    def kill_control(self) -> None:
        """SIGKILL the control."""
        _kill(self.served.lane_pid(tiny.CHAMPION, "control"))

    def kill_console(self) -> None:
        """SIGKILL the control plane."""
        _kill(self._titled("shadowserve console"))

    def kill_evidence(self) -> None:
        """SIGKILL the evidence writer."""
        _kill(self._titled("shadowserve evidence"))

    def kill_worker(self) -> None:
        """SIGKILL the champion's worker and wait for the next one."""
        began = time.monotonic()
        _kill(self.served.worker_pid())
        self._wait_until_ready()
        self.outages.append((began - 0.05, time.monotonic() + 0.5))

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor, and with it everything; start again on the same ports."""
        began = time.monotonic()
        served = self.served
        ports = served.facts
        below = served.processes()
        served.process.kill()
        served.process.wait()
        left = psutil.wait_procs(below, timeout=5)[1]
        if left:
            raise AssertionError(f"{len(left)} processes outlived the supervisor by 5 s")
        served.use_ports(ports["port"], ports["console_port"])
        served.start()
        self.outages.append((began - 0.05, time.monotonic() + 0.5))

    def stop_and_start(self) -> None:
        """SIGTERM the supervisor and start again: a new release."""
        began = time.monotonic()
        ports = self.served.facts
        if self.served.stop(signal.SIGTERM, seconds=90) != 0:
            raise AssertionError("a stop ended with another code than 0")
        self.served.use_ports(ports["port"], ports["console_port"])
        self.served.start()
        self.outages.append((began - 0.05, time.monotonic() + 0.5))

    def poison_exit(self) -> None:
        """A request on which the challenger's process ends."""
        self.traffic.poison("exit")

    def poison_hang(self) -> None:
        """A request on which the challenger never returns."""
        self.traffic.poison("hang")

    def poison_regex(self) -> None:
        """A request on which the challenger holds its interpreter."""
        self.traffic.poison("regex")

    def poison_raise(self) -> None:
        """A request on which the challenger raises."""
        self.traffic.poison("raise")

    def lock_mlflow(self) -> None:
        """Hold MLflow's file locked for two seconds."""
        with contextlib.suppress(sqlite3.OperationalError):  # the writer has it just now
            held = sqlite3.connect(self.served.store, isolation_level=None, timeout=5)
            held.execute("BEGIN EXCLUSIVE")
            time.sleep(2)
            held.execute("ROLLBACK")
            held.close()

    def pause_and_resume(self) -> None:
        """Let lanes skip for a second."""
        with contextlib.suppress(httpx.HTTPError):  # the console may just have been killed
            httpx.post(f"{self.served.console}/pause", timeout=5)
            time.sleep(1)
        self._wait_for_console()
        httpx.post(f"{self.served.console}/resume", timeout=5)

    def flood_console(self) -> None:
        """Ask for the report as fast as it goes, for a second."""
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.served.console}/report.json", timeout=5)

    def _titled(self, title: str) -> int:
        for process in self.served.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if " ".join(process.cmdline()).startswith(title):
                    return process.pid
        return 0

    def _wait_until_ready(self) -> None:
        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.served.url}/readyz", timeout=2).status_code == 200
            return False

        self.served.until(ready, "a worker", seconds=RECOVERY_S)

    def _wait_for_console(self) -> None:
        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.served.console}/livez", timeout=2).status_code == 200
            return False

        self.served.until(ready, "the console", seconds=RECOVERY_S)


def _kill(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


SHARES: Mapping[Callable[[Chaos], None], int] = {
    Chaos.kill_challenger: 8,
    Chaos.kill_control: 6,
    Chaos.kill_console: 3,
    Chaos.kill_evidence: 4,
    Chaos.kill_worker: 3,
    Chaos.kill_supervisor: 1,
    Chaos.stop_and_start: 1,
    Chaos.poison_exit: 4,
    Chaos.poison_hang: 2,
    Chaos.poison_regex: 2,
    Chaos.poison_raise: 4,
    Chaos.lock_mlflow: 3,
    Chaos.pause_and_resume: 3,
    Chaos.flood_console: 2,
}
"""How often each fault is drawn beside the others."""
