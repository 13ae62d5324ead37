"""Versions that end their process, while they are loaded or later: the lane's real process under its real watch.

Each process is forked from this one, so that only the imports are shared: what loads, scores, dies and is
buried is the product's own. A version that cannot be loaded must be told with its cause; one request that
kills must be that request's outcome, and all others are compared.

python -m benchmarks.odd_deaths
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.odd_loader import DEATHS, SETTINGS, STRANGE, write
from rig.oddities import ERRORS

N_REQUESTS = 8
DEADLINE_S = 1.0
PATIENCE_S = 60.0
FROM_OUTSIDE = ("kills itself", "asks itself to end")
"""What looks as if it came from outside: it is told, and tried again for ever."""
AGE = 3.0


class Process:
    """A forked process, as `subprocess.Popen` shows one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, seconds: float) -> int:
        import subprocess

        until = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("lane", seconds)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def forked(root: Path, arguments: tuple[str, ...]) -> Any:
    """Return a child that runs a lane's own program in a forked process."""
    from shadowserve.lane import process
    from shadowserve.supervisor.child import Child

    class Forked(Child):
        def start(self) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pid = os.fork()
            if pid:
                self.process = Process(pid)  # type: ignore[assignment]
                self.started_ns = time.monotonic_ns()
                return
            code = 1
            try:
                os.setsid()
                os.environ["SHADOWSERVE_PARENT"] = str(os.getppid())
                log = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
                os.dup2(log, 2)
                code = process.main(arguments)
            finally:
                os._exit(code)

    return Forked(name="lane", command=(), env={}, log=root / "lane.log")


def deployed(root: Path, **what: Any) -> Any:
    """Write a deployment whose challenger is an odd version, and journal requests for it."""
    from rig.deployment import CHALLENGER, OPTIONS, deployment, made
    from rig.lane import answer
    from rig.scoring import record, version
    from shadowserve.state import deployment as deployments
    from shadowserve.versions.version import digest_of

    places = made(root, CHALLENGER)
    files = {
        number: write(root / f"v{number}", **(what if number == 4 else {})) for number in (3, 4)
    }
    champion, challenger = (
        replace(version(number), digest=digest_of(path)[0]) for number, path in files.items()
    )
    deployments.write(
        places,
        deployment(
            champion=champion,
            challengers=(challenger,),
            control=False,
            files={number: str(path) for number, path in files.items()},
            options={**OPTIONS, "sample_rate": 1.0, "entity": None},
        ),
    )
    answer(places, [record(n) for n in range(N_REQUESTS)])
    return places


def watched(root: Path, **what: Any) -> tuple[dict[str, int], tuple[str, str | None], list[str]]:
    """Let a lane work under its watch; return its outcomes, its last condition and what was noted."""
    from rig.deployment import CHALLENGER
    from rig.lane import told
    from shadowserve.state.lane_condition import condition
    from shadowserve.supervisor import watch as watching

    watching.FIRST_PAUSE_S = 0.01  # what is waited for is nobody's here
    places = deployed(root, **what)
    notes: list[str] = []
    watch = watching.LaneWatch(
        name=CHALLENGER,
        places=places.lane(CHALLENGER.role, CHALLENGER.version),
        child=forked(root, ("challenger", "v4", str(places.root))),
        deadline_s=DEADLINE_S,
        memory_bytes=2**40,
        note=lambda cause, **_: notes.append(cause),
    )
    watch.start()
    endless = what.get("at_load") in FROM_OUTSIDE
    until = time.monotonic() + (PATIENCE_S / 6 if endless else PATIENCE_S)
    outcomes: dict[str, int] = {}
    try:
        while time.monotonic() < until and not watch.degraded:
            watch.look()
            outcomes = told(places)
            if sum(outcomes.values()) == N_REQUESTS and not outcomes.get("pending"):
                break
            time.sleep(0.02)
        state = condition(watch.places)
    finally:
        watch.child.end(deadline_s=5.0)
    return told(places), state, notes


def at_load(harm: str, root: Path) -> str | None:
    """Say what is wrong with a lane whose version does this when it is loaded."""
    outcomes, (state, reason), _ = watched(root, at_load=harm)
    if sum(outcomes.values()) != N_REQUESTS:
        return f"{outcomes}"
    if state == "running":
        return None if not outcomes.get("pending") else f"pending {outcomes}"
    if harm in FROM_OUTSIDE:
        return None if reason else f"{state} without a reason"
    named = bool(reason) and ("v4" in str(reason) or "films:4" in str(reason))
    return None if state == "degraded" and named else f"{state}: {reason}"


def later(harm: str, root: Path) -> str | None:
    """Say what is wrong with a lane whose version does this at one request."""
    outcomes, (state, reason), notes = watched(root, later=harm, at_age=AGE)
    if sum(outcomes.values()) != N_REQUESTS or outcomes.get("pending"):
        return f"{outcomes}, {state}: {reason}, {notes}"
    if outcomes.get("both_ok", 0) < N_REQUESTS - 1:
        return f"others failed too: {outcomes}"
    if (
        outcomes.get("both_ok") == N_REQUESTS
        and harm in DEATHS
        and harm not in FROM_OUTSIDE
        and not notes
    ):
        return f"nothing was noted: {outcomes}"
    return None


def cases() -> Iterator[tuple[str, str]]:
    """Yield when and what: everything at load, deaths and settings later."""
    for harm in (*STRANGE, *SETTINGS, *ERRORS, *DEATHS):
        if harm not in ("hangs", "holds the interpreter"):  # a load has no deadline: it is told
            yield "at load", harm
    for harm in (*DEATHS, *SETTINGS):
        yield "later", harm


def run(only: list[tuple[str, str]] | None = None) -> tuple[int, list[str]]:
    """Try all; return how many, and what went wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.sklearn

        import shadowserve.lane.process

    _ = mlflow.pyfunc, mlflow.sklearn, shadowserve.lane.process  # shared with what is forked
    wrong, n = [], 0
    for when, harm in only or list(cases()):
        n += 1
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as root:
            try:
                found = (at_load if when == "at load" else later)(harm, Path(root))
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
            log = Path(root) / "lane.log"
            if found is not None and os.environ.get("ODD_TRACE"):
                print(log.read_text() if log.exists() else "", file=sys.stderr)
        if found is not None:
            wrong.append(f"{when}, {harm}: {found}")
        if os.environ.get("ODD_TRACE"):
            print(f"{when}, {harm}: {time.monotonic() - began:.1f} s {found}", flush=True)
    return n, wrong


def main() -> None:
    """Try all and print what went wrong."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    began = time.monotonic()
    n, wrong = run()
    print("\n".join(wrong))
    print(f"{n} ways to harm a process, {len(wrong)} faults, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
