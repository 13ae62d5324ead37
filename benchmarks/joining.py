"""Challengers join and leave again and again under load, with kills: does any caller, answer or count notice?

    python -m benchmarks.joining
    python -m benchmarks.joining --joins 50 --seed 3 --seconds 480
    python -m benchmarks.joining --joins 5 --supervisor

A deployment answers closed-loop callers while a version joins, compares at least so many requests, and leaves, over
and over. SIGKILL strikes the newcomer, the control, the standing challenger or the process that checks the newcomer,
at a random moment of a random half of the rounds. The ledger is read all the time and must balance at every reading. In the
end the callers' tally and the accounts of all stays are laid side by side; the exit code is 1 if anything does not fit.

Each round says how long its parts took: until the version was found in the registry, fetched and tried beside the
champion, until it had joined, its lane ran, and it had compared enough. A round that fails is a fault, and what came
until then is summed up all the same. `--lane-priority normal` is for a machine that others keep busy.

With --supervisor the supervisor is killed in the middle of each joining and started again: then only requests of
that moment may fail, and each start goes on with who had joined, or without.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rig import tiny
from rig.served import Load, Served
from rig.watched import Watched
from shadowserve.errors import ShadowserveError
from shadowserve.records import Outcome
from shadowserve.state.places import Places
from shadowserve.supervisor import visiting

CALLERS, PAUSE_S = 4, 0.04
WANTED = 200
"""Requests that each newcomer compares at least."""
PATIENCE_S = 300.0
VICTIMS = ("newcomer", "control", "standing", "joiner", "none", "none", "none", "none")
NEWCOMERS = (tiny.SLOW, tiny.TALKING, tiny.LEAKY)
PHASES = {"is fetched": "found", "is tried": "fetched", "joined behind": "joined"}
"""What the supervisor tells, and the part of a round that ends with it."""


class NotPlayedError(Exception):
    """A round that did not come to its end, and why."""


@dataclass(slots=True)
class Round:
    """One joining: which version, whom the kill met, and when each part of it ended."""

    version: int
    victim: str
    began: float = field(default_factory=time.monotonic)
    ended: dict[str, float] = field(default_factory=dict)
    tries: int = 0

    def mark(self, part: str) -> None:
        """A part ends now."""
        self.ended[part] = time.monotonic() - self.began

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {at:.1f}" for part, at in self.ended.items())
        return f"v{self.version}, {self.victim}, {self.tries} tries: {parts} s"


def ask(served: Served, told: Any, **question: Any) -> dict[str, Any]:
    """Ask the supervisor as the commands do; its refusals are raised."""
    return dict(visiting.ask(Places(served.state), question, tell=told))


def strike(served: Served, victim: str, version: int) -> bool:
    """Send SIGKILL; False where there was nobody to strike."""
    pid = {
        "newcomer": lambda: served.lane_pid(version),
        "control": lambda: served.lane_pid(tiny.CHAMPION, "control"),
        "standing": lambda: served.lane_pid(tiny.BETTER),
        "joiner": lambda: served.titled("shadowserve joiner ") or joiner_that_imports(served),
    }[victim]()
    if not pid:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def joiner_that_imports(served: Served) -> int:
    """Return the id of a joiner that has yet to title itself; 0 if there is none."""
    for process in served.processes():
        with suppress(psutil.NoSuchProcess):
            if "shadowserve.supervisor.joiner" in process.cmdline():
                return process.pid
    return 0


def play_round(served: Served, one: Round, chance: random.Random, killed: Counter[str]) -> None:
    """Let a version join, compare, and leave.

    Raises
    ------
    NotPlayedError
        If any of it does not come about.
    """
    over, delay_s = threading.Event(), chance.uniform(0.0, 6.0)

    def kill() -> None:
        # A newcomer's lane is there only once it has joined: who is not there yet is waited for.
        while not over.wait(delay_s):
            if struck := strike(served, one.victim, one.version):
                killed[one.victim] += struck
                return

    striker = threading.Thread(target=kill)
    if one.victim != "none":
        striker.start()
    try:
        _join(served, one)
        served.until(
            lambda: served.lane(one.version)["both_ok"] >= WANTED,
            f"v{one.version} to compare",
            seconds=PATIENCE_S,
        )
        one.mark("compared")
        ask(served, lambda _: None, ask="remove", pin=f"v{one.version}")
        one.mark("left")
    except (ShadowserveError, AssertionError) as error:
        raise NotPlayedError(str(error).splitlines()[0]) from error
    finally:
        over.set()
        if striker.ident:
            striker.join()


def _join(served: Served, one: Round) -> None:
    def hear(told: str) -> None:
        for said, part in PHASES.items():
            if said in told:
                one.mark(part)

    while True:
        one.tries += 1
        try:
            ask(served, hear, ask="add", pin=f"v{one.version}", since="now")
        except visiting.RefusedError as error:
            if one.victim != "joiner" or "has not joined" not in str(error):
                raise
            continue
        one.mark("ran")
        return


def outcomes(lane: dict[str, Any]) -> int:
    """Return how many requests a lane accounts for, what is pending among them."""
    counted = sum(lane[name.value] for name in Outcome if name.value in lane)
    return counted + sum(lane["skipped"].values()) + lane["pending"]


def times(load: Load, rounds: Sequence[Round], began: float) -> None:
    """Print callers' times before the first joining, while versions join, and else."""
    by: dict[str, list[float]] = {"before": [], "joining": [], "else": []}
    loading = [(r.began, r.began + r.ended["ran"]) for r in rounds if "ran" in r.ended]
    for at, took in load.took:
        name = "before" if at < began else "else"
        if any(start <= at <= end for start, end in loading):
            name = "joining"
        by[name].append(took * 1e3)
    for name, ms in by.items():
        if ms:
            p50, p99 = np.quantile(ms, [0.5, 0.99])
            print(f"callers {name}: n {len(ms)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def sum_up(rounds: Sequence[Round]) -> None:
    """Print how long the parts of the rounds took: median and most, seconds since the question."""
    for part in ("found", "fetched", "joined", "ran", "compared", "left"):
        took = [r.ended[part] for r in rounds if part in r.ended]
        if took:
            print(
                f"{part:9} median {np.median(took):6.1f} s, most {max(took):6.1f} s, n {len(took)}"
            )


def play(root: Path, *options: str, joins: int, seed: int, seconds: float) -> bool:
    """Play the rounds; print what came of them, and return whether everything fits."""
    chance, killed, rounds = random.Random(seed), Counter[str](), list[Round]()
    faults, told = list[str](), dict[str, Any]()
    with Served(root / "served", tiny.registered(root / "registry"), *options) as served:
        worker = served.worker_pid()
        with (
            Watched(served, every_s=0.1) as watched,
            Load(served, callers=CALLERS, pause_s=PAUSE_S) as load,
        ):
            served.until(lambda: load.n > 500, "some traffic before")
            began = time.monotonic()
            while len(rounds) < joins and time.monotonic() - began < seconds:
                one = Round(chance.choice(NEWCOMERS), chance.choice(VICTIMS))
                rounds.append(one)
                try:
                    play_round(served, one, chance, killed)
                except (NotPlayedError, KeyboardInterrupt) as error:
                    faults.append(
                        f"round {len(rounds)} (v{one.version}): {str(error) or 'cut off'}"
                    )
                    print(f"{len(rounds):3d} {one}; {faults[-1]}", flush=True)
                    break
                print(f"{len(rounds):3d} {one}", flush=True)
        try:
            told = served.settled(seconds=PATIENCE_S)
        except AssertionError as error:
            faults.append(str(error).splitlines()[0])
            told = served.ledger()
        same = served.worker_pid() == worker
    left, n = told["left"], load.n
    accounts = [one["joined"]["before"] + one["after"] + outcomes(one) for one in left]
    compared = [one["both_ok"] for one in left]
    found = {
        "callers were told": set(load.told) != {"200"},
        "answers changed": load.wrong > 0,
        "a reading did not balance": bool(watched.unbalanced),
        "accounts": any(account != n for account in accounts)
        or len(accounts) != sum("left" in r.ended for r in rounds),
        "the standing challenger": outcomes(told["lanes"][0]) != n,
        "a newcomer compared too little": bool(compared) and min(compared) < WANTED,
        "the worker was replaced": not same,
    }
    faults += [name for name, wrong in found.items() if wrong]
    print(f"{n} requests, {dict(load.told)}, {load.wrong} wrong; kills {dict(killed)}")
    print(f"{len(accounts)} of {len(rounds)} joins came to their end")
    print(f"{watched.n} readings of the ledger, {len(watched.unbalanced)} not balanced")
    if compared:
        print(f"compared by each: least {min(compared)}, median {np.median(compared):.0f}")
    sum_up(rounds)
    times(load, rounds, began)
    print(f"faults: {', '.join(faults) or 'none'}")
    return not faults


def play_supervisor(root: Path, *options: str, joins: int, seed: int, seconds: float) -> bool:
    """Kill the supervisor in the middle of each joining; return whether each start balances."""
    chance, fine, pin = random.Random(seed), True, f"v{tiny.SLOW}"
    with Served(root / "served", tiny.registered(root / "registry"), *options) as served:
        began = time.monotonic()
        for number in range(joins):
            if time.monotonic() - began > seconds:
                break
            with Load(served, callers=CALLERS, pause_s=PAUSE_S) as load:
                served.until(lambda load=load: load.n > 200, "some traffic")
                ask(served, lambda _: None, ask="add", pin=pin, wait=False)
                time.sleep(chance.uniform(0.0, 9.0))
                served.stop(signal.SIGKILL)
            time.sleep(1.5)
            served.start()
            told = served.settled(seconds=PATIENCE_S)
            there = tiny.SLOW in [one["version"] for one in told["lanes"]]
            fine &= told["balanced"]
            print(f"{number + 1:3d} joined {there}, balanced {told['balanced']}", flush=True)
            if there:
                ask(served, lambda _: None, ask="remove", pin=pin)
    return fine


def main() -> int:
    """Play, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--joins", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no round after so many")
    parser.add_argument("--lane-priority", default="auto", help="as of 'serve'")
    parser.add_argument("--supervisor", action="store_true", help="kill the supervisor instead")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # sums up, too
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="shadowserve-joining-") as folder:
        root = Path(folder)
        (root / "registry").mkdir()
        how = play_supervisor if asked.supervisor else play
        options = ("--lane-priority", asked.lane_priority)
        fine = how(root, *options, joins=asked.joins, seed=asked.seed, seconds=asked.seconds)
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
