"""Versions take over and go back again and again under load: does any caller notice?

    python -m benchmarks.handover
    python -m benchmarks.handover --times 20
    python -m benchmarks.handover --kills 30 --seed 3

A server follows an alias of the registry while callers in an open loop ask it, once and never again; a quarter of their
connections lies idle for 5 to 70 s between requests. The pair ships modules of one name, so that whoever mixes versions up
answers wrongly. Played are restarts by handover, promotions that are followed, and ways back to a former version that was kept
warm. In the end every request must have got a 200, by the version that it names, and the counts of all deployments
together must be the callers' own; the exit code is 1 if anything does not fit.

With --kills SIGKILL strikes the supervisor, a new worker or a former one at a random moment of a handover. Then requests
in that process's hand may fail; afterwards one version answers, and the counts of every deployment balance.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
from mlflow import MlflowClient

from rig import tiny
from rig.served import Served
from rig.unnoticed import Unnoticed
from shadowserve.state import counters, ledger
from shadowserve.state.places import Places
from shadowserve.state.shelves import shelves
from shadowserve.supervisor import visiting

CLASHING = str(Path(__file__).parents[1] / "tests/live/clashing.py")
WARM_S = 60
VICTIMS = ("supervisor", "coming", "going")


def served_at(root: Path, *options: str) -> tuple[Served, MlflowClient]:
    """Return a server that follows @champion, not started yet."""
    store = SimpleNamespace(path=tiny.registered(root / "registry", CLASHING).path)
    served = Served(root / "served", store, *options, challengers=())
    at = served.arguments.index("--model")
    served.arguments[at : at + 4] = []
    served.arguments[:0] = ["--model", "m", "--champion", "@champion", "--challenger", "2"]
    client = MlflowClient(f"sqlite:///{served.store}", f"sqlite:///{served.store}")
    client.set_registered_model_alias("m", "champion", "1")
    return served, client


def look(served: Served) -> None:
    """Let the server look at the alias at once, as `promote` does."""
    with contextlib.suppress(Exception):
        visiting.ask(Places(served.state), {"ask": "look"}, tell=lambda _: None)


def state(served: Served) -> dict[str, object]:
    """Return how far the last handover has come."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, object] = json.loads((served.state / "handover.json").read_text())
        return found
    return {}


def moved(served: Served, client: MlflowClient, callers: Unnoticed, number: int) -> float:
    """Move the alias, and return for how many seconds the other version still answered."""
    began = time.monotonic()
    client.set_registered_model_alias("m", "champion", str(number))
    look(served)
    last = callers.until_served_by(f"m/{number}", seconds=240)
    return last - began


def restarted(served: Served) -> float:
    """Replace the workers within the deployment; return how long that took."""
    began = time.monotonic()
    places = Places(served.state)
    question = {"ask": "hand over", "deployment": json.loads(places.deployment.read_text())["id"]}
    visiting.ask(places, question, tell=lambda _: None)
    return time.monotonic() - began


def done(served: Served) -> None:
    """Wait for the end of a handover."""
    served.until(lambda: state(served).get("state") in ("done", "refused", None), "its end")


def balanced(served: Served) -> tuple[bool, int]:
    """Return whether the counts of every deployment balance, and how many requests were answered in all."""
    fine, n = True, 0
    for shelf in shelves(Places(served.state)):
        if shelf.deployment is not None:
            found = ledger.read(shelf.places, shelf.deployment)
            fine, n = fine and found.balanced, n + found.champion.answered
    return fine, n


