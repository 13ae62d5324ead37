"""Odd models by the thousand, through the champion's and the lane's own code: nothing may stop.

Each model is drawn from a seed: at its first call, at later ones or at some rows it answers anything of
any type, raises anything in any way, or harms the process that it runs in. A champion answers requests
with it and journals them; a lane scores them with the next one. Every request must have an answer and,
in the lane, one outcome. Every fourth is odd when it is loaded: it is refused in words that name it, or
answers. Models run by the hundred in processes of their own, whose death is a failure. For each hundred one
version ends or harms a lane's real process (`odd_deaths`).

python -m benchmarks.odd_models --models 2000
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import odd_deaths, odd_loader
from rig.oddities import ERRORS, MARKER, EvilArgument, EvilText

N_REQUESTS = 6
MAX_ENDS = 20
PATIENCE_S = 60.0
EACH = 100
"""Models that share a process."""


def nested(depth: int) -> Any:
    """Return a list in a list, so many times."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def circle() -> list[Any]:
    """Return a list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


class Lying(list):
    """A list that says it has another length, and yields nothing of it."""

    def __len__(self) -> int:
        return 10**6

    def __iter__(self) -> Any:
        raise SystemExit(MARKER)


class Hostile(dict):
    """A mapping whose items exit."""

    def items(self) -> Any:
        raise SystemExit(MARKER)

    __iter__ = keys = values = items  # type: ignore[assignment]


ANSWERS: dict[str, Callable[[int], Any]] = {
    "numbers": lambda n: np.arange(n, dtype=float),
    "one number": lambda _: 3.5,
    "nothing": lambda _: None,
    "too few": lambda n: [1.0] * (n - 1),
    "too many": lambda n: [1.0] * (n + 3),
    "texts": lambda n: ["red"] * n,
    "surrogates": lambda n: ["\ud800"] * n,
    "surrogate keys": lambda n: [{"\udfff": 1}] * n,
    "evil texts": lambda n: [EvilText("red")] * n,
    "evil objects": lambda n: [EvilArgument()] * n,
    "objects": lambda n: [object()] * n,
    "a generator": lambda n: (i for i in range(n)),
    "a function": lambda _: print,
    "a type": lambda _: int,
    "a coroutine": lambda _: asyncio.sleep(0),
    "itself": lambda _: circle(),
    "deep": lambda n: [nested(230)] * n,
    "deeper": lambda n: [nested(400)] * n,
    "deepest": lambda n: [nested(50_000)] * n,
    "lying": lambda _: Lying([1.0]),
    "hostile": lambda n: [Hostile(a=1)] * n,
    "hostile whole": lambda _: Hostile(a=1),
    "bytes": lambda n: [b"\xff"] * n,
    "complex": lambda n: np.ones(n) * 1j,
    "huge numbers": lambda n: [10**400] * n,
    "infinite": lambda n: np.full(n, np.inf),
    "not numbers": lambda n: [Decimal("NaN")] * n,
    "dates": lambda n: np.full(n, "2024-01-01", dtype="datetime64[ns]"),
    "a table": lambda n: pd.DataFrame({"a": range(n), 7: ["x"] * n}),
    "alike columns": lambda n: pd.DataFrame([[1, 2]] * n, columns=["a", "a"]),
    "ragged": lambda n: [[1] * i for i in range(n)],
    "masked": lambda n: np.ma.masked_all(n),
    "a record array": lambda n: np.zeros(n, dtype=[("a", "f8"), ("b", "U3")]),
    "sets": lambda n: [{1, 2}] * n,
    "mixed": lambda n: [1, "x", None, [], {}, True][:n] * n,
    "large": lambda n: ["x" * 100_000] * n,
    "wide": lambda n: np.zeros((n, 5_000)),
}


def _threads(_: random.Random) -> None:
    def fail() -> None:
        raise ValueError(MARKER)

    for target in (fail, lambda: sys.exit(3)):
        threading.Thread(target=target, daemon=True).start()


def _later(chance: random.Random) -> None:
    """Raise in this thread some time after the call, from a timer's signal or from another thread."""
    tid = threading.get_ident()

    def fail(*_: object) -> None:
        raise SystemExit(MARKER)

    if threading.current_thread() is threading.main_thread() and chance.random() < 0.5:
        signal.signal(signal.SIGALRM, fail)
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.001, 0.02))
        return
    time.sleep(0.001)
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in(ctypes.c_ulong(tid), ctypes.py_object(SystemExit))


