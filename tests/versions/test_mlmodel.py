from __future__ import annotations

import pickle
import platform
from importlib.metadata import version as installed
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from shadowserve.errors import ModelError
from shadowserve.versions.mlmodel import library_differences, read_manifest
from shadowserve.versions.pins import Pin

OLD = """\
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.8.1, model_path: model.pkl}
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.3.2}
model_uuid: 1
run_id: r-1
signature:
  inputs: '[{"name": "a", "type": "double"}]'
  outputs: '[{"type": "long"}]'
saved_input_example_info: {artifact_path: input_example.json, type: dataframe}
"""


def manifest(tmp_path: Path, text: str, **files: str):
    (tmp_path / "MLmodel").write_text(text)
    for name, content in files.items():
        (tmp_path / name.replace("__", ".")).write_text(content)
    return read_manifest(tmp_path)


def test_a_model_of_mlflow_2_is_read(tmp_path: Path) -> None:
    requirements = (
        "# made by mlflow\n\nnumpy==1.26.4\nscikit_learn[x]==1.3.2 ; python_version>'3'\nscipy>=1\n"
    )
    found = manifest(tmp_path, OLD, requirements__txt=requirements)
    assert (found.model_id, found.run_id) == (None, "r-1")
    assert (found.flavors, found.loader_module) == (("sklearn",), "mlflow.sklearn")
    assert (found.serialization, found.executes_code) == ("pickle", True)
    assert found.signature == {
        "inputs": [{"name": "a", "type": "double"}],
        "outputs": [{"type": "long"}],
        "params": None,
    }
    assert found.input_example == "input_example.json"
    assert found.requirements == (
        "numpy==1.26.4",
        "scikit_learn[x]==1.3.2 ; python_version>'3'",
        "scipy>=1",
    )
    assert found.libraries == {"numpy": "1.26.4", "python": "3.8.1", "scikit-learn": "1.3.2"}


def test_without_pyfunc_python_is_read_from_its_environment(tmp_path: Path) -> None:
    found = manifest(tmp_path, "flavors: {sklearn: {}}", python_env__yaml="python: 3.9.2\n")
    assert found.libraries == {"python": "3.9.2"}
    assert found.signature is None
    assert found.input_example is None


@pytest.mark.parametrize(
    ("flavors", "files", "serialization", "executes"),
    [
        ("{sklearn: {serialization_format: skops}}", {}, "skops", True),
        ("{sklearn: {serialization_format: cloudpickle}}", {}, "cloudpickle", True),
        ("{python_function: {cloudpickle_version: 3.0}}", {}, "cloudpickle", True),
        ("{python_function: {model_code_path: model.py}}", {}, "code", True),
        ("{python_function: {loader_module: mine}}", {}, None, True),
        ("{lightgbm: {}, python_function: {}}", {"model__lgb": ""}, None, False),
        ("{lightgbm: {}, python_function: {}}", {"model__pkl": ""}, None, True),
        ("{xgboost: {code: code}, python_function: {}}", {"model__ubj": ""}, None, True),
        ("{unheard_of: {}, python_function: {}}", {}, None, True),
    ],
)
def test_whatever_may_execute_code_on_loading_is_said_to(
    tmp_path: Path, flavors: str, files: dict[str, str], serialization: str, executes: bool
) -> None:
    found = manifest(tmp_path, f"flavors: {flavors}", **files)
    assert (found.serialization, found.executes_code) == (serialization, executes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "has no file 'MLmodel'"),
        ("{", "cannot be read"),
        ("[]", "lists no flavors"),
        ("flavors: 3", "lists no flavors"),
        ("!!python/object/apply:os.system ['false']", "cannot be read"),
    ],
)
def test_what_is_no_model_is_said_with_its_name(
    tmp_path: Path, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ModelError, match=f"films:3.* {says}"):
        read_manifest(tmp_path, pin=Pin("films", 3))


def test_only_real_differences_are_told() -> None:
    here = {
        "python": f"{platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}.99"
    }
    here |= {name: installed(name) for name in ("mlflow", "scikit-learn", "numpy")}
    assert library_differences(here) == []
    assert library_differences({**here, "scikit-learn": "1.3.2", "python": "2.7.1"}) == [
        f"python 2.7.1 in training, {platform.python_version()} here",
        f"scikit-learn 1.3.2 in training, {installed('scikit-learn')} here",
    ]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickles_own_note_of_its_library_comes_before_what_was_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    """A model that was logged anew, with today's requirements, from a pickle of long ago."""
    estimator = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    monkeypatch.setattr("sklearn.base.__version__", "1.2.2")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator, protocol=protocol))
    found = manifest(tmp_path, OLD.replace("1.3.2", installed("scikit-learn")))
    assert found.libraries["scikit-learn"] == "1.2.2"
    assert any("scikit-learn 1.2.2 in training" in d for d in library_differences(found.libraries))


def test_a_file_that_is_no_pickle_of_an_estimator_tells_no_library(tmp_path: Path) -> None:
    (tmp_path / "empty.pkl").write_bytes(b"")
    assert manifest(tmp_path, OLD, model__pkl="other").libraries["scikit-learn"] == "1.3.2"
