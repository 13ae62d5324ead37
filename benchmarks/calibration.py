"""How often the statistics are wrong when nothing is, and how soon they are right when something is.

    python -m benchmarks.calibration [--runs 200] [--only means,slices,...]

Everything is seeded; the false-alarm columns are shares of runs in which any look ever erred.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.hostile import NULLS, one_run
from rig.film_columns import film_columns
from shadowserve.statistics.changepoint import ChangeDetector
from shadowserve.statistics.growth import GrowthFit
from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.slices import SliceSearch, kind_of

N_ROWS = 20_000
Line = tuple[str, str]


def means(runs: int) -> Iterator[Line]:
    looks = np.unique(np.geomspace(10, N_ROWS, 200).astype(int))
    for rate in (0.001, 0.05, 0.5):
        wrong = 0
        for seed in range(runs):
            values = (np.random.default_rng(seed).random(N_ROWS) < rate).astype(float)
            running, at, erred = MeanSequence(), 0, False
            for look in looks:
                running.add(values[at:look])
                at = look
                erred |= running.is_above(rate, alpha=0.025) or running.is_below(rate, alpha=0.025)
            wrong += erred
        yield f"mean, rate {rate}: ever wrong at alpha 0.05", f"{wrong / runs:.3f}"
    for name, draw in _shapes().items():
        for n in (100, 1_000, 10_000, 100_000):
            values = draw(np.random.default_rng(1), n)
            seen = MeanSequence()
            seen.add(values)
            low, high = seen.interval(0.05)
            fixed = 1.96 * values.std() / np.sqrt(n)
            bernstein = _predictable_bernstein(values, 0.05) / fixed
            yield (
                f"width / single-look normal interval, {name}, n {n}",
                f"{(high - low) / 2 / fixed:.2f} (predictable empirical Bernstein: {bernstein:.2f})",
            )


def floor(runs: int) -> Iterator[Line]:
    wrong, identical = 0, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        flips = rng.random((2, N_ROWS)) < 0.05
        paired, same = paired_mean(1.0), paired_mean(1.0)
        erred = False
        for rows in np.split(np.arange(N_ROWS), 200):
            paired.add(flips[0, rows].astype(float) - flips[1, rows])
            same.add(np.zeros(rows.size))
            erred |= paired.is_above(0.0, alpha=0.05)
            identical += same.is_above(0.0, alpha=0.05)
        wrong += erred
    yield "F13a, identical versions: alarms over all looks", str(identical)
    yield "F13b, paired with the control: ever an alarm at alpha 0.05", f"{wrong / runs:.3f}"


def slices(runs: int) -> Iterator[Line]:
    ever = 0
    for seed in range(runs):
        columns, _ = films(10_000 + seed, N_ROWS)
        noise = np.random.default_rng(seed).random(N_ROWS) < 0.05
        search = SliceSearch({name: kind_of(values.dtype) for name, values in columns.items()})
        erred = False
        for rows in np.split(np.arange(N_ROWS), 20):
            search.add({name: values[rows] for name, values in columns.items()}, noise[rows])
            erred |= bool(search.findings(0.05))
        ever += erred
    yield "F13b, 5 % random flips: any slice at any of 20 looks", f"{ever / runs:.3f}"
    for flips in (0.0, 0.05):
        exact = 0
        first: list[int] = []
        for seed in range(runs):
            columns, horror = films(seed, 2_000)
            wrong = horror ^ (np.random.default_rng(seed).random(2_000) < flips)
            search = SliceSearch({name: kind_of(values.dtype) for name, values in columns.items()})
            for rows in np.split(np.arange(2_000), 20):
                search.add({name: values[rows] for name, values in columns.items()}, wrong[rows])
                names = [found.describe for found in search.findings(0.05, show=columns)]
                if names and len(first) <= seed:
                    first.append(rows[-1] + 1)
            exact += names == ["genres has Horror"]
        yield (
            f"F10 with {flips:.0%} flips: exactly that slice after 2,000 rows",
            f"{exact / runs:.3f}; first named after {np.median(first):.0f} rows (median)",
        )


def changes(runs: int) -> Iterator[Line]:
    streams: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "5 % random flips": lambda rng: rng.random(N_ROWS) < 0.05,
        "small errors": lambda rng: rng.beta(0.5, 8, N_ROWS),
        "bursts of 10": lambda rng: bursts(rng, N_ROWS, 0.05, 10),
        "bursts of 30": lambda rng: bursts(rng, N_ROWS, 0.05, 30),
        "rare bursts of 40": lambda rng: bursts(rng, N_ROWS, 0.005, 40),
    }
    for name, draw in streams.items():
        alarms = sum(_watched(draw(np.random.default_rng(s)))[0] is not None for s in range(runs))
        yield f"F13b, change in {name}, 20,000 rows: alarms", f"{alarms / runs:.3f}"
    for before, after in ((0.0, 1.0), (0.05, 0.9), (0.0, 0.1), (0.05, 0.15)):
        errors, delays = [], []
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            values = np.concatenate([rng.random(1_200) < before, rng.random(1_800) < after])
            found, at = _watched(values)
            if found is not None:
                errors.append(abs(found - 1_200))
                delays.append(at - 1_200)
        worst = np.quantile(errors, 0.95) if errors else np.nan
        yield (
            f"F24, {before} to {after} at row 1,200: found",
            f"{len(errors) / runs:.3f}; off by {np.median(errors):.0f} rows (median), "
            f"{worst:.0f} (95 %); known after {np.median(delays):.0f} rows",
        )


def hostile(runs: int) -> Iterator[Line]:
    """Play the hostile nulls of `benchmarks.hostile`: any alarm, of any kind, at any look, is false."""
    for name in NULLS:
        ever: Counter[str] = Counter()
        wrong = 0
        for seed in range(runs):
            alarms = one_run(name, seed).alarms
            wrong += bool(alarms)
            ever.update(alarms)
        kinds = ", ".join(f"{kind} {n}" for kind, n in ever.most_common())
        yield f"hostile, {name}: ever an alarm", f"{wrong} of {runs} {kinds}"


def growth(runs: int) -> Iterator[Line]:
    steps: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "constant": lambda size: 0 * size,
        "linear": lambda size: 1e-3 * size,
        "slow linear": lambda size: 1e-4 * size,
        "n log n": lambda size: 1e-4 * size * np.log(size),
        "quadratic": lambda size: 1e-7 * size**2,
    }
    for name, step in steps.items():
        superlinear, exponents = 0, []
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            size = np.maximum(rng.lognormal(np.log(250), 0.5, 1_000), 10).astype(np.int64)
            long = rng.random(1_000) < 0.01
            size[long] = rng.integers(12_000, 120_000, long.sum())
            ms = (0.3 + step(size.astype(float))) * np.exp(0.2 * rng.standard_normal(1_000))
            fit = GrowthFit()
            fit.add(size, ms * np.where(rng.random(1_000) < 0.03, 3, 1))
            found = fit.fit()
            assert found is not None
            superlinear += found.superlinear
            exponents.append(found.exponent)
        near = np.mean(np.abs(np.array(exponents) - 2) <= 0.25)
        more = f"; exponent within 2 ± 0.25: {near:.3f}" if name == "quadratic" else ""
        yield f"F02, {name}, 1,000 requests: superlinear", f"{superlinear / runs:.3f}{more}"


def cost(runs: int) -> Iterator[Line]:  # noqa: ARG001
    columns, _ = films(0, N_ROWS)
    noise = (np.random.default_rng(0).random(N_ROWS) < 0.05).astype(float)
    search = SliceSearch({name: kind_of(values.dtype) for name, values in columns.items()})
    mean, change = MeanSequence(), ChangeDetector()
    adders: dict[str, Callable[[np.ndarray], None]] = {
        "MeanSequence": lambda rows: mean.add(noise[rows]),
        "ChangeDetector": lambda rows: change.add(noise[rows], rows),
        "SliceSearch, 10 columns": lambda rows: search.add(
            {name: values[rows] for name, values in columns.items()}, noise[rows]
        ),
    }
    batches = [np.arange(at, at + 256) for at in range(0, N_ROWS - 256, 256)]
    for name, add in adders.items():
        began = process_time()
        for rows in batches:
            add(rows)
        spent = (process_time() - began) / (256 * len(batches))
        yield f"CPU time of {name}, batches of 256", f"{1e6 * spent:.2f} µs a row"
    began = process_time()
    search.findings(0.05)
    yield "CPU time of one look for slices", f"{1e3 * (process_time() - began):.0f} ms"


def films(seed: int, n_rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Ten columns, and whether a row is one of the 4 % with the genre Horror."""
    rng = np.random.default_rng(seed)
    genres = np.array(["Comedy", "Drama", "Action", "Thriller", "Horror", "War", "Western"])
    has = rng.random((n_rows, genres.size)) < [0.3, 0.4, 0.25, 0.2, 0.04, 0.05, 0.02]
    return film_columns(rng, genres, has), has[:, 4]