class _Raising(logging.Handler):
    def emit(self, _record: logging.LogRecord) -> None:
        raise SystemExit(MARKER)


class _Dying:
    def __del__(self) -> None:
        raise SystemExit(MARKER)


def _streams(chance: random.Random) -> None:
    if chance.random() < 0.5:
        sys.stdout = sys.stderr = None  # type: ignore[assignment]
    else:
        sys.stdout.close()
        sys.stderr.close()


def _logs(chance: random.Random) -> None:
    chance.choice([
        lambda: logging.getLogger().addHandler(_Raising()),
        lambda: logging.getLogger("shadowserve").addFilter(lambda _: sys.exit(3)),
        logging.shutdown,
    ])()  # fmt: skip


def _shallow(_: random.Random) -> None:
    sys.setrecursionlimit(len(gc.get_referrers()) + 150)


HARMS: dict[str, Callable[[random.Random], None]] = {
    "threads that raise": _threads,
    "raises later": _later,
    "closes streams": _streams,
    "breaks logging": _logs,
    "raises when forgotten": lambda _: _Dying().__init__(),  # type: ignore[misc]
    "warns": lambda _: warnings.warn(MARKER, stacklevel=1),
    "warnings are errors": lambda _: warnings.simplefilter("error"),
    "numpy raises": lambda _: np.seterr(all="raise"),
    "empties the environment": lambda _: os.environ.clear(),
    "goes elsewhere": lambda _: os.chdir("/"),
    "prints": lambda _: print(MARKER * 100, file=sys.stderr),
    "interrupts": lambda _: signal.raise_signal(signal.SIGUSR1),
    "few calls deep": lambda _: sys.setrecursionlimit(200),
    "no garbage collection": lambda _: gc.disable(),
}


class Odd:
    """One model; what it does is settled by its seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._from_call = self._chance.choice([0, 0, 1, 3])
        self._always = self._chance.random() < 0.5
        self._kind = self._chance.choice(["answer", "answer", "raise", "harm", "all"])
        self._calls = 0
        self.did: list[str] = []

    def __call__(self, frame: pd.DataFrame, _params: Any) -> Any:
        self._calls += 1
        if self._calls <= self._from_call or not (self._always or self._chance.random() < 0.5):
            return frame["age"].to_numpy() * 2
        if self._kind in ("harm", "all"):
            name = self._chance.choice(list(HARMS))
            self.did.append(name)
            HARMS[name](self._chance)
        if self._kind == "raise" or (self._kind == "all" and self._chance.random() < 0.5):
            name = self._chance.choice(list(ERRORS))
            self.did.append(name)
            raise ERRORS[name]()
        name = self._chance.choice(list(ANSWERS))
        self.did.append(name)
        return ANSWERS[name](len(frame))


def try_model(seed: int, root: Path) -> str | None:
    """Serve requests with one model and score them with the next; say what went wrong."""
    from rig.champion import Serving, work
    from rig.deployment import CHALLENGER, made
    from rig.lane import told
    from rig.lane import work as let_lane_work
    from rig.scoring import opaque, record

    places = made(root, CHALLENGER)
    champion, challenger = Odd(seed), Odd(seed + 1)
    scorer = opaque(champion, number=3)
    # the champion's own thread stands in for a worker's main one
    serving = Serving(root, scorer)

    async def ask() -> list[Any]:
        works = [work([record(n)] * (1 + n % 2), scorer.schema) for n in range(N_REQUESTS)]
        for one in works:
            serving.champion.submit(one)
        ends = asyncio.gather(*(one.done for one in works))
        return list(await asyncio.wait_for(ends, PATIENCE_S))

    with serving:
        for served in asyncio.run(ask()):
            if served.status not in (200, 500):
                return f"status {served.status} after {champion.did}"
            json.loads(served.body)
        counts = serving.counters.counts()
    if counts.answered + counts.failed != N_REQUESTS or counts.append_failed:
        return f"{counts} after {champion.did}"
    (places.counters(0)).write_bytes((root / "0.bin").read_bytes())
    for _ in range(MAX_ENDS):  # what is raised later may end a lane's process; it is started again
        try:
            let_lane_work(places, opaque(challenger), rescore=True)
            break
        except SystemExit:
            if "raises later" not in [*champion.did, *challenger.did]:
                raise
    signal.setitimer(signal.ITIMER_REAL, 0)
    outcomes = told(places)
    if sum(outcomes.values()) != N_REQUESTS or outcomes.get("pending"):
        return f"{outcomes} after {champion.did} and {challenger.did}"
    return None


LOADS = [
    *odd_loader.STRANGE,
    *odd_loader.ERRORS,
    *(
        name
        for name in odd_loader.SETTINGS
        if name not in ("an alarm", "a thread that raises here")
    ),
    "recursion without end",
]
"""What a loader may do that ends no process; two that go on afterwards are `odd_deaths`'s."""


