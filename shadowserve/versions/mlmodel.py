"""The reader of a model's own files: `MLmodel` and the requirement files beside it.

It reads text, without MLflow and without loading the model. So signature, libraries and whether
loading executes code are known before anything of the version runs.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from shadowserve.errors import ModelError
from shadowserve.versions.pins import Pin

MANIFEST = "MLmodel"
SMALL_FILES = (MANIFEST, "requirements.txt", "python_env.yaml")
"""All that `read_manifest` opens."""

_PYFUNC = "python_function"
_PINNED = re.compile(r"\s*([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*===?\s*([^\s;,#*]+)\s*(?:[;#].*)?")
# A pickle's key, perhaps the opcode that memorises it, and the opcode of a text before the number.
_SKLEARN_NOTE = re.compile(
    rb"_sklearn_version(?:\x94|q.|r.{4})?(?:\x8c.|X.{4}|U.)([0-9]+\.[0-9]+(?:\.[0-9]+)?(?:(?:a|b|rc|\.dev|\.post)[0-9]+)?)",
    re.DOTALL,
)
_FLAVOR_LIBRARIES = {
    "sklearn_version": "scikit-learn",
    "lgb_version": "lightgbm",
    "xgb_version": "xgboost",
    "catboost_version": "catboost",
    "onnx_version": "onnx",
    "cloudpickle_version": "cloudpickle",
}
# Formats of these flavors are data; a pickle or shipped code beside them is found by itself.
_DATA_ONLY = {"lightgbm", "xgboost", "catboost", "onnx"}
_PICKLES = {".pkl", ".pickle", ".joblib", ".skops", ".pt", ".pth"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The part of a `Version` that its own files tell; see there for the fields."""

    model_id: str | None
    run_id: str | None
    flavors: tuple[str, ...]
    loader_module: str | None
    serialization: str | None
    executes_code: bool
    signature: Mapping[str, Any] | None
    input_example: str | None
    requirements: tuple[str, ...]
    libraries: Mapping[str, str]


def read_flavors(path: Path, *, pin: Pin | None = None) -> dict[str, Any]:
    """Return the parsed ``MLmodel`` of a directory.

    Raises
    ------
    ModelError
        It is missing or cannot be read.
    """
    name = pin or path.name
    try:
        content = yaml.safe_load((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{name} has no file '{MANIFEST}', so it is no MLflow model. Log it with log_model()."
        ) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{name}: '{MANIFEST}' cannot be read. Log the model again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("flavors"), dict):
        raise ModelError(f"{name}: '{MANIFEST}' lists no flavors. Log the model again.")
    return content


def read_manifest(path: Path, *, pin: Pin | None = None) -> Manifest:
    """Read a model's directory.

    Parameters
    ----------
    path : Path
        Directory with at least `SMALL_FILES`; other files are looked at by name only.
    pin : Pin, optional
        For messages.

    Raises
    ------
    ModelError
        ``MLmodel`` is missing or cannot be read.
    """
    content = read_flavors(path, pin=pin)
    flavors: dict[str, dict[str, Any]] = content["flavors"]
    pyfunc = flavors.get(_PYFUNC) or {}
    serialization = _serialization(flavors)
    requirements = _lines(path / "requirements.txt")
    example = content.get("saved_input_example_info") or {}
    return Manifest(
        model_id=content.get("model_id"),
        run_id=content.get("run_id"),
        flavors=tuple(sorted(name for name in flavors if name != _PYFUNC)),
        loader_module=pyfunc.get("loader_module"),
        serialization=serialization,
        executes_code=_executes_code(path, flavors, serialization),
        signature=_signature(content.get("signature"), hinted=_is_hinted(content)),
        input_example=example.get("serving_input_path") or example.get("artifact_path"),
        requirements=requirements,
        libraries=_libraries(content, requirements, path),
    )


def library_differences(
    libraries: Mapping[str, str], *, running: Mapping[str, str] | None = None
) -> list[str]:
    """Where this process runs other library versions than a model was trained with.

    Parameters
    ----------
    libraries : mapping of str to str
        Distribution to version, as in `Manifest`. Python is compared by minor version only.
    running : mapping of str to str, optional
        What is installed elsewhere; by default what is installed here.

    Returns
    -------
    list of str
        One phrase each, by name; empty where all are equal.

    Examples
    --------
    >>> library_differences({"no-such-library": "1.0"})
    ['no-such-library 1.0 in training, missing here']
    """
    found = []
    for name, trained in sorted(libraries.items()):
        own = _running(name) if running is None else running.get(name)
        if _comparable(name, trained) != _comparable(name, own):
            here = f"{own} here" if own else "missing here"
            found.append(f"{name} {trained} in training, {here}")
    return found


