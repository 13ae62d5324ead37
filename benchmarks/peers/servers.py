"""What is asked: how each server is started, how a request to it looks, how its answer is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import ROOT
from benchmarks.peers.models import Stored
from rig.ports import free_port

APPS = Path(__file__).parent / "apps"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs: its interpreter, its ports, its model, and a folder of its own."""

    python: Path
    port: int
    console_port: int
    stored: Stored
    scratch: Path


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the table.

    Parameters
    ----------
    name : str
        As the table and ``--only`` call it.
    command : callable
        From a place to the command that serves there.
    path, ready : str
        Where it is asked, and where it answers 200 once it can be.
    form : callable
        From rows to the body of a request.
    read : callable
        From the parsed answer to its predictions.
    wants : sequence of str
        What its environment needs; empty for this one. ``shows`` are those whose versions are told.
    models : sequence of str
        Which models it can serve.
    kind : str
        ``ours``, ``peer`` or ``limit``.
    """

    name: str
    command: Callable[[Place], list[str]]
    path: str
    ready: str
    form: Callable[[Sequence[Row]], Any]
    read: Callable[[Any], list[Any]]
    wants: Sequence[str] = ()
    shows: Sequence[str] = ()
    models: Sequence[str] = ("pipeline", "constant", "films")
    kind: str = "peer"


def _ours(*options: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            str(Path(sys.executable).with_name("shadowserve")), "serve",
            "--model", place.stored.name, "--champion", "v1", *options,
            "--port", str(place.port), "--console-port", str(place.console_port),
            "--state-dir", str(place.scratch / "state"), "--tracking-uri", place.stored.uri,
        ]  # fmt: skip

    return command


def _bento(service: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        served = f"benchmarks.peers.apps.bento:{service}"
        where = ["--working-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(place.port)]
        return [str(place.python), "-m", "bentoml", "serve", served, *where]

    return command


def _mlflow(place: Place) -> list[str]:
    return [
        str(place.python), "-m", "mlflow", "models", "serve", "--model-uri", str(place.stored.folder),
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(place.port), "--workers", "1",
    ]  # fmt: skip


def _mlserver(place: Place) -> list[str]:
    """Write its settings: rows come as columns, and are a frame for the model."""
    settings = {
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": place.console_port,
        "metrics_port": free_port(),
        "parallel_workers": 0,  # the model runs in the server itself, and in one process
    }
    model = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "max_batch_size": 512,
        "max_batch_time": 0.005,
        "parameters": {"uri": str(place.stored.file), "version": "v1"},
    }
    (place.scratch / "settings.json").write_text(json.dumps(settings))
    (place.scratch / "model-settings.json").write_text(json.dumps(model))
    return [str(place.python.with_name("mlserver")), "start", str(place.scratch)]


def _lit(place: Place) -> list[str]:
    return [str(place.python), str(APPS / "lit.py"), str(place.port)]


def _bare(place: Place) -> list[str]:
    return [
        str(place.python), "-m", "uvicorn", "--app-dir", str(APPS), "bare:app", "--host", "127.0.0.1",
        "--port", str(place.port), "--no-access-log", "--log-level", "error", "--lifespan", "off",
    ]  # fmt: skip


def _infer(rows: Sequence[Row]) -> dict[str, Any]:
    """Return an inference request of protocol v2: a tensor for each column."""
    tensors = []
    for name in rows[0]:
        text = isinstance(rows[0][name], str)
        tensors.append(
            {
                "name": name,
                "shape": [len(rows), 1],
                "datatype": "BYTES" if text else "FP64",
                "data": [row[name] for row in rows],
                **({"parameters": {"content_type": "str"}} if text else {}),
            }
        )
    return {"parameters": {"content_type": "pd"}, "inputs": tensors}


SERVERS = (
    Server(
        "shadowserve, lanes on", _ours("--challenger", "v2"), "/invocations", "/readyz",
        lambda rows: {"dataframe_records": rows}, lambda told: told["predictions"], kind="ours",
        shows=("shadowserve",),
    ),
    Server(
        "shadowserve, champion only", _ours("--no-control"), "/invocations", "/readyz",
        lambda rows: {"dataframe_records": rows}, lambda told: told["predictions"], kind="ours",
        shows=("shadowserve",),
    ),
    Server(
        "BentoML", _bento("Plain"), "/predict", "/readyz",
        lambda rows: {"rows": rows}, lambda told: told, ("bentoml",), ("bentoml",),
    ),
    Server(
        "BentoML, batchable", _bento("Batchable"), "/predict", "/readyz",
        lambda rows: {"rows": rows}, lambda told: told, ("bentoml",), ("bentoml",),
    ),
    Server(
        "mlflow models serve", _mlflow, "/invocations", "/ping",
        lambda rows: {"dataframe_records": rows}, lambda told: told["predictions"],
        ("mlflow",), ("mlflow", "uvicorn"),
    ),
    Server(
        "MLServer, adaptive batching", _mlserver, "/v2/models/model/infer", "/v2/models/model/ready",
        _infer, lambda told: told["outputs"][0]["data"],
        ("mlserver", "mlserver-sklearn"), ("mlserver",), ("pipeline", "constant"),
    ),
    Server(
        "LitServe, batching", _lit, "/predict", "/health",
        lambda rows: {"rows": rows}, lambda told: told["predictions"], ("litserve",), ("litserve",),
    ),
    Server(
        "bare uvicorn", _bare, "/", "/",
        lambda rows: {"rows": rows}, lambda told: told["predictions"],
        ("uvicorn", "uvloop", "httptools", "orjson"), ("uvicorn", "uvloop", "httptools"),
        ("constant",), "limit",
    ),
)  # fmt: skip
