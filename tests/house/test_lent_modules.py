"""What runs in an isolated version's environment needs NumPy, pandas and what the version needs, and little else."""

from __future__ import annotations

import subprocess
import sys

import pytest

BROUGHT = {
    "numpy", "pandas", "dateutil", "pytz", "six", "tzdata",  # what every environment has
    "sklearn", "scipy", "joblib", "threadpoolctl", "narwhals", "cloudpickle",  # what its version brings
}  # fmt: skip
PROGRAM = """
import sys

class Only:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in {brought!r} | set(sys.stdlib_module_names) | {{"shadowserve"}} or top.startswith("_")
        return self.finder.find_spec(name, path, target) if known else None

sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
import shadowserve.scorer.isolated.served
for name in {then!r}:
    __import__(name)
found = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(found & {{"sklearn", "mlflow", "bentoml", "click", "pyarrow", "orjson", "yaml", "rich", "setproctitle"}}))
"""


def lent(*then: str, brought: set[str] = BROUGHT) -> str:
    """Import what is lent, in a process that finds only what an environment has."""
    program = PROGRAM.format(brought=brought, then=then)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_the_entry_needs_numpy_and_pandas_alone():
    assert lent(brought={"numpy", "pandas", "dateutil", "pytz", "six", "tzdata"}) == ""


@pytest.mark.parametrize(
    "module", ["shadowserve.scorer.featurization", "shadowserve.scorer.featurization.categories"]
)
def test_what_walks_a_pipeline_needs_scikit_learn_besides(module):
    assert lent(module) == "sklearn"
