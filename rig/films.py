"""The demo's films: trained once a run, and a registry of them for each who writes into one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rig.once import once

ROOT = Path(__file__).parents[1]


def registry(folder: Path) -> str:
    """Put a registry with films v1 to v5 into a folder, and return its address."""
    shutil.copyfile(once("films", _train) / "mlflow.db", folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


def _train(folder: Path) -> None:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    subprocess.run(
        [sys.executable, "-m", "models.register", "--tracking-uri", uri, "--only", "films"],
        cwd=folder,  # artifacts lie beside it
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
