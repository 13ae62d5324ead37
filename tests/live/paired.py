"""Models behind `shadowserve serve` and behind a real `mlflow models serve`, and what both are asked.

Run as a script it registers them; imported, it starts MLflow's server and lists the requests.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd

START_S = 180.0
MODELS = ("films", "typed", "block")
TYPES = ("boolean", "integer", "long", "float", "double", "string", "datetime")
SPELLINGS = (
    ["2024-03-01", "1969-12-31", None],
    ["2024-03-01T12:30:15.123456", "1970-01-01T00:00:00.000001"],
    ["2024-03-01 12:30", "2199-12-31 23:59", None],
    ["2024-02-29T23:59:59", "1969-12-31T23:59:59", None],
)  # of moments, one a column: MLflow refuses several
GENRES = ("drama", "comedy", "horror", "war")
N = 40


class Asked(NamedTuple):
    """One request, and the name under which it is counted."""

    form: str
    body: bytes
    content_type: str = "application/json"


class MlflowServer:
    """One `mlflow models serve` of a registered version, in a process group of its own."""

    def __init__(self, root: Path, uri: str, model: str, *, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._talk = root / f"mlflow-{model}.txt"
        command = [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
            *("--model-uri", f"models:/{model}/1", "--host", "127.0.0.1", "--port", str(port)),
        ]
        with self._talk.open("wb") as talk:
            self.process = subprocess.Popen(
                command,
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=talk,
                stderr=talk,
                start_new_session=True,
                env={
                    **os.environ,
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                    "MLFLOW_TRACKING_URI": uri,
                    "MLFLOW_REGISTRY_URI": uri,
                },
            )

    def wait(self) -> MlflowServer:
        """Wait until it answers."""
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/ping", timeout=5, trust_env=False).status_code == 200:
                    return self
            except httpx.HTTPError:
                time.sleep(0.2)
        raise AssertionError(f"mlflow models serve did not get ready:\n{self._talk.read_text()}")

    def close(self) -> None:
        """End it and its workers, which it would leave behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def requests(model: str) -> list[Asked]:
    """Return everything that both servers of a model are asked; the same list every time."""
    chance = random.Random(6)
    if model == "block":
        return list(_blocks(chance))
    tables = _film_tables(chance) if model == "films" else _typed_tables(chance)
    return [asked for rows in tables for asked in _forms(rows, chance)]


def _film_tables(chance: random.Random) -> Iterator[list[dict[str, Any]]]:
    for n_rows in [1] * 12 + [2, 3, 5, 8, 40, 75, 480]:
        yield [
            {
                "age": chance.randrange(-5, 120),
                "income": chance.choice([0, 1, 0.1, 12.75, 1e-9, 1e9, chance.uniform(-50, 150)]),
                "genre": chance.choice([*GENRES, "unseen", "", "01", "Ünïcode 🎬", 'a "b", c']),
            }
            for _ in range(n_rows)
        ]


def _typed_tables(chance: random.Random) -> Iterator[list[dict[str, Any]]]:
    values: dict[str, list[Any]] = {
        "boolean": [True, False],
        "integer": [-(2**31), 2**31 - 1, 0, 7, 1.0],
        "long": [2**63 - 1, -(2**63), 2**53 + 1, 0, -1],
        "float": [0.1, 3, -1.5, 3e38, 1e-40, None],
        "double": [0.1, -7, 1e300, 2**53, 5e-324, None],
        "string": ["02139", "", "null", "NaN", "é\u2028", "2024-03-01", "true", "x" * 500],
    }
    for n_rows in [1] * 14 + [2, 3, 4, 6, 8]:
        values["datetime"] = chance.choice(SPELLINGS)
        yield [{name: chance.choice(values[name]) for name in TYPES} for _ in range(n_rows)]


