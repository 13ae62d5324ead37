"""Whether a known cause is named, and nothing where nothing can be known: pairs of versions from seeds.

    python -m benchmarks.causes
    python -m benchmarks.causes --seeds 3 --pairs imputation both

For each pair: how often what is said is what may be said, the step that carries it included, how often anything false
is claimed, and the CPU time that deciding takes on 300 recorded rows. The exit code is 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

from rig.caused import MAKERS, Pair, pair
from shadowserve.judgement.cause.cause import Cause
from shadowserve.judgement.cause.deciding import decide
from shadowserve.scorer.apart import Apart


def asked(planted: Pair) -> tuple[Cause, float]:
    """Return the cause that is found, and the seconds of CPU time that it took."""
    began = time.process_time()
    sides = (Apart(one, planted.rows) for one in (planted.champion, planted.challenger))
    found = decide(*sides, names=("v3", "v4"), of_request=np.arange(planted.rows.n_rows))
    return found, time.process_time() - began


def is_right(planted: Pair, found: Cause) -> bool:
    """Whether it is what may be said of the pair."""
    wanted = "unknown" if planted.kind in (None, "whole") else planted.kind
    steps = [one.step for one in found.carriers]
    return found.kind == wanted and (planted.step is None or steps == [planted.step])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--pairs", nargs="+", default=list(MAKERS))
    given = parser.parse_args()
    print("| pair | may be said | right | false claims | CPU ms, median |")
    print("|---|---|---|---|---|", flush=True)
    wrong = 0
    for name in given.pairs:
        right, false, took = 0, 0, []
        for seed in range(given.seeds):
            planted = pair(name, seed)
            found, seconds = asked(planted)
            fits = is_right(planted, found)
            right += fits
            false += not fits and found.kind != "unknown"
            took.append(seconds * 1e3)
        may = {None: "nothing", "whole": "that it cannot be taken apart"}.get(
            planted.kind, planted.kind
        )
        step = f", {planted.step}" if planted.step else ""
        print(
            f"| {name} | {may}{step} | {right} of {given.seeds} | {false} | {statistics.median(took):.0f} |",
            flush=True,
        )
        wrong += given.seeds - right
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
