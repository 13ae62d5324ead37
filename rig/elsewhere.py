"""Versions that were trained in another environment than the server's, and registered beside one that was not.

They are pickled there by the interpreter of that environment; what MLflow would write beside them is written
here, since the environment of an isolated version of scikit-learn has no MLflow.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rig.tiny import Store
from shadowserve.scorer.isolated import environments
from shadowserve.scorer.isolated.environments import Source
from shadowserve.scorer.isolated.opening import source_of
from shadowserve.scorer.isolated.requirements import Requirements, of_version
from shadowserve.settings.options import Options
from shadowserve.state.isolation import Environment
from shadowserve.versions.mlmodel import read_manifest
from shadowserve.versions.version import Version, digest_of

CODE = Path(__file__).parent / "elsewhere_code" / "train.py"
COLUMNS = (("x", "double"), ("city", "string"), ("note", "string"))
LINES = (
    "cloudpickle==3.1.1",
    "numpy==1.26.4",
    "pandas==2.2.3",
    "scikit-learn==1.5.2",
    "unidecode==1.3.8",
)
EXAMPLE = {
    "dataframe_split": {
        "columns": [name for name, _ in COLUMNS],
        "data": [[1.0, "Oslo", "good film"], [2.0, "Rome", "bad film"]],
    }
}


def environment(lines: Sequence[str] = LINES, *, python: str = "3.11") -> Environment:
    """Return an environment with these requirements, of this user's cache."""
    wanted = Requirements(python, tuple(sorted(lines)))
    return environments.obtain(wanted, Source(), environments.cache_folder(), name="the test")


def trained(
    folder: Path, made: Environment, kind: str, *, lines: Sequence[str] = LINES, **changes: Any
) -> Path:
    """Train a model in an environment and leave an MLflow model's folder.

    Parameters
    ----------
    kind : str
        What `elsewhere_code/train.py` is to train.
    changes
        Keys of ``MLmodel``'s flavor of scikit-learn.
    """
    folder.mkdir(parents=True)
    command = [str(made.interpreter), "-I", str(CODE), kind, str(folder / "model.pkl")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    write(folder, made, lines=lines, **changes)
    return folder


def write(folder: Path, made: Environment, *, lines: Sequence[str] = LINES, **changes: Any) -> None:
    """Write what MLflow records beside a pickle."""
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / "example.json").write_text(json.dumps(EXAMPLE))
    inputs = [{"name": name, "type": kind, "required": True} for name, kind in COLUMNS]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]
    sklearn = {
        "pickled_model": "model.pkl",
        "serialization_format": "pickle",
        "sklearn_version": made.libraries["scikit-learn"],
        "code": None,
        **changes,
    }
    pyfunc = {
        "loader_module": "mlflow.sklearn",
        "model_path": "model.pkl",
        "predict_fn": "predict",
        "python_version": made.python,
    }
    content = {
        "flavors": {"python_function": pyfunc, "sklearn": sklearn},
        "saved_input_example_info": {
            "artifact_path": "example.json",
            "serving_input_path": "example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(content))


def version(folder: Path, number: int = 2, *, model: str = "far") -> Version:
    """Return the record of a version that lies in a folder."""
    manifest = read_manifest(folder)
    told = {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}
    digest, size = digest_of(folder)
    return Version(
        model=model,
        number=number,
        created="2026-01-01T00:00:00+00:00",
        digest=digest,
        size_bytes=size,
        **told,
    )


def registered(root: Path, made: Environment) -> Store:
    """Register a champion of this server's libraries, and challengers that these cannot load."""
    import mlflow

    store = Store(f"sqlite:///{root / 'mlflow.db'}", root / "mlflow.db")
    client = mlflow.MlflowClient(store.uri, store.uri)
    client.create_registered_model("far")
    here = root / "here"
    here.mkdir()
    _train_here(here, made)
    folders = [
        here,
        trained(root / "older", made, "pipeline"),
        trained(root / "lacking", made, "lacking"),
    ]
    for folder in folders:
        client.create_model_version("far", source=str(folder))
    return store


def _train_here(folder: Path, made: Environment) -> None:
    """Train the champion by this interpreter, with this server's scikit-learn."""
    import sys
    from dataclasses import replace
    from importlib.metadata import version as installed

    command = [sys.executable, str(CODE), "pipeline", str(folder / "model.pkl")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    number = installed("scikit-learn")
    own = replace(made, libraries={**made.libraries, "scikit-learn": number})
    write(folder, own, lines=(f"scikit-learn=={number}",))


def lent(version: Version, path: Path, options: Options) -> Path:
    """Make the environment that a version wants from this interpreter's own packages; nothing is installed.

    Returns
    -------
    Path
        Its folder of packages, to which a test may add what it likes.
    """
    wanted, source = of_version(version, path), source_of(options)
    folder = environments.cache_folder() / environments.key_of(wanted, source)
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    made = Environment(str(folder), python=version.libraries["python"], made_by="uv")
    (folder / environments.RECORD).write_text(json.dumps(made.to_dict()))
    return packages
