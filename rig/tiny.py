"""Small versions that load in a second and misbehave on demand, in a registry of their own.

``tiny`` takes a number ``x`` and a text ``note``. Its champion, v1, heeds no word of a note; other
versions do what a word in it says: exit, hang, hold the interpreter, leak, raise, talk.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

CODE = Path(__file__).parent / "tiny_code"
CHAMPION, TRICKY, LEAKY, WANTING, UNLOADABLE, TALKING, BURNING, BETTER, SLOW = range(1, 10)
WORDS = ("exit", "hang", "regex", "raise", "call")
PLAIN = ["x", "note"]
VERSIONS: dict[int, tuple[tuple[str, ...], list[str]]] = {
    CHAMPION: ((), PLAIN),
    TRICKY: (WORDS, PLAIN),
    LEAKY: (("leak",), PLAIN),
    WANTING: ((), [*PLAIN, "z"]),
    UNLOADABLE: ((), PLAIN),
    TALKING: (("tell", "chain", "raise"), PLAIN),
    BURNING: (("burn", "fork"), PLAIN),
    BETTER: ((), PLAIN),
    SLOW: (("slow",), PLAIN),
}
N = 64


@dataclass(frozen=True)
class Store:
    """Where the registry is, as `--tracking-uri` takes it."""

    uri: str
    path: Path


def frame() -> pd.DataFrame:
    """Return the training rows; `z` is known to one version only."""
    x = np.linspace(-3.0, 3.0, N)
    notes = ["n" * (1 + i % 7) for i in range(N)]
    return pd.DataFrame({"x": x, "note": notes, "z": x[::-1]})


def register(root: Path) -> Store:
    """Make the registry and all versions."""
    import mlflow
    from mlflow.models import infer_signature

    from rig.stores import fresh_store

    store = Store(fresh_store(root), root / "mlflow.db")
    client = mlflow.MlflowClient(store.uri, store.uri)
    rows = frame()
    target = rows["x"] * 2.0 + rows["note"].str.len()
    mlflow.set_tracking_uri(store.uri)
    experiment = client.create_experiment("train", artifact_location=str(root / "artifacts"))
    for number, (heeds, columns) in VERSIONS.items():
        model = _pipeline(heeds, columns).fit(rows[columns], target)
        with mlflow.start_run(experiment_id=experiment):
            info = mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(rows[columns], model.predict(rows[columns])),
                input_example=rows[columns][:2],
                code_paths=[str(CODE / "tricky.py")],
                serialization_format="cloudpickle",
                pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
            )
            if number == UNLOADABLE:
                _break(root, info)
        mlflow.register_model(info.model_uri, "tiny")
    client.set_registered_model_alias("tiny", "production", str(CHAMPION))
    mlflow.set_tracking_uri(None)
    return store


def _pipeline(heeds: tuple[str, ...], columns: list[str]) -> Pipeline:
    numbers = [name for name in columns if name != "note"]
    lengths = shipped().Lengths(heeds)
    features = ColumnTransformer(
        [("number", StandardScaler(), numbers), ("note", lengths, ["note"])]
    )
    return Pipeline([("features", features), ("line", Ridge())])


def _break(root: Path, info: Any) -> None:
    """Let a version's code import what is nowhere, before its digest is taken."""
    for path in (root / "artifacts").rglob("tricky.py"):
        if info.model_id in str(path):
            path.write_text((CODE / "broken.py").read_text())


def shipped() -> Any:
    """Import the shipped code under the name that a served version gives it."""
    if "tricky" not in sys.modules:
        spec = importlib.util.spec_from_file_location("tricky", CODE / "tricky.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["tricky"] = module
        spec.loader.exec_module(module)
    return sys.modules["tricky"]


def registered(root: Path, script: str = __file__) -> Store:
    """Register all versions of a script from a process of its own, whose imports end with it."""
    made = subprocess.run(
        [sys.executable, script, str(root)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise SystemExit(made.stderr)
    return at(root)


def at(root: Path) -> Store:
    """Return the registry that was made in a folder."""
    return Store(f"sqlite:///{root / 'mlflow.db'}", root / "mlflow.db")


def row(x: float = 1.0, note: str = "nnn") -> dict[str, Any]:
    """Return one record that every version but v4 can take."""
    return {"x": x, "note": note}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(register(Path(sys.argv[1])).uri)
