"""shadowserve beside other servers of the same models, in one run, in alternating rounds.

    python -m benchmarks.peers                                             everything; 40 minutes
    python -m benchmarks.peers --model pipeline --clients 64 --into f.jsonl    a slice, kept
    python -m benchmarks.peers --render f.jsonl --plot docs/peers.svg          what slices found

Asked are shadowserve with a challenger and the control, shadowserve with the champion only, and the
peers, each in a virtual environment of its own (made once, kept under the user's cache directory) with
the same scikit-learn, numpy and pandas; each as its documentation leads one to serve a model, with one
worker and one thread. The limits are a bare uvicorn application that parses the same JSON and answers a
constant, and `predict` of ready frames. Models: a pipeline of text, category and numbers, a
constant, and the demo's films, which rank. 500 different rows are cycled; each server first has to answer 20 of them as the model does.

Rounds alternate, in turning order, and all processes of those that are not asked stand still (SIGSTOP).
The client (`benchmarks.client`) keeps to the last core, and one of its connections waits for no other.
A figure is the median over rounds, with the least and the most. Errors are counted: other statuses,
connections cut off, no answer within 20 s. What the client itself takes of a CPU a request is told: on
two cores no server can answer more than it sends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.client import ROOT, apart
from benchmarks.peers import models
from benchmarks.peers.environments import NotToBeHadError, installed, python
from benchmarks.peers.rendering import plot, table
from benchmarks.peers.servers import SERVERS, Place, Server
from benchmarks.running import DidNotServeError, Running, fetched, serving
from rig.ports import free_port

N_CHECKED = 20
WARM_UP_S = 2.0
SETTLE_S = 0.5
BATCHES = (1, 64, 512)
CLIENTS = (1, 16, 64, 256)
MANY_ROWS, THEIR_CLIENTS = 32, 16


class Asked:
    """One server under way: where it is asked, with which bodies."""

    def __init__(self, server: Server, place: Place, running: Running) -> None:
        self.server, self.running = server, running
        self.url = f"http://127.0.0.1:{place.port}{server.path}"
        self._status = f"http://127.0.0.1:{place.console_port}/status.json"
        self._scratch = place.scratch

    def check(self, stored: models.Stored, rows: list[dict[str, Any]]) -> None:
        """Hold its answers against the model's own.

        Raises
        ------
        DidNotServeError
            If they differ.
        """
        expected = models.answers(stored.file, rows[:N_CHECKED])
        with self.running.awake():
            for row, value in zip(rows, expected, strict=False):
                told = fetched(self.url, json.dumps(self.server.form([row])).encode())
                found = self.server.read(told)
                if found != [value]:
                    raise DidNotServeError(f"answered {found} where the model says {value}")

    def bodies(self, rows: list[dict[str, Any]], size: int) -> Path:
        """Write requests of so many rows each; as many requests as there are rows."""
        path = self._scratch / f"bodies-{size}.jsonl"
        if not path.exists():
            twice = rows + rows
            lines = (json.dumps(self.server.form(twice[i : i + size])) for i in range(len(rows)))
            path.write_text("\n".join(lines))
        return path

    def warm_up(self, bodies: Path, *, clients: int) -> None:
        """Let it meet this load once, and lanes load: the first requests pay for imports."""
        with self.running.awake():
            if self.server.kind == "ours":
                until = time.monotonic() + 60
                while self._lanes("starting") and time.monotonic() < until:
                    time.sleep(0.2)
            apart(self.url, bodies, clients=clients, seconds=WARM_UP_S)

    def block(self, bodies: Path, *, clients: int, seconds: float) -> dict[str, Any]:
        """Ask it for so long; with lanes also how much the challenger scored meanwhile."""
        with self.running.awake(settle_s=SETTLE_S):
            before = self._scored()
            told = apart(self.url, bodies, clients=clients, seconds=seconds, last_core=True)
            after = self._scored()
        if before and after and after[0] > before[0]:
            told["lane_share"] = (after[1] - before[1]) / (after[0] - before[0])
        return told

    def _lanes(self, state: str) -> bool:
        lanes = fetched(self._status)["lanes"]
        return any(lane["state"] == state for lane in lanes)

    def _scored(self) -> tuple[int, int] | None:
        """Return the requests journaled and those that the challenger's lane is done with."""
        if self.server.kind != "ours":
            return None
        status = fetched(self._status)
        for lane in status["lanes"]:
            if lane["role"] == "challenger":
                n = status["journal"]["appended"]
                return n, n - lane["pending"]
        return None


