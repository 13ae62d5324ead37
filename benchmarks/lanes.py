"""What a lane catching up takes for a request, part by part, beside bare batch `predict`.

    python -m benchmarks.lanes --home DIR                       all models, in this process
    python -m benchmarks.lanes --home DIR --raising 0 0.001 0.01
    python -m benchmarks.lanes --home DIR --process             the lane's real process on one core
    python -m benchmarks.lanes --home DIR --measuring off       nothing alone, nothing again
    python -m benchmarks.lanes --home DIR --champion            beside the champion's own peak, in the same run

A journal of different requests, each really answered by v3, is scored by v4 as a lane does that is hours
behind. Models: `pipeline` (text, category and numbers to a number), `constant`, and the demo's `films`.
Of `--raising` a share of requests makes v4 raise, after all of the call's work was done. `DIR` keeps
models and journals from run to run.

Columns are microseconds of CPU of a request, each part without those within it; `other` is what no part holds.
The first thousand requests of a lane are timed alone, whatever that takes: `later_rps` and `later_cpu` are of what
comes after the first 5,000.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from threadpoolctl import threadpool_limits

from benchmarks.ceiling import Ours
from benchmarks.client import apart
from rig.deployment import deployment
from rig.journal import TIMES, request
from shadowserve import ambience
from shadowserve.host import gc_freeze
from shadowserve.journal.reader import extent
from shadowserve.journal.writer import Writer
from shadowserve.lane import commits, execution, looking, process
from shadowserve.lane.commits import Commits
from shadowserve.lane.observing import Observer
from shadowserve.lane.open_window import OpenWindow
from shadowserve.lane.recording import Recorder
from shadowserve.lane.rescoring import Rescorer
from shadowserve.lane.run import Lane
from shadowserve.records import Role, Times
from shadowserve.schema.rows import concat
from shadowserve.scorer import scoring
from shadowserve.scorer.scorer import Scorer
from shadowserve.settings.options import Options
from shadowserve.state import deployment as deployments
from shadowserve.state import sharing
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import Places
from shadowserve.statistics.switchback import Schedule
from shadowserve.versions import pins
from shadowserve.versions.registry import Registry
from shadowserve.versions.stores import uris
from shadowserve.wire.protocols import protocols

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("pipeline", "constant", "films")
CHALLENGER = LaneName(Role.CHALLENGER, 4)
MARK = "raise-here"
"""A text that makes a challenger raise, where it is told to."""
RAISING, MEASURING = "BENCH_RAISING", "BENCH_MEASURING"
BEHIND_NS = 3_600 * 10**9
FIRST = 5_000
"""Requests of a lane's beginning: the first thousand are timed alone, and a backlog has more of the others."""
CITIES = [f"city-{n:02}" for n in range(20)]