def try_load(seed: int, root: Path) -> str | None:
    """Load a version whose loader is odd, and let it answer; say what went wrong."""
    from dataclasses import replace

    from rig.scoring import body, record, version
    from shadowserve.errors import ModelError
    from shadowserve.scorer.scoring import open_version
    from shadowserve.versions.version import digest_of
    from shadowserve.wire.protocols import protocols

    harm = LOADS[seed // 4 % len(LOADS)]
    path = odd_loader.write(root / "v4", at_load=harm)
    try:
        scorer = open_version(replace(version(4), digest=digest_of(path)[0]), path)
    except ModelError as error:
        named = "films:4" in str(error) and MARKER not in str(error)
        return None if named else f"{harm} at load: {error}"
    protocol = dict(protocols("films", 3))["invocations"]
    rows, echo = protocol.parse(body(record(3)), "application/json", scorer.schema)
    try:
        answer = json.loads(protocol.encode(scorer.score(rows).output, echo=echo))
    except BaseException:  # what is called fails, as a request then does
        return None if harm in odd_loader.STRANGE else f"{harm} at load: it does not answer"
    right = harm in odd_loader.STRANGE or answer["predictions"] == [6.0]
    return None if right else f"{harm} at load: {answer}"


def _restored(paths: list[str], environ: dict[str, str], here: Path, recursion: int) -> None:
    """Undo for the next model what the last made of this process."""
    sys.settrace(None)
    sys.setprofile(None)
    sys.setrecursionlimit(recursion)
    sys.path[:] = paths
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    gc.callbacks.clear()
    gc.enable()
    logging.disable(logging.NOTSET)
    os.umask(0o022)
    os.chdir(here)
    os.environ.update(environ)


def try_many(first: int, n: int) -> None:
    """Try models in this process, and print a line for each that something went wrong with."""
    from shadowserve import ambience

    ambience.claim()  # as a worker and a lane do
    signal.signal(signal.SIGUSR1, lambda *_: None)
    said = os.fdopen(os.dup(1), "w", buffering=1)  # models close the others
    recursion, here, environ = sys.getrecursionlimit(), Path.cwd(), dict(os.environ)
    paths = list(sys.path)
    for seed in range(first, first + n):
        print(f"{seed} began", file=said)
        with tempfile.TemporaryDirectory() as root:
            try:
                wrong = (try_load if seed % 4 == 3 else try_model)(seed, Path(root))
            except BaseException as error:
                wrong = f"{type.__dict__['__name__'].__get__(type(error))} {error.__traceback__ and error.__traceback__.tb_lineno}"
                if os.environ.get("ODD_TRACE"):
                    import traceback

                    traceback.print_exc(file=said)
        _restored(paths, environ, here, recursion)
        if wrong is not None:
            print(f"{seed} wrong: {wrong}", file=said)
    print("done", file=said)


def run(models: int, *, first: int = 0) -> tuple[int, list[str]]:
    """Try so many models in processes of their own; return how many were tried, and what went wrong."""
    wrong: list[str] = []
    for start in range(first, first + models, EACH):
        n = min(EACH, first + models - start)
        command = (sys.executable, "-m", "benchmarks.odd_models", "--from", str(start), "--here")
        ran = subprocess.run(
            [*command, "--models", str(n)], capture_output=True, text=True, check=False
        )
        lines = ran.stdout.splitlines()
        wrong += [line for line in lines if " wrong: " in line]
        if not lines or lines[-1] != "done":
            wrong.append(
                f"the process ended ({ran.returncode}) at {lines[-1:] or ran.stderr[-500:]}"
            )
    deaths = list(odd_deaths.cases())
    drawn = random.Random(first).sample(deaths, min(models // EACH, len(deaths)))
    wrong += odd_deaths.run(drawn)[1] if drawn else []
    return models, wrong


def main() -> None:
    """Try them and print what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=2_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="in this process")
    asked = parser.parse_args()
    if asked.here:
        try_many(asked.first, asked.models)
        sys.stderr = None  # type: ignore[assignment]
        os._exit(0)
    began = time.monotonic()
    n, wrong = run(asked.models, first=asked.first)
    print("\n".join(wrong))
    print(f"{n} odd models, {len(wrong)} faults, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
