"""One registry of small versions for all live tests; one deployment where tests can share it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import tiny


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> tiny.Store:
    """The registry; made in a process of its own, which leaves nothing imported here."""
    root = tmp_path_factory.mktemp("registry")
    made = subprocess.run(
        [sys.executable, str(Path(tiny.__file__)), str(root)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return tiny.Store(f"sqlite:///{root / 'mlflow.db'}", root / "mlflow.db")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> dict[str, Any]:
    """Small models behind MLflow's scoring app and behind the wire, in this process."""
    from pairs import make_pairs

    return make_pairs(tmp_path_factory.mktemp("pairs"))