def _forms(rows: list[dict[str, Any]], chance: random.Random) -> Iterator[Asked]:
    """Write a table in every form of the protocol, keys and columns in an order of its own."""
    order = list(rows[0])
    chance.shuffle(order)
    turned = [{key: row[key] for key in order} for row in rows]
    split = {"columns": order, "data": [[row[key] for key in order] for row in rows]}
    by_column = {key: [row[key] for row in rows] for key in order}
    indexed = {"index": [chance.randrange(99) for _ in rows], **split}
    params = {"limit": chance.choice([1, 2.5, -3]), "word": chance.choice(["x", "é"])}
    yield _asked("dataframe_records", {"dataframe_records": turned})
    yield _asked("dataframe_split", {"dataframe_split": split})
    yield _asked("dataframe_split with index", {"dataframe_split": indexed})
    yield _asked("instances by row", {"instances": turned})
    yield _asked("inputs by row", {"inputs": turned})
    yield _asked("instances by column", {"instances": by_column})
    yield _asked("inputs by column", {"inputs": by_column})
    yield _asked("extra column", {"dataframe_records": [row | {"more": 1} for row in turned]})
    yield _asked("params", {"dataframe_records": turned, "params": params})
    yield _asked("some params", {"inputs": turned, "params": {"word": params["word"]}})
    if len(rows) == 1:
        yield _asked("one row bare", {"inputs": turned[0]})
    if "datetime" not in order and all(_survives_csv(v) for row in rows for v in row.values()):
        text = pd.DataFrame(turned).to_csv(index=False).encode()
        yield Asked("csv", text, "text/csv")
        yield Asked("csv with charset", text, "text/csv; charset=utf-8")


def _survives_csv(value: Any) -> bool:
    """Tell whether CSV can say a value so that MLflow reads it as it was written; no moments at all."""
    return value is not None and value not in ("", "null", "NaN")


def _blocks(chance: random.Random) -> Iterator[Asked]:
    for n_rows in (1, 1, 1, 2, 3, 5, 75):
        rows = [[chance.choice([0, 1.5, -2, None, 1e9]) for _ in range(3)] for _ in range(n_rows)]
        columns = {"columns": ["a", "b", "c"], "data": rows}
        records = [dict(zip("abc", row, strict=True)) for row in rows]
        yield _asked("tensor instances", {"instances": rows})
        yield _asked("tensor inputs", {"inputs": rows})
        yield _asked("tensor as a split table", {"dataframe_split": columns})
        yield _asked("tensor as records", {"dataframe_records": records})
        yield _asked("tensor with params", {"inputs": rows, "params": {"limit": 2.0}})


def _asked(form: str, document: Any) -> Asked:
    return Asked(form, json.dumps(document).encode())


def register(root: Path) -> str:
    """Register the models and return the store's address."""
    import mlflow
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import Array, Object, Property

    from rig.stores import fresh_store

    uri = fresh_store(root)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment("t", artifact_location=str(root / "artifacts"))
    )
    specs = [ParamSpec("limit", "double", 1.5), ParamSpec("word", "string", "w")]
    params = ParamSchema(specs)
    columns = Schema([ColSpec(each, each) for each in TYPES])
    block = Schema([TensorSpec(np.dtype("float64"), (-1, 3))])
    person = Object([Property("age", DataType.long), Property("tags", Array(DataType.string))])
    nested = Schema([ColSpec(Array(DataType.double), "prices"), ColSpec(person, "person")])
    training, model = _films()
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model,
            name="films",
            signature=infer_signature(training, model.predict(training)),
            input_example=training[:2],
            serialization_format="cloudpickle",
            registered_model_name="films",
            pip_requirements=[],
        )
        for name, known in (("typed", columns), ("block", block), ("nested", nested)):
            mlflow.pyfunc.log_model(
                name=name,
                python_model=_Echo(),
                signature=ModelSignature(known, params=params),
                registered_model_name=name,
                pip_requirements=[],
            )
    return uri


def _films() -> tuple[pd.DataFrame, Any]:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    training = pd.DataFrame(
        {
            "age": np.arange(N),
            "income": np.linspace(0.5, 90.25, N),
            "genre": list(GENRES) * (N // 4),
        }
    )
    genres = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((genres, ["genre"]), remainder="passthrough")
    target = training["age"] * 1.7 + training["income"] / 3 + 0.1
    return training, make_pipeline(columns, Ridge()).fit(training, target)


def _echo_class() -> Any:
    import mlflow

    class Echo(mlflow.pyfunc.PythonModel):
        """Answers each row with what arrived: dtype and value of every cell, and the parameters."""

        def predict(self, context, model_input, params=None):
            told = {} if params is None else {key: repr(params[key]) for key in sorted(params)}
            if not hasattr(model_input, "columns"):
                return [{"row": f"{model_input.dtype} {row!r}", **told} for row in model_input]
            cells = {
                name: [f"{column.dtype} {value!r}" for value in column]
                for name, column in model_input.items()
            }
            return [
                {name: values[at] for name, values in cells.items()} | told
                for at in range(len(model_input))
            ]

    return Echo


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _Echo = _echo_class()
    print(register(Path(sys.argv[1])))
