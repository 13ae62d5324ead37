"""What every test stands on: no telemetry, nobody's settings, a home directory of its own."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import tempfile

import pytest
from hypothesis import settings

from rig import once, ports

once.place()  # before workers are started, which share it

# Where images forbid Python to keep what it compiled, each process that a test starts would compile all of us anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Before anything imports MLflow, BentoML or matplotlib: they read their variables once.
_home = tempfile.TemporaryDirectory(prefix="shadowserve-home-", ignore_cleanup_errors=True)
atexit.register(_home.cleanup)
for _name in [
    name for name in os.environ if name.startswith(("MLFLOW_", "BENTOML_", "SHADOWSERVE_"))
]:
    del os.environ[_name]
os.environ |= {
    "HOME": _home.name,
    "BENTOML_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MPLBACKEND": "agg",
    # As every role has it. Two workers on two cores would wait for each other's threads, and burn a core doing so.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

# A deadline is a timing assertion, which a busy machine breaks; a failure prints how to have it again.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_collection_finish() -> None:
    """Leave libraries and tests out of later collections, of which a lane asks for one each time it commits."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on at this instant."""
    return ports.free_port()