def play(root: Path, *, times: int, rate: float) -> bool:
    """Play restarts, promotions and ways back; print what came of them, and return whether everything fits."""
    served, client = served_at(
        root, "--no-control", "--follow", "--keep-former", "--warm-former", f"{WARM_S}s"
    )
    took: dict[str, list[float]] = {"restart": [], "promotion": [], "way back": []}
    inside: list[tuple[float, float]] = []
    with served, Unnoticed(served.facts["port"], rate=rate) as callers:
        callers.until_served_by("m/1")
        quiet = time.monotonic() + 10.0
        served.until(lambda: time.monotonic() > quiet, "usual traffic")
        before = _memory(served)
        for turn in range(times):
            for kind in took:
                began = time.monotonic()
                if kind == "restart":
                    took[kind].append(restarted(served))
                else:
                    number = 2 if kind == "promotion" else 1
                    took[kind].append(moved(served, client, callers, number))
                inside.append((began, time.monotonic()))
                done(served)
            print(
                f"{turn + 1:3d}",
                {kind: round(each[-1], 2) for kind, each in took.items()},
                flush=True,
            )
        over = time.monotonic() + WARM_S + 15
        served.until(lambda: time.monotonic() > over, "the former one to end")
        after = _memory(served)
    fine, answered = balanced(served)
    _tell_times(callers, inside)
    for kind, each in took.items():
        print(f"{kind}: median {np.median(each):.2f} s, longest {max(each):.2f} s")
    print(f"memory of all processes: {before} MiB before, {after} MiB after the former one's time")
    faults = {
        f"requests failed: {callers.told}": bool(callers.failed),
        f"answered wrongly: {callers.wrong[:3]}": bool(callers.wrong),
        f"idle connections were closed: {callers.closed_idle}": callers.closed_idle > 0,
        f"counts: {answered} for {len(callers.calls)} requests": not fine
        or answered != len(callers.calls),
    }
    print(f"{len(callers.calls)} requests, {callers.versions}")
    return _tell(faults)


def play_kills(root: Path, *, kills: int, rate: float, seed: int) -> bool:
    """Kill somebody in the middle of each handover; return whether each end fits."""
    chance, faults = random.Random(seed), dict[str, bool]()
    served, client = served_at(root, "--no-control", "--follow", "--keep-former")
    served.start()
    try:
        for turn in range(kills):
            number = 2 if state(served).get("coming") != 2 else 1
            victim = chance.choice(VICTIMS)
            with Unnoticed(
                served.facts["port"], rate=rate, idle_s=(1.0, 5.0), seed=turn
            ) as callers:
                client.set_registered_model_alias("m", "champion", str(number))
                look(served)
                time.sleep(chance.uniform(0.5, 9.0))
                struck = _strike(served, victim)
                if victim == "supervisor":
                    callers.stop()
                else:
                    done(served)
            lost = len(callers.failed)
            if victim == "supervisor" and served.process is not None:
                served.process.wait(30)
                served.start()
            with Unnoticed(served.facts["port"], rate=rate, seed=turn) as after:
                after.until_served_by(f"m/{number}", seconds=120, n=20)
            fine, _ = balanced(served)
            few = victim == "supervisor" or lost <= 4
            print(f"{turn + 1:3d} {victim} {struck}: {lost} lost, balanced {fine}", flush=True)
            faults[f"{turn + 1} {victim}: {callers.told}"] = not (few and fine) or bool(
                callers.wrong or after.wrong or after.failed
            )
    finally:
        served.close()
    return _tell(faults)


def _strike(served: Served, victim: str) -> bool:
    own = Places(served.state)
    alive = {
        found.pid: path
        for home in (own.root, *(own.root / "deployments").glob("*"))
        for path in (home / "counters").glob("*.bin")
        if (found := counters.read(path)).pid and found.alive and path.stem != "999"
    }
    present = {pid for pid, path in alive.items() if path.parent == own.counting}
    pids = present if (victim == "going") else set(alive) - present
    pid = served.process.pid if victim == "supervisor" and served.process else next(iter(pids), 0)
    if not pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _memory(served: Served) -> int:
    n = 0
    for one in served.processes():
        with contextlib.suppress(psutil.Error):
            n += one.memory_info().rss
    return n // 2**20


def _tell_times(callers: Unnoticed, inside: list[tuple[float, float]]) -> None:
    by: dict[str, list[float]] = {"inside": [], "outside": []}
    for call in callers.calls:
        during = any(start <= call.sent_s <= end for start, end in inside)
        by["inside" if during else "outside"].append(call.took_s * 1e3)
    for name, ms in by.items():
        if ms:
            p50, p99 = np.quantile(ms, [0.5, 0.99])
            print(f"callers {name} handovers: n {len(ms)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _tell(faults: dict[str, bool]) -> bool:
    found = [name for name, wrong in faults.items() if wrong]
    print(f"faults: {'; '.join(found) or 'none'}")
    return not found


def main() -> int:
    """Play, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--times", type=int, default=3, help="rounds of restart, promotion, way back"
    )
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shadowserve-handover-") as folder:
        root = Path(folder)
        (root / "registry").mkdir()
        if asked.kills:
            fine = play_kills(root, kills=asked.kills, rate=asked.rate, seed=asked.seed)
        else:
            fine = play(root, times=asked.times, rate=asked.rate)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
