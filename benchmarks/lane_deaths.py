"""A lane of several processes under load, one of them killed again and again: is anything lost, or counted twice?

    python -m benchmarks.lane_deaths
    python -m benchmarks.lane_deaths --kills 100 --seed 2 --processes 3

A deployment answers closed-loop callers while SIGKILL strikes a scorer of the challenger or its recorder, the
lane's own process, drawn at random. In the end the ledger, the callers' tally, the lane's Parquet parts and the
report are laid side by side; the exit code is 1 if anything does not fit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from rig import tiny
from rig.served import Load, Served

PAUSE_S = (0.05, 0.6)
CALLERS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Parameters
    ----------
    killed : Counter of str
        By victim: scorer or recorder.
    asked : int
        Requests that callers sent, all of which were answered if `told` says so.
    rows, positions : int
        Rows in the lane's parts, and different positions among them.
    """

    killed: Counter[str]
    asked: int
    told: Counter[str]
    wrong: int
    lane: dict[str, int]
    balanced: bool
    rows: int
    positions: int
    reported: int
    seconds: float

    @property
    def faults(self) -> list[str]:
        """What does not fit; empty where nothing was lost and nothing counted twice."""
        scored = self.lane["both_ok"]
        checks = {
            f"callers were told {dict(self.told)}": set(self.told) != {"200"},
            f"{self.wrong} answers were wrong": self.wrong > 0,
            "the ledger does not balance": not self.balanced,
            f"{scored} of {self.asked} requests were scored": scored != self.asked,
            f"{self.rows} rows were kept of {scored}": self.rows != scored,
            f"{self.rows - self.positions} rows are there twice": self.rows != self.positions,
            f"the report has {self.reported} requests": self.reported != self.asked,
            f"{self.lane['crashed']} requests are blamed": self.lane["crashed"] > 0,
        }
        return [what for what, holds in checks.items() if holds]

    def __str__(self) -> str:
        """Return the table's row."""
        return (
            f"| {self.killed['scorer']} | {self.killed['recorder']} | {self.asked:,} | "
            f"{self.lane['both_ok']:,} | {self.rows:,} | {'; '.join(self.faults) or 'none'} | "
            f"{self.seconds:.0f} s |"
        )


def run(root: Path, store: tiny.Store, *, kills: int, seed: int, processes: int = 3) -> Outcome:
    """Serve, kill so often, let the lane catch up, and count."""
    chance, killed, began = random.Random(seed), Counter[str](), time.monotonic()
    options = ("--no-control", "--lane-processes", str(processes))
    with Served(root, store, *options) as served:
        with Load(served, callers=CALLERS, pause_s=0.002) as load:
            while sum(killed.values()) < kills:
                served.until(lambda: served.scorers(), "a scorer at work")
                time.sleep(chance.uniform(*PAUSE_S))
                victims = [("scorer", one.pid) for one in served.scorers()]
                victims += [("recorder", pid)] if (pid := served.lane_pid(tiny.BETTER)) else []
                if not victims:
                    continue
                who, pid = chance.choice(victims)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed[who] += 1
        ledger = served.settled()
        lane, reported = served.lane(tiny.BETTER), served.report()["requests"]
        served.stop()
    folder = served.state / "lanes" / f"challenger-v{tiny.BETTER}"
    places = [
        place
        for part in sorted(folder.rglob("*.parquet"))
        for place in pq.read_table(part, columns=["position"])["position"].to_pylist()
    ]
    return Outcome(
        killed=killed, asked=load.n, told=load.told, wrong=load.wrong, lane=lane,
        balanced=ledger["balanced"], rows=len(places), positions=len(set(places)),
        reported=reported, seconds=time.monotonic() - began,
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=3)
    asked = parser.parse_args()
    print("| scorers killed | recorders killed | asked | scored | rows | faults | took |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="lane-deaths-") as folder:
        outcome = run(
            Path(folder) / "run",
            tiny.registered(Path(folder)),
            kills=asked.kills,
            seed=asked.seed,
            processes=asked.processes,
        )
    print(outcome)
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
