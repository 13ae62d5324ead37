"""A real deployment under test: `shadowserve serve` in a process of its own, and its callers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from rig import tiny

START_S = 240.0
SETTLE_S = 240.0
PATIENCE_S = 180.0
COMMAND = str(Path(sys.executable).with_name("shadowserve"))


def run(
    *arguments: str, cwd: Path | None = None, timeout_s: float = 120.0, **environ: str
) -> subprocess.CompletedProcess:
    """Run a command of shadowserve to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=cwd,
        env={**os.environ, **environ},
        check=False,
    )


class Served:
    """One `shadowserve serve`: started, spoken to, broken and stopped.

    Parameters
    ----------
    root : Path
        Holds the state directory, a copy of the registry and what serve says.
    store : tiny.Store
        The registry that is copied, so that evidence of one test is not another's.
    challengers : sequence of int
        Versions in the shadow.
    options : str
        Further arguments of `serve`.
    """

    def __init__(
        self,
        root: Path,
        store: tiny.Store,
        *options: str,
        champion: int = tiny.CHAMPION,
        challengers: Sequence[int] = (tiny.BETTER,),
        uri: str | None = None,
        environ: dict[str, str] | None = None,
        state: Path | None = None,
    ) -> None:
        self.root = root
        self.environ = environ or {}
        self.state = state or root / "state"
        self.talk = root / "talk.txt"
        root.mkdir(parents=True, exist_ok=True)
        self.store = root / "mlflow.db"
        if not self.store.exists():
            shutil.copyfile(store.path, self.store)
        self.arguments = [
            *("--model", "tiny", "--champion", str(champion)),
            *(word for number in challengers for word in ("--challenger", str(number))),
            *("--tracking-uri", uri or f"sqlite:///{self.store}", "--state-dir", str(self.state)),
            *("--port", "0", "--console-port", "0", *options),
        ]
        self._said_before = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(timeout=30.0, trust_env=False)

    def start(self, *, wait: bool = True) -> Served:
        """Start it; wait until the champion is ready and every lane past starting."""
        self._said_before = len(self.said())
        with self.talk.open("ab") as talk:
            self.process = subprocess.Popen(
                [COMMAND, "serve", *self.arguments],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=talk,
                stderr=talk,
                env={**os.environ, **self.environ},
            )
        if wait:
            self.until(self._begun, "serve to be ready", seconds=START_S)
        return self

    def use_ports(self, port: int, console_port: int) -> None:
        """Start on these ports from now on."""
        at = self.arguments.index("--port")
        self.arguments[at : at + 4] = ["--port", str(port), "--console-port", str(console_port)]

    def _begun(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"serve ended:\n{self.said()}")
        return "Lanes  " in self.said()[self._said_before :]

    def said(self) -> str:
        """Return what serve has told its user so far."""
        return self.talk.read_text() if self.talk.exists() else ""

    @property
    def facts(self) -> dict[str, Any]:
        """What the supervisor wrote of itself."""
        return json.loads((self.state / "supervisor.json").read_text())

    @property
    def url(self) -> str:
        """The data plane."""
        return f"http://127.0.0.1:{self.facts['port']}"

    @property
    def console(self) -> str:
        """The control plane."""
        return f"http://127.0.0.1:{self.facts['console_port']}"

    def post(self, note: str = "nnn", x: float = 1.0, **headers: str) -> httpx.Response:
        """Ask for one row."""
        body = {"dataframe_records": [tiny.row(x, note)]}
        return self.client.post(f"{self.url}/invocations", json=body, headers=headers)

    def ledger(self) -> dict[str, Any]:
        """Return the ledger, as `status --json` prints it."""
        response = self.client.get(f"{self.console}/status.json")
        assert response.status_code == 200, response.text
        return response.json()

    def report(self, challenger: int | None = None) -> dict[str, Any]:
        """Return a challenger's report."""
        params = {} if challenger is None else {"challenger": challenger}
        response = self.client.get(f"{self.console}/report.json", params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def findings(self, kind: str, challenger: int | None = None) -> list[dict[str, Any]]:
        """Return the report's findings of one kind."""
        return [f for f in self.report(challenger)["findings"] if f["kind"] == kind]

    def lane(self, version: int, role: str = "challenger") -> dict[str, Any]:
        """Return one lane's part of the ledger."""
        lanes = self.ledger()["lanes"]
        return next(lane for lane in lanes if (lane["role"], lane["version"]) == (role, version))

    def lane_pid(self, version: int, role: str = "challenger") -> int:
        """Return the process id of a lane; 0 while it has none."""
        started = f"shadowserve.lane.process {role} v{version} {self.state}"
        named = f"shadowserve lane {role} v{version} {self.state}"
        for process in self.processes():
            title = _title(process)
            if named in title or started in title:
                return process.pid
        return 0

    def scorers(self) -> list[psutil.Process]:
        """Return the challengers' scorers that have loaded and titled themselves."""
        return [
            one
            for one in self.processes()
            if _title(one).startswith("shadowserve scorer challenger")
        ]

    def titled(self, title: str) -> int:
        """Return the id of the process whose title begins so; 0 if there is none."""
        found = (process.pid for process in self.processes() if _title(process).startswith(title))
        return next(found, 0)

    def worker_pid(self, worker: int = 0) -> int:
        """Return the process id of a champion worker, as it counts it itself."""
        from shadowserve.state import counters

        return counters.read(self.state / "counters" / f"{worker}.bin").pid

    def processes(self) -> list[psutil.Process]:
        """Return every live process below the supervisor."""
        assert self.process is not None
        with _gone():
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def settled(self, *, seconds: float = SETTLE_S) -> dict[str, Any]:
        """Wait until no lane has anything pending, and return the ledger."""
        last: dict[str, Any] = {}

        def done() -> bool:
            last.update(self.ledger())
            return not any(lane["pending"] for lane in last["lanes"])

        self.until(done, "the lanes to catch up", seconds=seconds)
        return last

    def until(self, true: Callable[[], Any], what: str, *, seconds: float = PATIENCE_S) -> None:
        """Wait for something."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s for {what}:\n{self.said()}")
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 60.0) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        """End whatever is left of it."""
        if self.process is not None and self.process.poll() is None:
            below = self.processes()
            self.process.kill()
            self.process.wait()
            psutil.wait_procs(below, timeout=10)
        self.client.close()

    def __enter__(self) -> Served:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def _title(process: psutil.Process) -> str:
    with _gone():
        return " ".join(process.cmdline()).strip()
    return ""


@contextmanager
def _gone() -> Iterator[None]:
    with suppress(psutil.NoSuchProcess):
        yield


class Load:
    """Closed-loop callers in the background, and what they were told.

    Parameters
    ----------
    served : Served
        Whom they call; its port may change between starts.
    callers : int
        How many at once.
    pause_s : float
        What each waits between two calls.

    Attributes
    ----------
    told : Counter
        How many calls ended with which status, or in which error.
    wrong : int
        Answers that are not the champion's own for that row.
    took : list of (float, float)
        When each call began, and its seconds.
    """

    def __init__(self, served: Served, *, callers: int = 4, pause_s: float = 0.0) -> None:
        self.served = served
        self.callers = callers
        self.pause_s = pause_s
        self.told: Counter[str] = Counter()
        self.wrong = 0
        self.took: list[tuple[float, float]] = []
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(callers)

    def __enter__(self) -> Load:
        url = self.served.url
        self._ends = [self._pool.submit(self._call, url, i) for i in range(self.callers)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for end in self._ends:
            end.result()
        self._pool.shutdown()

    @property
    def n(self) -> int:
        """How many calls have ended."""
        return sum(self.told.values())

    def _call(self, url: str, caller: int) -> None:
        turn = caller
        with httpx.Client(timeout=60.0, trust_env=False) as client:
            while not self._stopped.is_set():
                turn += self.callers
                x, note = (turn % 601 - 300) / 100, "n" * (1 + turn % 7)
                body = {"dataframe_records": [tiny.row(x, note)]}
                began = time.monotonic()
                try:
                    response = client.post(f"{url}/invocations", json=body)
                    self.told[str(response.status_code)] += 1
                    if response.status_code == 200:
                        (value,) = response.json()["predictions"]
                        self.wrong += abs(value - expected(x, note)) > 0.5
                except httpx.HTTPError as error:
                    self.told[type(error).__name__] += 1
                self.took.append((began, time.monotonic() - began))
                time.sleep(self.pause_s)


def expected(x: float, note: str) -> float:
    """Return about what the champion answers: what it was trained on."""
    return 2.0 * x + len(note)
