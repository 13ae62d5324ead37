"""A warning that is an error to tests breaks no library for the tests that come after it."""

from __future__ import annotations

import json
import subprocess
import sys

FIRST_USE = """
import json, sys, warnings
from _pytest.config import parse_warning_filter
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.tracking
for given in json.loads(sys.argv[1]):
    warnings.filterwarnings(*parse_warning_filter(given, escape=False))
import mlflow.store.tracking.sqlalchemy_store
import mlflow.store.model_registry.sqlalchemy_store
"""


def test_whichever_test_uses_mlflows_database_first_it_serves_all_that_come_after(pytestconfig):
    # SQLAlchemy configures tables once a process; where that fails, every later use of them does.
    filters = json.dumps(pytestconfig.getini("filterwarnings"))
    ran = subprocess.run(
        [sys.executable, "-c", FIRST_USE, filters], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
