"""The loading of a version by the MLflow that it was recorded with, which need not be this server's."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_recorded(path: Path) -> Any:
    """Return a pyfunc model; runs in the version's own environment."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(path), suppress_warnings=True)
