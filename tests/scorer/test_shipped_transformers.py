"""A model logged with its own code names its parts, and they are heard where it is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHIPPED = """
from mlflow.pyfunc import PythonModel
from shadowserve.steps import step

class Likes(PythonModel):
    def predict(self, context, model_input, params=None):
        with step("look_up", columns=["user"]):
            users = self.users(model_input)
        return [user * 2 for user in users]

    @step("users")
    def users(self, frame):
        return frame["user"].tolist()
"""

SAVE = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, "code")
import mlflow.pyfunc, shipped_likes
mlflow.pyfunc.save_model("model", python_model=shipped_likes.Likes(), code_paths=["code/shipped_likes.py"])
"""

LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow.pyfunc, pandas as pd
from shadowserve.scorer import featurization
from shadowserve.schema.rows import Rows
from shadowserve.steps import timed_call
import numpy as np
model = mlflow.pyfunc.load_model("model")
result, times = timed_call(model.predict, pd.DataFrame({"user": [1, 2]}))
plan = featurization.compile(model)
timed = plan.run(Rows(columns={"user": np.array([1, 2])}, n_rows=2))
print(json.dumps({
    "result": result,
    "walked": timed.output,
    "called": [[part.name, part.columns, part.calls] for part in times.inner],
    "steps": [part.name for part in plan.steps],
    "inner": [part.name for part in timed.times.inner],
}))
"""


@pytest.mark.live
def test_parts_named_in_shipped_code_are_heard_after_loading(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "shipped_likes.py").write_text(SHIPPED)

    def python(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    python(SAVE)
    assert json.loads(python(LOAD).splitlines()[-1]) == {
        "result": [2, 4],
        "walked": [2, 4],
        "called": [["look_up/users", [], 1], ["look_up", ["user"], 1]],
        "steps": ["pyfuncmodel"],
        "inner": ["pyfuncmodel/look_up/users", "pyfuncmodel/look_up"],
    }
