"""How often time is told wrong on hostile traffic, and how soon it is told right.

    python -m benchmarks.calibration_latency            500 runs of 20,000 requests
    python -m benchmarks.calibration_latency --runs 40

The product's own `PairedBursts` judges 16 pairs of every 200 requests, at each of its looks. Moods of the
place are hostile: they last for thousands of requests, are heavy, or hit one process alone. Everything
is seeded; a share is of runs in which it was ever said at any look.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from shadowserve.statistics.paired import PairedBursts

N_REQUESTS, EVERY, PAIRS = 20_000, 200, 16
BURSTS = N_REQUESTS // EVERY
ALARM, BROKEN, KEPT = 0.01 / 15, 0.0125, 0.05
MARGIN, ENOUGH = 0.10, 0.25
FLOOR_MS = 1.0
FloatArray = NDArray[np.float64]
Line = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Times:
    """Times of both lanes on the same requests, in ms, each of shape (n_bursts, n_pairs)."""

    control: FloatArray
    challenger: FloatArray


def _place(rng: np.random.Generator, kind: str) -> FloatArray:
    """Return the logarithm of how slow a place, or a process, is at each timed request."""
    at = (np.arange(BURSTS)[:, None] * EVERY + np.arange(PAIRS)).ravel()
    n = N_REQUESTS
    level = np.zeros(n)
    if kind == "AR 600":
        level = _autoregressive(rng, n, 600, 0.3)
    elif kind == "long memory":
        level = sum((_autoregressive(rng, n, k, 0.06) for k in (30, 300, 3_000, 30_000)), level)
    elif kind == "slow spells":
        level = _spells(rng, n, (6_000, 1_500), 0.2)
    elif kind == "very slow spells":
        level = _spells(rng, n, (10_000, 5_000), 0.33)
    elif kind == "lives apart by 5 %":
        level = np.repeat(0.05 * rng.standard_normal(n // 2_500), 2_500)
    elif kind == "daily cycle":
        level = 0.4 * np.sin(2 * np.pi * (np.arange(n) / 6_000 + rng.random()))
    return level[at]


def _autoregressive(rng: np.random.Generator, n: int, length: float, size: float) -> FloatArray:
    keeps = np.exp(-1 / length)
    shocks = rng.standard_normal(n + 1) * size * np.sqrt(1 - keeps**2)
    shocks[0] = rng.standard_normal() * size
    return np.asarray(lfilter([1], [1, -keeps], shocks)[1:])


def _spells(
    rng: np.random.Generator, n: int, lengths: tuple[float, float], share: float
) -> FloatArray:
    which = np.arange(400)
    long = np.ceil(rng.exponential(np.where(which % 2, lengths[1], lengths[0]))).astype(int)
    slow = (which + (rng.random() < share)) % 2
    return np.log(1.5) * np.repeat(slow, long)[:n]


def _own(rng: np.random.Generator, life: float) -> FloatArray:
    """Return what is a process's own: its lives, its noise, and hiccups of five times."""
    n = BURSTS * PAIRS
    lives = np.repeat(life * rng.standard_normal(8), n // 8)
    hiccups = np.where(rng.random(n) < 0.02, np.log(5), 0.0)
    return lives + 0.1 * rng.standard_normal(n) + hiccups


def drawn(seed: int, kind: str, *, in_turn: bool, ratio: float = 1.0, ms: float = 20.0) -> Times:
    """Return the times of one run.

    Parameters
    ----------
    kind : str
        One of `MOODS`.
    in_turn : bool
        Whether the mood of the place is both lanes' own; else each has one.
    ratio : float
        Challenger's time over the control's, in truth.
    ms : float
        The control's usual time.
    """
    rng = np.random.default_rng(seed)
    apart = kind == "lives apart by 5 %"
    if in_turn:
        place = _place(rng, "none" if apart else kind)
        life = 0.05 if apart else 0.02
        sides = [place + _own(rng, life) for _ in range(2)]
    else:
        sides = [_place(rng, kind) + _own(rng, 0.0) + 0.007 * rng.standard_normal() for _ in "ab"]
    control, challenger = (ms * np.exp(side.reshape(BURSTS, PAIRS)) for side in sides)
    return Times(control, ratio * challenger)


MOODS = (
    "none",
    "lives apart by 5 %",
    "AR 600",
    "long memory",
    "slow spells",
    "very slow spells",
    "daily cycle",
)


def first_look(times: Times, says: Callable[[PairedBursts], bool]) -> int:
    """Return after how many requests something is said first; 0 if never."""
    pairs = PairedBursts(margin=MARGIN)
    pairs.add(-1, times.control[0], times.challenger[0], server_ms=np.full(PAIRS, 0.3))
    looks = 0
    for burst in range(BURSTS):
        pairs.add(burst, times.control[burst], times.challenger[burst])
        if len(pairs.epochs) > looks:
            looks = len(pairs.epochs)
            if says(pairs):
                return (burst + 1) * EVERY
    return 0


def alarmed(pairs: PairedBursts) -> bool:
    """Whether the alarm `latency` is raised."""
    return pairs.is_slower(alpha=ALARM)


def broken(pairs: PairedBursts) -> bool:
    """Whether the verdict's limit is broken."""
    return pairs.is_slower(alpha=BROKEN)


def kept(pairs: PairedBursts) -> bool:
    """Whether the verdict's limit is kept."""
    return pairs.is_not_slower(alpha=KEPT)


def wanting(pairs: PairedBursts) -> bool:
    """Whether the challenger takes so much more time that capacity is in question."""
    return pairs.takes_more(share=ENOUGH) is not None


CASES: tuple[tuple[str, Callable[[PairedBursts], bool], float], ...] = (
    ("false alarm at 1.00", alarmed, 1.0),
    ("broken at 1.00", broken, 1.0),
    ("broken at 1.10", broken, 1.1),
    ("kept at 1.10", kept, 1.1),
    ("kept at 1.00", kept, 1.0),
    ("alarm at 1.3", alarmed, 1.3),
    ("alarm at 1.5", alarmed, 1.5),
)


def share(found: list[int]) -> str:
    """Return the share of runs, and the median of the requests that it took where most did."""
    hits = [n for n in found if n]
    told = f"{100 * len(hits) / len(found):.1f} %"
    return f"{told}, {np.median(hits):.0f}" if len(hits) > 0.3 * len(found) else told


def latency(runs: int) -> Iterator[Line]:
    """Yield rates on moods of the place, in turn and apart."""
    for in_turn in (True, False):
        for kind in MOODS:
            told = []
            for name, says, ratio in CASES:
                found = [
                    first_look(drawn(seed, kind, in_turn=in_turn, ratio=ratio), says)
                    for seed in range(runs)
                ]
                told.append(f"{name}: {share(found)}")
            yield f"{'in turn' if in_turn else 'own cores'}, {kind}", "; ".join(told)


def fast(runs: int) -> Iterator[Line]:
    """Yield rates of a model of a tenth of a millisecond: equal, and one millisecond slower."""
    for kind in MOODS:
        same, later = [], []
        for seed in range(runs):
            times = drawn(seed, kind, in_turn=True, ms=0.1)
            same.append(first_look(times, kept))
            later.append(first_look(Times(times.control, times.challenger + FLOOR_MS), kept))
        within = np.mean([0 < n <= 8_000 for n in same])
        yield (
            f"0.1 ms, in turn, {kind}",
            f"kept within 8,000: {100 * within:.1f} % ({share(same)}); kept at 1 ms slower: {share(later)}",
        )


def capacity(runs: int) -> Iterator[Line]:
    """Yield how often time in sum is called more: tails, spikes, one request of seconds, and 1.4 times."""
    for name in ("one request of 3.2 s", "Pareto 1.2, each its own", "spikes of 50 on 2 %", "1.4"):
        found = [first_look(_loaded(seed, name), wanting) for seed in range(runs)]
        yield f"capacity, {name}", share(found)


def _loaded(seed: int, name: str) -> Times:
    rng, shape = np.random.default_rng(10_000 + seed), (BURSTS, PAIRS)
    work = rng.lognormal(1, 0.6, shape)
    if name == "one request of 3.2 s":
        work[rng.integers(BURSTS), rng.integers(PAIRS)] = 3_200.0
    sides = [work * np.exp(0.1 * rng.standard_normal(shape)) for _ in range(2)]
    if name.startswith("Pareto"):
        sides = [side + rng.pareto(1.2, shape) for side in sides]
    if name.startswith("spikes"):
        sides = [side * np.where(rng.random(shape) < 0.02, 50.0, 1.0) for side in sides]
    return Times(sides[0], sides[1] * (1.4 if name == "1.4" else 1.0))


TABLES = {table.__name__: table for table in (latency, fast, capacity)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--only", default=",".join(TABLES))
    asked = parser.parse_args()
    with threadpool_limits(1):
        for name in asked.only.split(","):
            for label, told in TABLES[name](asked.runs):
                print(f"{label:<36} {told}", flush=True)


if __name__ == "__main__":
    main()
