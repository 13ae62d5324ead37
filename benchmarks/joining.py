"""Challengers join and leave again and again under load, with kills: does any caller, answer or count notice?

    python -m benchmarks.joining
    python -m benchmarks.joining --joins 50 --seed 3
    python -m benchmarks.joining --joins 5 --supervisor

A deployment answers closed-loop callers while a version joins, compares at least so many requests, and leaves, over
and over. SIGKILL strikes the newcomer, the control, the standing challenger or the process that checks the newcomer,
at a random moment of a random half of the rounds. The ledger is read all the time and must balance at every reading. In the
end the callers' tally and the accounts of all stays are laid side by side; the exit code is 1 if anything does not fit.

With --supervisor the supervisor is killed in the middle of each joining and started again: then only requests of
that moment may fail, and each start goes on with who had joined, or without.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from rig import tiny
from rig.served import Served, expected, run
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger
from shadowserve.state.places import Places

CALLERS, PAUSE_S = 4, 0.04
WANTED = 200
"""Requests that each newcomer compares at least."""
ENDS_S = 240.0
VICTIMS = ("newcomer", "control", "standing", "joiner", "none", "none", "none", "none")
NEWCOMERS = (tiny.SLOW, tiny.TALKING, tiny.LEAKY)


@dataclass(slots=True)
class Calls:
    """What callers met: when, for how long, and with what status."""

    told: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    seen: list[tuple[float, float]] = field(default_factory=list)


class Callers:
    """Closed-loop callers in the background; each call is timed."""

    def __init__(self, served: Served) -> None:
        self.calls = Calls()
        self.url = served.url
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(CALLERS)

    def __enter__(self) -> Callers:
        self._ends = [self._pool.submit(self._call, i) for i in range(CALLERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for end in self._ends:
            end.result()

    @property
    def n(self) -> int:
        """Calls that were answered with a 200."""
        return self.calls.told["200"]

    def _call(self, turn: int) -> None:
        with httpx.Client(timeout=60.0, trust_env=False) as client:
            while not self._over.is_set():
                turn += CALLERS
                x, note = (turn % 601 - 300) / 100, "n" * (1 + turn % 7)
                body = {"dataframe_records": [tiny.row(x, note)]}
                began = time.monotonic()
                try:
                    answer = client.post(f"{self.url}/invocations", json=body)
                    self.calls.told[str(answer.status_code)] += 1
                    if answer.status_code == 200:
                        (value,) = answer.json()["predictions"]
                        self.calls.wrong += abs(value - expected(x, note)) > 0.5
                except httpx.HTTPError as error:
                    self.calls.told[type(error).__name__] += 1
                self.calls.seen.append((began, time.monotonic() - began))
                time.sleep(PAUSE_S)


class Watched:
    """Reads the ledger as often as it can, and keeps what does not balance."""

    def __init__(self, served: Served) -> None:
        self.places = Places(served.state)
        self.n, self.unbalanced = 0, list[dict[str, Any]]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.1):
            deployment = deployments.read(self.places)
            assert deployment is not None
            found = ledger.read(self.places, deployment)
            self.n += 1
            if not found.balanced:
                self.unbalanced.append(found.to_dict())

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def command(served: Served, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run a command of `challengers`; return its exit code, what it says for programs, and its talk."""
    done = run(
        "challengers", *arguments, "--json", "--state-dir", str(served.state), timeout_s=ENDS_S
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def strike(served: Served, victim: str, version: int) -> bool:
    """Send SIGKILL; False where there was nobody to strike."""
    pid = {
        "newcomer": lambda: served.lane_pid(version),
        "control": lambda: served.lane_pid(tiny.CHAMPION, "control"),
        "standing": lambda: served.lane_pid(tiny.BETTER),
        "joiner": lambda: served.titled("shadowserve joiner"),
    }[victim]()
    if not pid:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def one_round(
    served: Served, version: int, victim: str, chance: random.Random, killed: Counter[str]
) -> tuple[float, float, int]:
    """Let a version join, compare, and leave; return when it began and ran, and how often it was tried."""
    tries, delay_s = 0, chance.uniform(0.5, 8.0)

    def kill() -> None:
        time.sleep(delay_s)
        killed[victim] += strike(served, victim, version)

    striker = threading.Thread(target=kill) if victim != "none" else None
    began = time.monotonic()
    if striker:
        striker.start()
    while True:
        tries += 1
        code, _, said = command(served, "add", f"v{version}")
        if code == 0:
            break
        if victim != "joiner" or "has not joined" not in said:
            raise SystemExit(f"v{version} did not join: {said}")
    ran = time.monotonic()
    served.until(lambda: served.lane(version)["both_ok"] >= WANTED, f"v{version} to compare")
    if striker:
        striker.join()
    code, _, said = command(served, "remove", f"v{version}")
    if code:
        raise SystemExit(f"v{version} did not leave: {said}")
    return began, ran, tries


def shares(calls: Calls, loading: list[tuple[float, float]], began: float) -> dict[str, Any]:
    """Return callers' times before the first joining, while versions join, and else."""
    by: dict[str, list[float]] = {"before": [], "joining": [], "else": []}
    for at, took in calls.seen:
        name = "before" if at < began else "else"
        if any(start <= at <= end for start, end in loading):
            name = "joining"
        by[name].append(took * 1e3)
    return {
        name: {"n": len(ms), "p50": np.quantile(ms, 0.5), "p99": np.quantile(ms, 0.99)}
        for name, ms in by.items()
        if ms
    }


def play(root: Path, *, joins: int, seed: int, seconds: float) -> bool:
    """Play all rounds; print what came of them, and return whether everything fits."""
    chance, killed = random.Random(seed), Counter[str]()
    loading: list[tuple[float, float]] = []
    store = tiny.registered(root / "registry")
    with Served(root / "served", store) as served:
        worker = served.worker_pid()
        with Watched(served) as watched, Callers(served) as callers:
            served.until(lambda: callers.n > 500, "some traffic before")
            began = time.monotonic()
            for number in range(joins):
                if time.monotonic() - began > seconds:
                    joins = number
                    break
                version, victim = chance.choice(NEWCOMERS), chance.choice(VICTIMS)
                start, ran, tries = one_round(served, version, victim, chance, killed)
                loading.append((start, ran))
                print(
                    f"{number + 1:3d} v{version} ran after {ran - start:.1f} s, {tries} tries, {victim}",
                    flush=True,
                )
        told = served.settled()
        same = served.worker_pid() == worker
    n, calls = callers.n, callers.calls
    accounts = [one["joined"]["before"] + one["after"] + _outcomes(one) for one in told["left"]]
    compared = [one["both_ok"] for one in told["left"]]
    faults = {
        "callers were told": set(calls.told) != {"200"},
        "answers changed": calls.wrong > 0,
        "a reading did not balance": bool(watched.unbalanced),
        "accounts": any(account != n for account in accounts) or len(accounts) != joins,
        "the standing challenger": _outcomes(told["lanes"][0]) != n,
        "a newcomer compared too little": min(compared) < WANTED,
        "the worker was replaced": not same,
    }
    print(
        f"{n} requests, {dict(calls.told)}, {calls.wrong} wrong; {joins} joins, kills {dict(killed)}"
    )
    print(f"{watched.n} readings of the ledger, {len(watched.unbalanced)} not balanced")
    print(f"compared by each newcomer: least {min(compared)}, median {np.median(compared):.0f}")
    for name, of in shares(calls, loading, began).items():
        print(f"callers {name}: n {of['n']}, p50 {of['p50']:.1f} ms, p99 {of['p99']:.1f} ms")
    found = [name for name, wrong in faults.items() if wrong]
    print(f"faults: {', '.join(found) or 'none'}")
    return not found


def _outcomes(lane: dict[str, Any]) -> int:
    names = (
        "both_ok", "challenger_error", "champion_error", "both_error", "timed_out", "crashed",
        "sampled_out",
    )  # fmt: skip
    return sum(lane[name] for name in names) + sum(lane["skipped"].values()) + lane["pending"]


def play_supervisor(root: Path, *, joins: int, seed: int, seconds: float) -> bool:
    """Kill the supervisor in the middle of each joining; return whether each start balances."""
    chance, fine = random.Random(seed), True
    store = tiny.registered(root / "registry")
    with Served(root / "served", store) as served:
        began = time.monotonic()
        for number in range(joins):
            if time.monotonic() - began > seconds:
                break
            with Callers(served) as callers:
                served.until(lambda callers=callers: callers.n > 200, "some traffic")
                command(served, "add", f"v{tiny.SLOW}", "--no-wait")
                time.sleep(chance.uniform(0.0, 9.0))
                served.stop(signal.SIGKILL)
            time.sleep(1.5)
            served.start()
            told = command(served, "list")[1]
            there = tiny.SLOW in [one["version"] for one in told["challengers"]]
            ledger_now = served.settled()
            fine &= ledger_now["balanced"]
            print(f"{number + 1:3d} joined {there}, balanced {ledger_now['balanced']}", flush=True)
            if there:
                fine &= command(served, "remove", f"v{tiny.SLOW}")[0] == 0
    return fine


def main() -> int:
    """Play, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--joins", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no round after so many")
    parser.add_argument("--supervisor", action="store_true", help="kill the supervisor instead")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shadowserve-joining-") as folder:
        root = Path(folder)
        (root / "registry").mkdir()
        how = play_supervisor if asked.supervisor else play
        return 0 if how(root, joins=asked.joins, seed=asked.seed, seconds=asked.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