def _running(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return None


def _comparable(name: str, version: str | None) -> str | None:
    if name == "python" and version is not None:
        return ".".join(version.split(".")[:2])
    return version


def _serialization(flavors: Mapping[str, Mapping[str, Any]]) -> str | None:
    pyfunc = flavors.get(_PYFUNC) or {}
    for conf in flavors.values():
        if conf.get("serialization_format"):
            return str(conf["serialization_format"])
    if pyfunc.get("model_code_path"):
        return "code"
    if pyfunc.get("cloudpickle_version") or pyfunc.get("python_model"):
        return "cloudpickle"
    return "pickle" if "sklearn" in flavors else None


def _executes_code(
    path: Path, flavors: Mapping[str, Mapping[str, Any]], serialization: str | None
) -> bool:
    """Skops counts: it trusts a list of types that comes with the model itself."""
    # With pyfunc alone, nothing says what its loader does.
    known = all(name in _DATA_ONLY for name in flavors if name != _PYFUNC) and len(flavors) > 1
    shipped = any(conf.get("code") for conf in flavors.values())
    pickled = any(file.suffix in _PICKLES for file in path.rglob("*"))
    return serialization is not None or shipped or pickled or not known


def _is_hinted(content: Mapping[str, Any]) -> bool:
    return bool(content.get("is_signature_from_type_hint"))


def _signature(saved: Mapping[str, Any] | None, *, hinted: bool) -> dict[str, Any] | None:
    if not saved:
        return None
    parts = {name: saved.get(name) for name in ("inputs", "outputs", "params")}
    read = {k: json.loads(v) if isinstance(v, str) else v for k, v in parts.items()}
    if hinted:
        read["inputs"] = [_with_defaults(spec) for spec in read["inputs"] or []]
    return read


def _with_defaults(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Mark every property as one that may be absent, what is in lists and maps as what may be null.

    Of a pydantic class MLflow writes down which fields take null, and not which have a default. Of
    ``list[Optional[str]]`` it does not write that it takes null. Both are for the type hint to say.
    """
    inner = dict(spec)
    for name in ("items", "values"):
        if isinstance(inner.get(name), Mapping):
            inner[name] = _with_defaults(inner[name]) | {"required": False}
    if inner.get("properties"):
        properties = {k: _with_defaults(v) for k, v in inner["properties"].items()}
        inner["properties"] = {k: v | {"may_be_absent": True} for k, v in properties.items()}
    return inner


def _libraries(
    content: Mapping[str, Any], requirements: tuple[str, ...], path: Path
) -> dict[str, str]:
    libraries = dict(_pinned(requirements))
    for flavor, conf in content["flavors"].items():
        for key, library in _FLAVOR_LIBRARIES.items():
            if conf.get(key):
                libraries[library] = str(conf[key])
        if flavor == _PYFUNC and conf.get("python_version"):
            libraries["python"] = str(conf["python_version"])
    pickled = _pickled_by(path)
    if pickled is not None and pickled != _running("scikit-learn"):
        libraries["scikit-learn"] = pickled  # whatever was declared when it was logged anew
    if content.get("mlflow_version"):
        libraries["mlflow"] = str(content["mlflow_version"])
    if "python" not in libraries:
        for line in _lines(path / "python_env.yaml"):
            if line.startswith("python:"):
                libraries["python"] = line.partition(":")[2].strip()
    return dict(sorted(libraries.items()))


def _pickled_by(path: Path) -> str | None:
    """Return the scikit-learn that wrote a pickle, which it notes in every estimator; None if none did.

    The file is searched and not loaded: loading runs code.
    """
    for file in sorted(path.glob("*.pkl")):
        with (
            contextlib.suppress(ValueError, OSError),  # an empty file cannot be mapped
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            if found := _SKLEARN_NOTE.search(mapped):
                return found[1].decode()
    return None


def _pinned(requirements: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for line in requirements:
        if match := _PINNED.fullmatch(line):
            yield re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


def _lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