def records(n: int, *, seed: int) -> list[dict[str, Any]]:
    """Return rows with two numbers, a category and a text of 5 to 40 words, no two alike."""
    rng = np.random.default_rng(seed)
    words = np.array(["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(2_000)])
    return [
        {
            "age": float(np.round(rng.uniform(18, 90), 3)),
            "income": float(np.round(rng.lognormal(10, 0.5), 2)),
            "city": CITIES[int(rng.integers(len(CITIES)))],
            "note": " ".join(words[rng.integers(len(words), size=rng.integers(5, 41))]),
        }
        for _ in range(n)
    ]


def traffic_of(model: str, n: int) -> list[dict[str, Any]]:
    """Return `n` different requests for a model."""
    if model != "films":
        return records(n, seed=0)
    from models import traffic

    return [dict(one) for one in traffic.films(n)]


def trained(model: str, *, version: int) -> tuple[Any, Any]:
    """Return a fitted version, and a frame of what it takes."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.dummy import DummyRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame(records(2_000, seed=0))
    if model == "constant":
        return DummyRegressor(strategy="constant", constant=float(version)).fit(
            frame, np.zeros(len(frame))
        ), frame
    features = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["age", "income"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("note", TfidfVectorizer(), "note"),
        ]
    )
    labels = np.random.default_rng(version).integers(0, 5, len(frame))
    classes = LogisticRegression(max_iter=500)
    return Pipeline([("features", features), ("classes", classes)]).fit(frame, labels), frame


def served(home: Path, model: str) -> Deployment:
    """Register v3 and v4 of a model where they are not yet, and return a deployment of them."""
    home.mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{home}/{model}.db"
    if not (home / f"{model}.made").exists():
        _register(home, model, store)
        (home / f"{model}.made").touch()
    registry = Registry(uris(store))
    numbers = (3, 5) if model == "films" else (3, 4)
    fetched = [registry.fetch(pins.Pin(model, n), home / "files") for n in numbers]
    champion, challenger = (one.version for one in fetched)
    challenger = replace(challenger, number=4)  # v4 of films is slow on purpose; its v5 is not
    return deployment(
        champion=champion,
        challengers=(challenger,),
        control=False,
        files={3: str(fetched[0].path), 4: str(fetched[1].path)},
        options=Options(batch="on", rescore=os.environ.get(MEASURING) != "off"),
        tracking_uri=store,
    )


def _register(home: Path, model: str, store: str) -> None:
    from models.register import ensure

    if model == "films":
        os.chdir(home)
        ensure(store, models=("films",))
        os.chdir(ROOT)
        return
    import mlflow
    from mlflow import MlflowClient
    from mlflow.models import infer_signature

    from rig.registry import Store, register

    client = MlflowClient(store, store)
    client.create_experiment("train", artifact_location=(home / f"{model}-files").as_uri())
    kept = Store(uris(store), home, client)
    for number in (1, 2, 3, 4):
        fitted, frame = trained(model, version=number)
        signature = infer_signature(frame, fitted.predict(frame))
        register(kept, model, fitted, signature=signature, input_example=frame[:2])
    mlflow.set_tracking_uri(None)


def journaled(home: Path, model: str, made: Deployment, *, n: int) -> Path:
    """Return a state directory whose journal holds `n` requests, each answered by the champion."""
    shelf = home / f"journal-{model}-{n}"
    if shelf.exists():
        return shelf
    champion = scoring.open_version(made.champion, Path(made.files[3]))
    draft = Places(home / f".draft-{model}-{os.getpid()}")
    draft.make()
    table = dict(protocols(model, 3))
    protocol = table["invocations"]
    steps = champion.step_names
    writer = Writer(draft.journal, worker=0, steps=steps, segment_bytes=64 * 2**20)
    counted = Counters(draft.counters(0))
    sent = [orjson.dumps({"dataframe_records": [one]}) for one in traffic_of(model, n)]
    times = Times(
        phases_ns=(10_000, 20_000, 30_000, 900_000, 300_000, 9_000),
        wall_ns=(300_000,) * len(steps),
        cpu_ns=(300_000,) * len(steps),
    ).pack()
    for first in range(0, n, 256):
        bodies = sent[first : first + 256]
        rows = [protocol.parse(body, "application/json", champion.schema)[0] for body in bodies]
        output = champion.score(concat(rows)).output
        parts = champion.split(output, [1] * len(rows)) if len(rows) > 1 else [output]
        answers = [protocol.encode(part, echo=None) for part in parts]
        now = time.time_ns() - BEHIND_NS
        made_now = [
            request(
                writer.position(at), body=body, answer=answer, times=times or TIMES,
                arrived_wall_ns=now + (first + at) * 300_000,
                arrived_ns=10**9 + (first + at) * 300_000, request_id=f"{first + at:032x}",
            )
            for at, (body, answer) in enumerate(zip(bodies, answers, strict=True))
        ]  # fmt: skip
        writer._spare.exception()
        writer.append(made_now)
        counted.journal_step(
            answered=len(bodies), failed=0, appended=len(bodies), append_failed=0,
            sequence=writer.sequence,
        )  # fmt: skip
    writer.close()
    counted.close()
    draft.root.rename(shelf)
    return shelf


def state_of(home: Path, model: str, made: Deployment, *, n: int) -> Places:
    """Return a fresh state directory with a copy of the recorded journal, and shared calls earned."""
    root = home / "state" / f"{model}-{os.getpid()}"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(journaled(home, model, made, n=n), root)
    places = Places(root)
    places.make()
    deployments.write(places, made)
    version = made.version(4)
    mark = sharing.Mark(places.mark(version.digest, made.options.method))
    mark.earn()
    return places


def raising(share: float) -> None:
    """Let versions raise on requests whose first number has one of some values, after the call's work."""
    stock = Scorer.score

    def score(self: Scorer, rows: Any, **options: Any) -> Any:
        scored = stock(self, rows, **options)
        numbers = [v for v in rows.columns.values() if v.dtype.kind in "fi"]
        summed = sum(np.nan_to_num(v.astype(np.float64)) for v in numbers)
        marks = summed.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        if ((marks >> np.uint64(40)) < share * 2**24).any():
            raise ValueError("a row that this version does not take")
        return scored

    Scorer.score = score  # type: ignore[method-assign]


class Parts:
    """CPU time by part, each without those within it: on a busy machine walls tell of others."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = defaultdict(int)
        self._open: list[int] = []

    def wrap(self, owner: Any, method: str, part: str) -> None:
        """Time a method as a part; where the code has no such method, nothing."""
        stock = getattr(owner, method, None)
        if stock is None:
            return

        def timed(*args: Any, **options: Any) -> Any:
            began = time.thread_time_ns()
            self._open.append(0)
            try:
                return stock(*args, **options)
            finally:
                whole = time.thread_time_ns() - began
                self.spent_ns[part] += whole - self._open.pop()
                if self._open:
                    self._open[-1] += whole

        setattr(owner, method, timed)


WRAPPED: tuple[tuple[Callable[[Lane], Any], str, str], ...] = (
    (lambda lane: lane.parts.tail, "read", "read"),
    (lambda _: Observer, "typed", "type"),
    (lambda _: Observer, "typed_all", "type"),
    (lambda _: Scorer, "score", "score"),
    (lambda _: Observer, "_encode", "encode"),
    (lambda _: Observer, "_answers", "encode"),
    (lambda _: Observer, "_observe", "observe"),
    (lambda _: Rescorer, "offer", "again"),
    (lambda _: Recorder, "comparisons", "record"),
    (lambda _: commits, "_encoded", "write"),
    (lambda lane: lane.commits.comparer, "compare", "compare"),
    (lambda _: looking.Looking, "at", "look"),
    (lambda _: execution.Execution, "begin", "begin"),
    (lambda _: execution.Execution, "finish", "keep"),
    (lambda _: Commits, "learn", "flush"),
    (lambda lane: type(lane.commits.learned), "add", "learn"),
    (lambda lane: type(lane.commits.learned), "state", "state"),
    (lambda lane: lane.parts.state, "commit", "commit"),
    (lambda _: OpenWindow, "close", "window"),
)


class Later:
    """Where a lane's beginning ended, and when: in seconds of the clock, and of CPU."""

    def __init__(self) -> None:
        self.at: tuple[int, float, float] | None = None

    def look(self, done: int) -> None:
        """Note when the first `FIRST` requests are dealt with."""
        if self.at is None and done >= FIRST:
            self.at = done, time.perf_counter(), time.process_time()

    def told(self, n: int) -> dict[str, float]:
        """Return requests a second and CPU microseconds of a request since; nothing of fewer requests."""
        if self.at is None or self.at[0] >= n:
            return {}
        done, began, cpu = self.at
        seconds, spent = time.perf_counter() - began, time.process_time() - cpu
        return {"later_rps": (n - done) / seconds, "later_cpu": spent / (n - done) * 1e6}


@contextmanager
def built(places: Places, made: Deployment, later: Later) -> Iterator[Lane]:
    """Build the lane as its process does, here."""
    lane = process.build(CHALLENGER, places, made)
    lane.parts.schedule = Schedule(
        time.time_ns(), ""
    )  # its first blocks: no lane stands still in them
    goal = extent(places.journal).last

    def is_done() -> bool:
        cursor = lane.parts.tail.cursor
        later.look(lane.commits.learned.requests)  # all that was read by then is committed, too
        return all(cursor.get(worker, 0) >= last for worker, last in goal.items())

    lane.parts.stopping = is_done
    try:
        yield lane
    finally:
        lane.parts.tail.close()
        lane.parts.state.close()
        lane.parts.inflight.close()


def without_measuring() -> None:
    """Score nothing alone; what is scored again is an option of the deployment."""
    stock = looking.turns

    def turns(positions: Any, large: Any, **options: Any) -> Any:
        decided = stock(positions, large, **options)
        off = {"alone": not options["batched"], "timed": False, "burst": False}
        made = {one: replace(one, **off) for one in set(decided)}
        return [made[one] for one in decided]

    looking.turns = turns


def apply_environment() -> None:
    """Do to this process what the caller of the benchmark asked for."""
    if os.environ.get(MEASURING) == "off":
        without_measuring()
    if share := float(os.environ.get(RAISING, 0)):
        raising(share)


def bare(made: Deployment, model: str) -> dict[int, float]:
    """Return rows a second of the model's own `predict` of frames, by rows in a call."""
    scorer = scoring.open_version(made.version(4), Path(made.files[4]))
    protocol = dict(protocols(model, 3))["invocations"]
    sent = [orjson.dumps({"dataframe_records": [one]}) for one in traffic_of(model, 2_048)]
    rows = concat([protocol.parse(b, "application/json", scorer.schema)[0] for b in sent])
    found = {}
    for size, n in ((1, 256), (64, 2_048), (512, 2_048)):
        frames = [rows.part(at, at + size).frame() for at in range(0, n, size)]
        predict = scorer.loaded.predict
        predict(frames[0], {})
        calls = partial(_each, predict, frames)
        best = min(timed(calls) for _ in range(3))
        found[size] = n / best
    return found


def peak(home: Path, model: str) -> float:
    """Return the champion's requests a second at 64 clients, without lanes: median of three blocks."""
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies.jsonl"
        sent = [orjson.dumps({"dataframe_records": [one]}) for one in traffic_of(model, 2_000)]
        bodies.write_bytes(b"\n".join(sent))
        server = Ours(model, "v3", f"sqlite:///{home}/{model}.db", Path(folder) / "served")
        with server.served(), server.running.awake():
            blocks = [
                apart(server.url, bodies, clients=64, requests=n) for n in (2_000, *(12_000,) * 3)
            ]
    return float(statistics.median(block["rps"] for block in blocks[1:]))


def _each(predict: Callable[[Any, Any], Any], frames: Sequence[Any]) -> None:
    for frame in frames:
        predict(frame, {})


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_process(
    places: Places, made: Deployment, *, n: int, profile: str | None = None
) -> dict[str, float]:
    """Let a lane catch up here; return requests a second and microseconds of a request by part."""
    later = Later()
    with built(places, made, later) as lane:
        spent = Parts()
        if profile is None:
            for owner, method, part in WRAPPED:
                spent.wrap(owner(lane), method, part)
        gc_freeze.settle()
        ambience.spare_collections()
        run: Callable[[], Any] = lane.run
        if profile is not None:
            import cProfile

            profiler = cProfile.Profile()
            run = partial(profiler.runcall, lane.run)
        cpu = time.process_time()
        seconds = timed(run)
        cpu = time.process_time() - cpu
        after = later.told(n)
        if profile is not None:
            profiler.dump_stats(profile)
        known = {part: ns / n / 1e3 for part, ns in spent.spent_ns.items()}
        outcomes = lane.parts.state.outcomes()
    assert sum(outcomes.values()) == n, outcomes
    whole = seconds / n * 1e6
    return {
        "rps": n / seconds, "us": whole, "cpu": cpu / n * 1e6, **after, **known,
        "other": cpu / n * 1e6 - sum(known.values()), "errors": outcomes.get("challenger_error", 0),
    }  # fmt: skip


def pinned(places: Places, *, n: int, core: int) -> float:
    """Run the lane's real process on one core and return requests a second once it works."""
    command = [sys.executable, "-m", "benchmarks.lanes", "--as-lane", str(places.root)]
    child = subprocess.Popen(command, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    path = places.lane(CHALLENGER.role, CHALLENGER.version).state
    seen: list[tuple[float, int]] = []
    try:
        while not seen or seen[-1][1] < n:
            if child.poll() is not None:
                raise RuntimeError(f"the lane ended with {child.returncode}")
            time.sleep(0.05)
            done = _done(path)
            if done and (not seen or done > seen[-1][1]):
                seen.append((time.perf_counter(), done))
    finally:
        child.terminate()
        child.wait(60)
    (began, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - began)


def _done(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT coalesce(sum(n), 0) FROM ledger").fetchone()[0])
    except sqlite3.Error:
        return 0


def evidence(places: Places, made: Deployment, folder: Path) -> tuple[int, float]:
    """Carry what the lane wrote to a fresh MLflow; return windows and CPU milliseconds of each."""
    from rig.stores import fresh_store
    from shadowserve.evidence.store import Store
    from shadowserve.evidence.writer import Writer as Carrier
    from shadowserve.report.build import build

    folder.mkdir(parents=True, exist_ok=True)
    store = fresh_store(folder)

    def report(where: Places, what: Deployment, version: int) -> Any:
        return build(where, what, challenger=version)

    carrier = Carrier(places, made, report=report, connect=lambda: Store(store, None))
    carrier.prove()
    cpu = time.process_time()
    carrier.turn()
    n = sum(count["arrived"] for count in carrier.counts.values())
    return n, (time.process_time() - cpu) / max(n, 1) * 1e3


def main() -> None:
    """Print a line for each model and share that raises."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path(".bench-lanes"))
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--raising", nargs="*", type=float, default=[0.0])
    parser.add_argument("--measuring", choices=("on", "off"), default="on")
    parser.add_argument("--process", action="store_true", help="the real process, on one core")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--evidence", action="store_true", help="carry it to MLflow, too")
    parser.add_argument("--no-bare", action="store_true")
    parser.add_argument("--champion", action="store_true", help="measure the champion's peak, too")
    parser.add_argument("--profile", help="write cProfile's statistics there")
    parser.add_argument("--as-lane", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.as_lane:
        apply_environment()
        sys.exit(process.main(["challenger", "v4", asked.as_lane]))
    os.environ[MEASURING] = asked.measuring
    home = asked.home.resolve()
    with threadpool_limits(1):
        for model in asked.models:
            made = served(home, model)
            journaled(home, model, made, n=asked.requests)
            if not asked.no_bare:
                print(
                    json.dumps(
                        {
                            "model": model,
                            "bare": {k: round(v) for k, v in bare(made, model).items()},
                        }
                    )
                )
            champion = peak(home, model) if asked.champion else None
            if champion is not None:
                print(json.dumps({"model": model, "champion_rps": round(champion)}), flush=True)
            for share in asked.raising:
                _one(asked, home, model, made, share, champion=champion)


def _one(
    asked: Any, home: Path, model: str, made: Deployment, share: float, *, champion: float | None
) -> None:
    """Measure one line in a process of its own, since what raises is patched in."""
    os.environ[RAISING] = str(share)
    places = state_of(home, model, made, n=asked.requests)
    line: dict[str, Any] = {"model": model, "raising": share, "measuring": asked.measuring}
    try:
        if asked.process:
            line["process_rps"] = round(pinned(places, n=asked.requests, core=asked.core))
            if champion:
                line["of_champion"] = round(line["process_rps"] / champion, 2)
        else:
            child = os.fork()
            if child == 0:
                apply_environment()
                os.sched_setaffinity(0, {asked.core})
                told = in_process(places, made, n=asked.requests, profile=asked.profile)
                line |= {part: round(value, 1) for part, value in told.items()}
                if champion:
                    line["of_champion"] = round(told["rps"] / champion, 2)
                    if "later_rps" in told:
                        line["later_of_champion"] = round(told["later_rps"] / champion, 2)
                if asked.evidence:
                    windows, each = evidence(places, made, home / "evidence")
                    line |= {"windows": windows, "evidence_ms": round(each, 1)}
                    line["evidence_us"] = round(windows * each / asked.requests * 1e3, 1)
                print(json.dumps(line), flush=True)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if status:
                raise RuntimeError("the measurement failed")
            return
        print(json.dumps(line), flush=True)
    finally:
        shutil.rmtree(places.root, ignore_errors=True)


if __name__ == "__main__":
    main()