class Bench:
    """All servers of one model, and what was found."""

    def __init__(self, asked: argparse.Namespace, keep: Any) -> None:
        self._asked = asked
        self._keep = keep
        self._rows: list[dict[str, Any]] = []

    def run(self, name: str) -> None:
        """Measure one model."""
        self._rows = models.MODELS[name].rows(models.N_ROWS)
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            stored = models.store(name, Path(folder))
            servers = list(self._started(stored, Path(folder), stack))
            for size, clients in self._loads():
                for one in servers:
                    one.warm_up(one.bodies(self._rows, size), clients=clients)
                for number in range(self._asked.rounds):
                    turned = servers[number % len(servers) :] + servers[: number % len(servers)]
                    for one in turned if number % 2 else reversed(turned):
                        told = one.block(
                            one.bodies(self._rows, size),
                            clients=clients,
                            seconds=self._asked.seconds,
                        )
                        self._keep(
                            {"model": name, "server": one.server.name, "kind": one.server.kind,
                             "rows": size, "clients": clients, "round": number, **told}
                        )  # fmt: skip
            if not self._asked.only or "predict" in self._asked.only:
                self._limits(stored)

    def _loads(self) -> Iterator[tuple[int, int]]:
        if 1 in self._asked.rows:
            yield from ((1, clients) for clients in self._asked.clients)
        yield from ((size, THEIR_CLIENTS) for size in self._asked.rows if size != 1)

    def _started(self, stored: models.Stored, root: Path, stack: ExitStack) -> Iterator[Asked]:
        for server in SERVERS:
            only = self._asked.only
            if stored.name not in server.models or (only and not _meant(server.name, only)):
                continue
            try:
                yield self._start(server, stored, root, stack)
            except (NotToBeHadError, DidNotServeError, OSError) as error:
                self._keep({"left_out": server.name, "model": stored.name, "reason": str(error)})

    def _start(self, server: Server, stored: models.Stored, root: Path, stack: ExitStack) -> Asked:
        scratch = root / server.name.replace(" ", "-").replace(",", "")
        scratch.mkdir()
        interpreter = python(server.wants[0], server.wants) if server.wants else Path()
        place = Place(interpreter, free_port(), free_port(), stored, scratch)
        env = {
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        if server.wants:  # as in its activated environment: some start others by name
            env |= {"PEER_MODEL": str(stored.file), "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *stored.modules))),
                    "PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
        ready = f"http://127.0.0.1:{place.port}{server.ready}"
        began = time.monotonic()
        running = stack.enter_context(
            serving(server.command(place), ready=ready, env=env, cwd=scratch)
        )
        one = Asked(server, place, running)
        one.check(stored, self._rows)
        if server.wants:
            self._keep({"server": server.name, "versions": installed(interpreter, server.shows),
                        "model": stored.name, "ready_s": time.monotonic() - began})  # fmt: skip
        return one

    def _limits(self, stored: models.Stored) -> None:
        """`predict` of ready frames, on one thread."""
        model = joblib.load(stored.file)
        whole = pd.DataFrame(self._rows * 2)
        for number in range(self._asked.rounds):
            for size in BATCHES:
                frames = [whole[i : i + size] for i in range(0, len(self._rows), size)]
                with threadpool_limits(1):
                    model.predict(frames[0])
                    done, began = 0, time.perf_counter()
                    while time.perf_counter() - began < min(1.0, self._asked.seconds):
                        model.predict(frames[done % len(frames)])
                        done += 1
                    rate = done * size / (time.perf_counter() - began)
                self._keep({"model": stored.name, "server": f"`predict`, batches of {size}",
                            "kind": "limit", "rows": size, "clients": 0, "round": number,
                            "rows_per_second": rate})  # fmt: skip


def _meant(name: str, only: list[str]) -> bool:
    return any(word.lower() in name.lower() for word in only)


def asked_for(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each block")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="servers whose name holds a word")
    parser.add_argument("--model", nargs="+", choices=models.MODELS, default=list(models.MODELS))
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, MANY_ROWS],
                        help=f"in a request; more than one are asked by {THEIR_CLIENTS} clients")  # fmt: skip
    parser.add_argument("--into", type=Path, help="append what is measured to this file")
    parser.add_argument("--render", type=Path, help="measure nothing; show what such a file holds")
    parser.add_argument("--plot", type=Path, help="write the plot, as SVG")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


def _end(*_: object) -> None:
    """End every server on the way out; a second word must not cut that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main() -> None:
    """Measure, and show."""
    asked = asked_for()
    found: list[dict[str, Any]] = []
    if asked.render:
        found = [json.loads(line) for line in asked.render.read_text().splitlines()]
    else:
        signal.signal(signal.SIGTERM, _end)
        os.environ.setdefault("OMP_NUM_THREADS", "1")

        def keep(one: dict[str, Any]) -> None:
            found.append(one)
            if asked.into:
                with asked.into.open("a") as kept:
                    kept.write(json.dumps(one) + "\n")

        bench = Bench(asked, keep)
        for name in asked.model:
            bench.run(name)
    if asked.plot:
        plot(asked.plot, found)
    with suppress(BrokenPipeError):
        print(json.dumps(found) if asked.json else table(found))


if __name__ == "__main__":
    main()