def bursts(rng: np.random.Generator, n_rows: int, rate: float, length: int) -> np.ndarray:
    lengths = rng.geometric(1 / length, n_rows)
    return np.repeat(rng.random(n_rows) < rate, lengths)[:n_rows].astype(float)


def _watched(values: np.ndarray) -> tuple[int | None, int]:
    detector = ChangeDetector()
    for at in range(0, values.size, 128):
        detector.add(values[at : at + 128], np.arange(at, min(at + 128, values.size)))
        found = detector.change()
        if found is not None:
            return found.row, at + 128
    return None, values.size


def _shapes() -> dict[str, Callable[[np.random.Generator, int], np.ndarray]]:
    return {
        "rate 0.05": lambda rng, n: (rng.random(n) < 0.05).astype(float),
        "uniform": lambda rng, n: rng.random(n),
        "small errors": lambda rng, n: rng.beta(1, 30, n),
    }


def _predictable_bernstein(values: np.ndarray, alpha: float) -> float:
    """Half-width by Waudby-Smith and Ramdas 2024, theorem 2, for comparison."""
    t = np.arange(1, values.size + 1)
    mean = (0.5 + values.cumsum()) / (t + 1)
    variance = (0.25 + ((values - mean) ** 2).cumsum()) / (t + 1)
    before, mean = np.concatenate([[0.25], variance[:-1]]), np.concatenate([[0.5], mean[:-1]])
    bet = np.minimum(0.5, np.sqrt(2 * np.log(2 / alpha) / (before * t * np.log(1 + t))))
    cost = 4 * (values - mean) ** 2 * (-np.log(1 - bet) - bet) / 4
    return float((np.log(2 / alpha) + cost.sum()) / bet.sum())


TABLES = {table.__name__: table for table in (means, floor, slices, changes, hostile, growth, cost)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--only", default=",".join(TABLES))
    chosen = parser.parse_args()
    with threadpool_limits(1):
        for name in chosen.only.split(","):
            for label, result in TABLES[name](chosen.runs):
                print(f"{label:<72} {result}", flush=True)


if __name__ == "__main__":
    main()
