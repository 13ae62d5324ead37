"""An empty MLflow database to begin with, whose schema takes seconds to make."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

from rig.once import once


def fresh_store(folder: Path) -> str:
    """Return the address of an empty MLflow database in a folder."""
    shutil.copyfile(once("empty", _make_empty) / "mlflow.db", folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


def _make_empty(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on import and first use
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
