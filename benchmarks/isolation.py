"""What an environment of its own takes: to make it, to start a version in it, and for each call.

    python -m benchmarks.isolation

One scikit-learn pipeline (a number, a category, a text) is trained in an environment made from five requirements.
The environment is made cold (the installer's own cache emptied), then warm (that cache filled, the environment
deleted), then asked for where it is there. Calls of one row and of 64 are made in turn by a version in this
process and by the same files isolated, where both have the same libraries: what differs is the way to and fro.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path

from rig import elsewhere
from shadowserve.host import clock
from shadowserve.schema.rows import Rows, concat
from shadowserve.scorer import scoring
from shadowserve.scorer.isolated import environments, tools
from shadowserve.scorer.isolated.environments import Source
from shadowserve.scorer.isolated.making import make
from shadowserve.scorer.isolated.requirements import Requirements
from shadowserve.scorer.scorer import Scorer
from shadowserve.settings.options import Options

OWN = ("numpy", "pandas", "scikit-learn", "scipy")
ROUNDS = 400


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="isolation-") as folder:
        root = Path(folder)
        _build(root)
        _calls(root, rounds)


def _build(root: Path) -> None:
    wanted = Requirements("3.11", tuple(sorted(elsewhere.LINES)))
    os.environ["UV_CACHE_DIR"] = str(root / "uv")
    os.environ["PIP_CACHE_DIR"] = str(root / "pip")
    for state in ("cold", "warm", "there"):
        if state == "warm":
            shutil.rmtree(root / "cache")
        began = time.monotonic()
        made = environments.obtain(wanted, Source(), root / "cache", name=state)
        print(
            f"{state:6} {time.monotonic() - began:7.2f} s  {made.size_bytes / 1e6:,.0f} MB, {tools.tool().name}"
        )


def _calls(root: Path, rounds: int) -> None:
    """Score the same files here and isolated, with the same libraries, in turn."""
    lines = tuple(f"{name}=={installed(name)}" for name in OWN)
    made = elsewhere.environment(lines)
    path = elsewhere.trained(root / "model", made, "pipeline", lines=lines)
    version = elsewhere.version(path)
    options = replace(Options(), isolate=(str(version.pin),))
    make(version, path, options)
    here = scoring.warm(scoring.open_version(version, path, champion=version))
    began = time.monotonic()
    there = scoring.warm(scoring.open_version(version, path, options=options, champion=version))
    print(f"loaded isolated in {time.monotonic() - began:.2f} s")
    row = here.schema.type_records([{"x": 1.0, "city": "Oslo", "note": "good film"}])
    for n_rows in (1, 64):
        rows = concat([row] * n_rows)
        for name, spent in _in_turn({"here": here, "isolated": there}, rows, rounds).items():
            call, model = (statistics.median(each) for each in zip(*spent, strict=True))
            print(
                f"{n_rows:3} rows {name:9} call {call:6.3f} ms, of it the version's own time {model:6.3f} ms"
            )
    print(f"memory of the version's process {(clock.own_bytes(there.pid) or 0) / 1e6:.0f} MB")


def _in_turn(
    scorers: dict[str, Scorer], rows: Rows, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in scorers}
    for _ in range(rounds):
        for name, scorer in scorers.items():
            spent[name].append(_call(scorer.score, rows))
    return spent


def _call(score: Callable[[Rows], object], rows: Rows) -> tuple[float, float]:
    began_ns = time.perf_counter_ns()
    scored = score(rows)
    call_ns = time.perf_counter_ns() - began_ns
    return call_ns / 1e6, (scored.featurization_ns + scored.inference_ns) / 1e6  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
