"""MLflow databases to begin with: an empty one, whose schema takes seconds to make, and the demo's films."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from rig.once import once

ROOT = Path(__file__).parents[1]


def fresh_store(folder: Path) -> str:
    """Return the address of an empty MLflow database in a folder."""
    return _copied(once("empty", _make_empty), folder)


def films_store(folder: Path) -> str:
    """Return the address of a database in a folder that has the demo's films, v1 to v5."""
    return _copied(once("films", _train_films), folder)


def _copied(made: Path, folder: Path) -> str:
    shutil.copyfile(made / "mlflow.db", folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


def _make_empty(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on import and first use
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()


def _train_films(folder: Path) -> None:
    """Train as the demo does, in a process of its own; artifacts stay in this folder."""
    train = [sys.executable, "-m", "models.register", "--only", "films"]
    made = subprocess.run(
        [*train, "--tracking-uri", fresh_store(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise RuntimeError(made.stderr)
