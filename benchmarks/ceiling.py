"""What the champion costs beside the model: a constant model under the limit that the server sets.

    python -m benchmarks.ceiling
    python -m benchmarks.ceiling --rows 32 1000

A bare uvicorn application parses the same JSON and answers a constant: nothing that uvicorn carries
can be quicker. Blocks alternate in one run, and while one is asked the others' processes stand still.
CPU time is that of the process that answers, a request. Lanes are off: the tax benchmark has them on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.client import ROOT, apart
from benchmarks.releases import Release
from benchmarks.running import Running, serving
from models import traffic
from models.register import ensure
from rig.ports import free_port
from shadowserve.state import counters
from shadowserve.versions.stores import uris

WARM_UP = 1_000
PER_CLIENTS = {1: 2_000, 16: 8_000, 64: 12_000, 256: 12_000}
KEYS = ("rps", "p50_ms", "p99_ms")


def register_constant(tracking: str, records: list[dict[str, Any]]) -> None:
    """Register a regressor that answers its mean, with the signature of the rows."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.dummy import DummyRegressor

    frame = pd.DataFrame(records)
    model = DummyRegressor().fit(frame, [1.0] * len(frame))
    mlflow.set_tracking_uri(tracking)
    mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(frame, model.predict(frame)),
        input_example=frame[:2],
        serialization_format="cloudpickle",
        registered_model_name="constant",
    )
    mlflow.set_tracking_uri(None)


def rows(n: int) -> list[dict[str, Any]]:
    """Return requests of two numbers, a category and a text."""
    return [
        {
            "age": 18.0 + i % 60,
            "income": 1_000.5 + i,
            "city": ("Oslo", "Rome", "Bern", "Lyon")[i % 4],
            "note": f"row {i} asks for a table by the window, {i % 7} seats, no smoking",
        }
        for i in range(n)
    ]


class Bare:
    """The bare application in a process of its own, standing still until asked."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        self.scratch = scratch
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/invocations"
        self.running: Running

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve, and stand still until asked."""
        command = [
            sys.executable, "-m", "uvicorn", "benchmarks.peers.apps.bare:app", "--port", str(self.port),
            "--log-level", "error", "--no-access-log", "--lifespan", "off",
        ]  # fmt: skip
        ready = f"http://127.0.0.1:{self.port}/"
        env = {"PYTHONPATH": str(ROOT)}
        with serving(command, ready=ready, env=env, cwd=self.scratch) as self.running:
            yield

    @property
    def worker(self) -> psutil.Process:
        """The process that answers."""
        return self.running._first


class Ours(Release):
    """This release, and the worker that answers."""

    def __init__(
        self, model: str, version: str, tracking: str, scratch: Path, command: str = ""
    ) -> None:
        scratch.mkdir()
        here = command or str(Path(sys.executable).with_name("shadowserve"))
        super().__init__(here, tracking, scratch, "--no-control")
        at = self.command.index("--model")
        self.command[at : at + 4] = ["--model", model, "--champion", version]

    @property
    def worker(self) -> psutil.Process:
        return psutil.Process(counters.read(self.scratch / "state" / "counters" / "0.bin").pid)


def asked(server: Bare | Ours, bodies: Path, *, clients: int, requests: int) -> dict[str, float]:
    """Ask one server for a block; add the CPU time of its worker, in µs a request."""
    with server.running.awake():
        before = sum(server.worker.cpu_times()[:2])
        told = apart(server.url, bodies, clients=clients, requests=requests)
        spent = sum(server.worker.cpu_times()[:2]) - before
    if told["errors"]:
        raise RuntimeError(f"{server.url} answered {told['statuses']}")
    return {**told, "cpu_us": spent / requests * 1e6}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rows", type=int, nargs="+", default=[1])
    parser.add_argument("--films", action="store_true", help="with films v3 besides")
    parser.add_argument("--tracking-uri", default=None)
    parser.add_argument("--before", default=None, help="another release's command, asked besides")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        scratch = Path(folder)
        tracking = uris(chosen.tracking_uri or f"sqlite:///{folder}/mlflow.db").tracking
        register_constant(tracking, rows(100))
        told = {"constant": rows(500)}
        servers: dict[str, Bare | Ours] = {"bare": Bare(scratch / "bare")}
        servers["constant"] = Ours("constant", "v1", tracking, scratch / "constant")
        if chosen.before:
            servers["constant, before"] = Ours(
                "constant", "v1", tracking, scratch / "constant-before", chosen.before
            )
        if chosen.films:
            ensure(tracking, models=("films",))
            told["films"] = [r for r in traffic.films(600) if len(str(r["description"])) < 2_000]
            servers["films"] = Ours("films", "v3", tracking, scratch / "films")
            if chosen.before:
                servers["films, before"] = Ours(
                    "films", "v3", tracking, scratch / "films-before", chosen.before
                )
        for one in servers.values():
            stack.enter_context(one.served())
        print("| rows | clients | server | requests/s | p50 ms | p99 ms | CPU µs | rps ÷ bare |")
        print("|---|---|---|---|---|---|---|---|")
        for n_rows in chosen.rows:
            bodies = {}
            for name, records in told.items():
                bodies[name] = scratch / f"{name}-{n_rows}.jsonl"
                bodies[name].write_text(
                    "\n".join(
                        json.dumps({"dataframe_records": (records * n_rows)[i : i + n_rows]})
                        for i in range(min(len(records), 500))
                    )
                )
            for clients in chosen.clients:
                requests = max(200, PER_CLIENTS[clients] // n_rows)
                rounds = _blocks(servers, bodies, clients, requests, chosen.rounds)
                for name in servers:
                    print(line(n_rows, clients, name, rounds), flush=True)


def _blocks(
    servers: dict[str, Bare | Ours],
    bodies: dict[str, Path],
    clients: int,
    requests: int,
    n_rounds: int,
) -> dict[str, list[dict[str, float]]]:
    """Ask all in turn, each round in the other order, after a warm-up of each."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for n in range(-1, n_rounds):
        for name in list(servers)[:: 1 if n % 2 else -1]:
            kind = "films" if name.startswith("films") else "constant"
            n_requests = requests if n >= 0 else min(requests, WARM_UP)
            told = asked(servers[name], bodies[kind], clients=clients, requests=n_requests)
            if n >= 0:
                rounds[name].append(told)
    return rounds


def line(n_rows: int, clients: int, name: str, rounds: dict[str, list[dict[str, float]]]) -> str:
    """Return the medians of one server, and its rate over the bare one's, round by round."""
    runs = rounds[name]
    rps, p50, p99, cpu = (statistics.median(run[key] for run in runs) for key in (*KEYS, "cpu_us"))
    ratio = statistics.median(
        a["rps"] / b["rps"] for a, b in zip(runs, rounds["bare"], strict=True)
    )
    return f"| {n_rows} | {clients} | {name} | {rps:.0f} | {p50:.3f} | {p99:.2f} | {cpu:.0f} | {ratio:.2f} |"


if __name__ == "__main__":
    main()
