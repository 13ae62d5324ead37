"""What the timed walk costs beside the model's own `predict`, and what a named step costs.

    python -m benchmarks.featurization               the demo's champion and the whole battery
    python -m benchmarks.featurization --champion    the champion only
    python -m benchmarks.featurization --only "gradient boosting" lightgbm
    python -m benchmarks.featurization --steps       `shadowserve.step` only

Three ratios, each the median over paired rounds in alternating order; smaller is better:
``frame``   walk from a frame ÷ `predict` of that frame: goal 0.70 on the champion, 1.02 on any;
``columns`` walk from parsed columns ÷ (frame from the same columns + `predict`): goal 0.55 where
            frames are built for each step, 1.02 on any;
``strict``  walk from parsed columns ÷ `predict` of a frame that was there already.
At 64 rows the goals are 0.90 and 1.02. CPU time of the thread is taken where all work is in the
thread, since a busy machine then disturbs less; wall time where the model starts threads.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import statistics
import timeit
import types
import warnings
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from typing import Any

from threadpoolctl import threadpool_limits

from rig.model_shapes import ARRAY_SHAPES, SHAPES, fitted, sample_rows
from shadowserve import steps
from shadowserve.schema.rows import Rows
from shadowserve.scorer import featurization

GOALS = {1: {"champion": 0.70, "built": 0.55, "any": 1.02}, 64: {"champion": 0.90, "any": 1.02}}
LEAST_NS = 3_000_000


def films_champion() -> tuple[Any, Callable[[int], Rows]]:
    """The demo's champion on a part of its data, and requests for it."""
    from models.films.versions import COLUMNS, champion, pages

    pages_seen = pages().iloc[:6_000]
    names = [column.name for column in COLUMNS]
    model = champion().fit(pages_seen[names], pages_seen["film"].to_numpy())

    def rows(n_rows: int) -> Rows:
        kinds = {"long": "int64", "double": "float64", "string": object}
        columns = {
            column.name: pages_seen[column.name].iloc[-n_rows:].to_numpy(dtype=kinds[column.type])
            for column in COLUMNS
        }
        return Rows(columns=columns, n_rows=n_rows)

    return model, rows


def ratios(
    plan: featurization.Plan, rows: Rows, *, rounds: int, clock: Callable[[], int]
) -> list[float]:
    """Stock milliseconds for a frame, then the three ratios of the module's docstring."""
    frame = rows.model_input()
    stock = getattr(plan.model, plan.method)
    calls: list[Callable[[], Any]] = [
        lambda: stock(frame),
        lambda: plan.stock(rows),
        lambda: plan.run(rows),
        lambda: plan.run_frame(frame),
    ]
    repeats = max(1, int(LEAST_NS / max(_took(calls[0], 1, clock), 1)))
    spent: list[list[float]] = [[] for _ in calls]
    for number in range(rounds):
        order = range(len(calls)) if number % 2 else range(len(calls) - 1, -1, -1)
        for place in order:
            spent[place].append(_took(calls[place], repeats, clock))
    on_frame, on_columns, walk, walk_frame = spent

    def ratio(ours: list[float], theirs: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))

    return [
        statistics.median(on_frame) / 1e6,
        ratio(walk_frame, on_frame),
        ratio(walk, on_columns),
        ratio(walk, on_frame),
    ]


def _took(call: Callable[[], Any], repeats: int, clock: Callable[[], int]) -> float:
    began = clock()
    for _ in range(repeats):
        call()
    return (clock() - began) / repeats


def report(name: str, model: Any, rows: Callable[[int], Rows], *, rounds: int) -> None:
    """Print a line for 1 row and one for 64."""
    plan = featurization.verify(featurization.compile(model), rows(3))
    in_thread = all(part.n_jobs is None for part in plan.steps)
    clock = thread_time_ns if in_thread else perf_counter_ns
    for n_rows in (1, 64):
        plan.run(rows(n_rows))
        stock_ms, *found = ratios(plan, rows(n_rows), rounds=rounds, clock=clock)
        goals = GOALS[n_rows]
        limit = goals["champion"] if name.startswith("films") else goals["any"]
        built = goals.get("built", limit) if name.startswith("films") else limit
        met = found[0] <= limit and found[1] <= built
        kind = "cpu" if in_thread else "wall"
        figures = "".join(f"{value:9.3f}" for value in found)
        print(
            f"{name:38}{n_rows:5}{len(plan.steps):6}{stock_ms:10.3f}{figures}"
            f"{kind:>6}  {'met' if met else 'MISSED'}",
            flush=True,
        )


def step_costs() -> None:
    """Print what a step costs when nobody listens, and when it is timed."""
    package = types.SimpleNamespace(step=steps.step)
    scope = {
        "nullcontext": contextlib.nullcontext,
        "package": package,
        "wall": perf_counter_ns,
        "cpu": thread_time_ns,
        "columns": ("text",),
    }

    def ns(statement: str) -> float:
        return min(timeit.repeat(statement, globals=scope, number=20_000, repeat=25)) / 20_000 * 1e9

    empty, attribute = ns("with nullcontext(): pass"), ns("package.step")
    idle = ns("with package.step('embed'): pass")
    print(f"nobody listens {idle:7.0f} ns; nullcontext {empty:.0f} + attribute {attribute:.0f} ns")
    print(f"    ÷ (1.2 nullcontext + attribute) = {idle / (1.2 * empty + attribute):.3f}  (goal 1)")
    clocks = ns("wall(); wall(); cpu(); cpu()")
    heard = steps.listen()
    scope["clear"] = heard.closed.clear
    with heard:
        once = "with package.step('embed'): pass"
        timed = ns(f"{once}\nclear()") - ns("clear()")
        named = ns("with package.step('embed', columns=columns): pass\nclear()") - ns("clear()")
    print(
        f"timed          {timed:7.0f} ns, with columns {named:.0f} ns; its four clock calls {clocks:.0f} ns"
    )
    print(f"    ÷ clock calls = {timed / clocks:.3f}, with columns {named / clocks:.3f}  (goal 2)")


def main() -> None:
    """Print the tables that the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--champion", action="store_true")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--only", nargs="*", default=[*SHAPES, *ARRAY_SHAPES], metavar="SHAPE")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    gc.freeze()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, one BLAS thread")
    with threadpool_limits(1):
        step_costs()
        if chosen.steps:
            return
        print(
            f"\n{'model':38}{'rows':>5}{'steps':>6}{'stock ms':>10}{'frame':>9}{'columns':>9}{'strict':>9}"
        )
        report("films v3 (the demo's champion)", *films_champion(), rounds=4 * chosen.rounds)
        if chosen.champion:
            return
        for shape in chosen.only:
            report(
                shape,
                fitted(shape),
                lambda n, shape=shape: sample_rows(shape, n),
                rounds=chosen.rounds,
            )


if __name__ == "__main__":
    main()
