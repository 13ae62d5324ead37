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
from datetime import datetime

import click
import httpx
import psutil

from benchmarks.chaos.traffic import Call, Traffic
from rig import tiny
from rig.disk import SmallDisk
from rig.served import Served

RECOVERY_S = 120.0
HEEDED_S = 45.0
LIMIT_BYTES = 4096


@dataclass(slots=True)
class Chaos:
    """What the faults act on, and the spans in which a failed call is their doing.

    Parameters
    ----------
    served : Served
        The deployment.
    traffic : Traffic
        Its callers.
    workers : int
        How many the champion has.
    disk : SmallDisk, optional
        What the state directory lies on, if it can be filled.
    kills : list of (begin, end)
        Monotonic seconds around each kill of a worker: until somebody answers again, which with
        another worker is at once.
    down : list of (begin, end)
        Monotonic seconds around each end of the supervisor, until it serves again.
    full : list of (begin, end)
        Monotonic seconds around each time that the disk was full or a worker's files limited.
    begun : list of (when, name)
        The faults so far, and the monotonic second at which each was begun.
    """

    served: Served
    traffic: Traffic
    rng: random.Random
    workers: int = 1
    disk: SmallDisk | None = None
    kills: list[tuple[float, float]] = field(default_factory=list)
    down: list[tuple[float, float]] = field(default_factory=list)
    full: list[tuple[float, float]] = field(default_factory=list)
    begun: list[tuple[float, str]] = field(default_factory=list)

    def note(self, name: str) -> None:
        """Remember that a fault begins now, and tell whoever watches."""
        click.echo(f"{datetime.now():%H:%M:%S} {name}", err=True)
        self.begun.append((time.monotonic(), name))

    def placed(self, call: Call) -> str:
        """Say what became of a call, how long it took, and which faults came before its end."""
        before = [(call.ended - when, name) for when, name in self.begun if when <= call.ended]
        faults = ", ".join(f"{name} {ago:.1f} s before" for ago, name in before[-2:])
        return f"{call.told} after {call.ended - call.began:.2f} s; {faults or 'no fault before'}"

    def kill_challenger(self) -> None:
        """SIGKILL a lane."""
        _kill(self.served.lane_pid(tiny.TRICKY))

    def kill_control(self) -> None:
        """SIGKILL the control."""
        _kill(self.served.lane_pid(tiny.CHAMPION, "control"))

    def kill_console(self) -> None:
        """SIGKILL the control plane."""
        _kill(self.served.titled("shadowserve console"))

    def kill_evidence(self) -> None:
        """SIGKILL the evidence writer."""
        _kill(self.served.titled("shadowserve evidence"))

    def kill_worker(self) -> None:
        """SIGKILL a champion worker and wait for the next one; meanwhile the others answer."""
        began = time.monotonic()
        others = self._is_ready() and self.workers > 1
        _kill(self.served.worker_pid(self.rng.randrange(self.workers)))
        self._wait_until_ready()
        ended = began if others else time.monotonic()
        self.kills.append((began - 0.05, ended + 0.5))

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
        self.down.append((began - 0.05, time.monotonic() + 0.5))

    def stop_and_start(self) -> None:
        """SIGTERM the supervisor and start again: a new release."""
        began = time.monotonic()
        ports = self.served.facts
        if self.served.stop(signal.SIGTERM, seconds=90) != 0:
            raise AssertionError("a stop ended with another code than 0")
        self.served.use_ports(ports["port"], ports["console_port"])
        self.served.start()
        self.down.append((began - 0.05, time.monotonic() + 0.5))

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

    def hide_mlflow(self) -> None:
        """Take MLflow's file away for three seconds, between two transactions."""
        away = self.served.store.with_suffix(".away")
        with contextlib.suppress(sqlite3.OperationalError):  # the writer has it just now
            held = sqlite3.connect(self.served.store, isolation_level=None, timeout=5)
            held.execute("BEGIN EXCLUSIVE")
            self.served.store.rename(away)
            held.execute("ROLLBACK")
            held.close()
            time.sleep(3)
            away.replace(self.served.store)

    def fill_disk(self) -> None:
        """Leave no room below the state directory for some seconds, and perhaps kill somebody."""
        if self.disk is None:
            return
        began = time.monotonic()
        self.disk.fill()
        try:
            time.sleep(self.rng.uniform(0.5, 2))
            harm = self.rng.choice([*_ON_A_FULL_DISK, None])
            if harm is not None:
                self.note(f"{harm.__name__} on a full disk")
                harm(self)
            time.sleep(self.rng.uniform(0.5, 2))
        finally:
            self.disk.empty()
            self.full.append((began - 0.05, time.monotonic() + 2))

    def limit_files(self) -> None:
        """Let no file of one process grow for some seconds, as over a quota (Linux)."""
        began = time.monotonic()
        process = self.rng.choice(self.served.processes())
        with contextlib.suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (LIMIT_BYTES, psutil.RLIM_INFINITY))
            time.sleep(self.rng.uniform(0.5, 4))
            process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        if process.pid in map(self.served.worker_pid, range(self.workers)):
            self.full.append((began - 0.05, time.monotonic() + 2))  # nobody else writes the journal

    def send_garbage(self) -> None:
        """Send what is no request; it is told so."""
        bodies = (b"{", b"[[[[", b'{"dataframe_records": [{"x": "\xff"}]}', b"null")
        with contextlib.suppress(httpx.HTTPError):  # a worker may just have been killed
            sent = httpx.post(
                f"{self.served.url}/invocations",
                content=self.rng.choice(bodies),
                headers={"content-type": "application/json"},
                timeout=30,
            )
            if sent.status_code not in (400, 503):
                raise AssertionError(f"garbage was answered with {sent.status_code}")

    def pause_and_resume(self) -> None:
        """Let lanes skip until one of them has: a lane that just died heeds it when it is back."""
        self._wait_for_console()
        before = self._paused()
        self._post("pause")
        until = time.monotonic() + HEEDED_S
        while self._paused() <= before and time.monotonic() < until:
            time.sleep(0.5)
        self._post("resume")

    def _paused(self) -> int:
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            return sum(lane["skipped"]["paused"] for lane in self.served.ledger()["lanes"])
        return 0

    def _post(self, wish: str) -> None:
        httpx.post(f"{self.served.console}/{wish}", timeout=30).raise_for_status()

    def flood_console(self) -> None:
        """Ask for the report as fast as it goes, for a second."""
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.served.console}/report.json", timeout=5)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.served.url}/readyz", timeout=2).status_code == 200
        return False

    def _wait_until_ready(self) -> None:
        self.served.until(self._is_ready, "a worker", seconds=RECOVERY_S)

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
    Chaos.hide_mlflow: 3,
    Chaos.fill_disk: 4,
    Chaos.limit_files: 4,
    Chaos.send_garbage: 2,
    Chaos.pause_and_resume: 2,
    Chaos.flood_console: 2,
}
"""How often each fault is drawn beside the others."""


def possible(chaos: Chaos) -> dict[Callable[[Chaos], None], int]:
    """Return the shares of those faults that this machine can have."""
    lacking = {
        Chaos.fill_disk: chaos.disk is None,
        Chaos.limit_files: not hasattr(psutil, "RLIMIT_FSIZE"),
    }
    return {harm: n for harm, n in SHARES.items() if not lacking.get(harm)}


_ON_A_FULL_DISK = (
    Chaos.kill_challenger,
    Chaos.kill_control,
    Chaos.kill_console,
    Chaos.kill_evidence,
    Chaos.kill_worker,
    Chaos.poison_exit,
)
