"""Real load, random faults, counted outcome: ``python -m benchmarks.chaos --minutes 3 --seed 1``.

Callers send at half of what the champion was measured to take, and check every answer against the
champion's own. Meanwhile faults are drawn at random from `harm.SHARES`. At the end the ledger, the
callers' tally and MLflow are laid side by side; the exit code is 1 if anything does not fit.

The state directory lies on a small file system in memory, so that it can be filled up. Where this
user may not mount one, that fault is not drawn and the table lacks it.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import httpx

from benchmarks.chaos.harm import Chaos, possible
from benchmarks.chaos.outcome import Outcome, evidence_faults
from benchmarks.chaos.traffic import Traffic, rows, within
from rig import tiny
from rig.disk import small_disk
from rig.served import Load, Served

PROBE_S = 4.0
DISK_MIB = 512
SETTLE_S = 300.0


@click.command()
@click.option("--minutes", default=3.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--pause", default=1.5, show_default=True, help="Seconds between two faults, at most."
)
@click.option("--rate", default=0.0, help="Calls a second; by default half of the capacity.")
@click.option("--workers", default=2, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(minutes: float, seed: int, pause: float, rate: float, workers: int, as_json: bool) -> None:
    """Break a deployment for some minutes and say what became of every request."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        root = Path(folder)
        store = tiny.registered(root)
        outcome = run(
            root / "run",
            store,
            minutes=minutes,
            seed=seed,
            pause=pause,
            rate=rate,
            workers=workers,
        )
    click.echo(json.dumps(outcome.to_dict(), indent=1) if as_json else outcome.table())
    sys.exit(1 if outcome.faults else 0)


def run(
    root: Path,
    store: tiny.Store,
    *,
    minutes: float,
    seed: int,
    pause: float = 1.5,
    rate: float = 0.0,
    workers: int = 1,
) -> Outcome:
    """Start a deployment, break it for some minutes, and count.

    Parameters
    ----------
    root : Path
        Scratch directory.
    store : tiny.Store
        The registry; a copy is used.
    minutes, pause : float
        How long, and the longest wait in seconds between two faults.
    rate : float
        Calls a second; 0 for half of what is measured.
    workers : int
        The champion's.
    """
    with small_disk(root / "disk", mib=DISK_MIB) as disk:
        served = Served(
            root,
            store,
            *("--deadline", "2s", "--journal-budget", f"{DISK_MIB // 2}MiB"),
            *("--workers", str(workers)),
            challengers=(tiny.TRICKY,),
            state=root / "disk" / "state",
        )
        with served:
            known = rows(200, seed=seed)
            answers = {row: _answer(served, row) for row in known}
            asked = len(known)  # a row may come twice
            if not rate:
                n, rate = _capacity(served)
                asked, rate = asked + n, rate / 2
            traffic = Traffic(served.url, answers, rate=rate, seed=seed)
            chaos = Chaos(served, traffic, random.Random(seed), workers, disk)
            traffic.start()
            try:
                drawn = _break(chaos, minutes * 60, pause)
            finally:
                traffic.stop()
            ledger = _settled(served, SETTLE_S + minutes * 60)
            report = served.report(tiny.TRICKY)
            stopped = served.stop(seconds=90)
    calls = traffic.calls
    failed = [call for call in calls if call.told != "200"]
    running = [call for call in failed if not within(call, chaos.down)]
    strays = [call for call in running if not within(call, chaos.kills)]
    return Outcome(
        seed=seed,
        minutes=minutes,
        drawn=drawn,
        rate=rate,
        told=Counter(call.told for call in calls),
        wrong=sum(call.told == "200" and not call.right for call in calls),
        while_down=len(failed) - len(running),
        around_kills=len(running) - len(strays),
        strays=[chaos.placed(call) for call in strays],
        asked=asked,
        without_room=sum(within(call, chaos.full) for call in calls),
        ledger=ledger,
        poisons=[f for f in report["findings"] if f["kind"] == "poison_request"],
        evidence=evidence_faults(served, ledger),
        stopped=stopped,
    )


def _answer(served: Served, row: tuple[float, str]) -> float:
    told = served.post(row[1], x=row[0])
    (value,) = told.json()["predictions"]
    return float(value)


def _capacity(served: Served) -> tuple[int, float]:
    """Ask as fast as eight callers can; return how many calls that were, and calls a second."""
    began = time.monotonic()
    with Load(served, callers=8) as load:
        time.sleep(PROBE_S)
    return load.n, load.n / (time.monotonic() - began)


def _break(chaos: Chaos, seconds: float, pause: float) -> Counter[str]:
    shares = possible(chaos)
    drawn: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        (harm,) = chaos.rng.choices(list(shares), weights=list(shares.values()))
        chaos.note(harm.__name__)
        harm(chaos)
        drawn[harm.__name__] += 1
        time.sleep(chaos.rng.uniform(0.1, pause))
    return drawn


def _settled(served: Served, seconds: float) -> dict[str, Any]:
    """Wait for lanes and console to be whole again, for the lanes to catch up and MLflow to have it."""
    last: dict[str, Any] = {}
    served.until(lambda: _resumed(served), "the console", seconds=60)

    def done() -> bool:
        try:
            last.update(served.ledger())
        except (httpx.HTTPError, AssertionError):
            return False
        told = json.loads((served.state / "evidence.json").read_text())
        waiting = sum(lane["waiting"] for lane in told["lanes"].values())
        return not waiting and not any(lane["pending"] for lane in last["lanes"])

    served.until(done, "the lanes and the evidence to catch up", seconds=seconds)
    return last


def _resumed(served: Served) -> bool:
    """Let a lane that too many poisoned requests in a row have degraded try again."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.post(f"{served.console}/resume", timeout=10).is_success
    return False


if __name__ == "__main__":
    main()
