"""Real load, random faults, counted outcome: ``python -m benchmarks.chaos --minutes 3 --seed 1``.

Callers send at half of what the champion was measured to take, and check every answer against the
champion's own. Meanwhile faults are drawn at random from `harm.SHARES`. At the end the ledger, the
callers' tally and MLflow are laid side by side; the exit code is 1 if anything does not fit.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks.chaos import tiny
from benchmarks.chaos.harm import SHARES, Chaos
from benchmarks.chaos.outcome import Outcome, evidence_faults
from benchmarks.chaos.served import Served
from benchmarks.chaos.traffic import Traffic, explained, rows

PROBE_S = 4.0


@click.command()
@click.option("--minutes", default=3.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--pause", default=1.5, show_default=True, help="Seconds between two faults, at most."
)
@click.option("--rate", default=0.0, help="Calls a second; by default half of the capacity.")
@click.option("--json", "as_json", is_flag=True)
def main(minutes: float, seed: int, pause: float, rate: float, as_json: bool) -> None:
    """Break a deployment for some minutes and say what became of every request."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        root = Path(folder)
        made = subprocess.run(
            [sys.executable, str(Path(tiny.__file__)), str(root)], capture_output=True, text=True
        )
        if made.returncode:
            raise SystemExit(made.stderr)
        store = tiny.Store(f"sqlite:///{root / 'mlflow.db'}", root / "mlflow.db")
        outcome = run(root / "run", store, minutes=minutes, seed=seed, pause=pause, rate=rate)
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
    """
    rng = random.Random(seed)
    served = Served(root, store, "--deadline", "2s", challengers=(tiny.TRICKY,))
    with served:
        answers = {row: _answer(served, row) for row in rows(200, seed=seed)}
        asked = len(answers)
        if not rate:
            n, rate = _capacity(served)
            asked, rate = asked + n, rate / 2
        traffic = Traffic(served.url, answers, rate=rate, seed=seed)
        chaos = Chaos(served, traffic, rng)
        traffic.start()
        try:
            drawn = _break(chaos, minutes * 60, pause)
        finally:
            traffic.stop()
        ledger = _settled(served)
        report = served.report(tiny.TRICKY)
        stopped = served.stop(seconds=90)
    return Outcome(
        drawn=drawn,
        rate=rate,
        told=Counter(call.told for call in traffic.calls),
        wrong=sum(call.told == "200" and not call.right for call in traffic.calls),
        unexplained=sum(
            call.told != "200" and not explained(call, chaos.outages) for call in traffic.calls
        ),
        asked=asked,
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
    from benchmarks.chaos.served import Load

    began = time.monotonic()
    with Load(served, callers=8) as load:
        time.sleep(PROBE_S)
    return load.n, load.n / (time.monotonic() - began)


def _break(chaos: Chaos, seconds: float, pause: float) -> Counter[str]:
    drawn: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        (harm,) = chaos.rng.choices(list(SHARES), weights=list(SHARES.values()))
        harm(chaos)
        drawn[harm.__name__] += 1
        time.sleep(chaos.rng.uniform(0.1, pause))
    return drawn


def _settled(served: Served) -> dict[str, Any]:
    """Wait for lanes and console to be whole again, then for the lanes to catch up."""
    import httpx

    last: dict[str, Any] = {}

    def done() -> bool:
        try:
            last.update(served.ledger())
        except (httpx.HTTPError, AssertionError):
            return False
        return not any(lane["pending"] for lane in last["lanes"])

    served.until(done, "the lanes to catch up", seconds=180)
    return last


if __name__ == "__main__":
    main()
