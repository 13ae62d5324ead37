"""What a version's environment is made from: the requirements and the Python that MLflow recorded beside it.

Only names with their bounds, from an index or a folder of wheels. What would be built, or fetched from a place
that the version itself names, is refused: a version must not choose where the server gets code from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from shadowserve.errors import ModelError
from shadowserve.versions.mlmodel import read_flavors
from shadowserve.versions.version import Version

FILE = "requirements.txt"
BOUNDS = "constraints.txt"
LEAST_PYTHON = (3, 10)
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(.*)", re.DOTALL)
_ARCHIVES = (".whl", ".zip", ".tar", ".gz", ".bz2", ".xz", ".tgz", ".tbz", ".txz", ".egg")
_PLACES = frozenset("@/\\")
"""No name, bound or extra holds one of these; whatever is an address or a path does."""
_OURS = "shadowserve"
_WITHOUT_MLFLOW = ("sklearn",)
"""Flavors that are loaded without MLflow; all others need the one that they were recorded with."""
_OF_MLFLOW = ("mlflow", "mlflow-skinny", "mlflow-tracing")


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is to be installed for one version.

    Parameters
    ----------
    python : str
        Minor version, such as ``"3.11"``.
    lines : tuple of str
        One requirement each, with its hashes where they were recorded; sorted.
    constraints : tuple of str
        Bounds on what those bring.
    left_out : tuple of str
        What was recorded and is not installed, with the reason.
    """

    python: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def hashed(self) -> bool:
        """Whether every requirement bears a hash, so that nothing else may be installed."""
        return all(map(_bears_hash, self.lines))


def of_version(version: Version, path: Path) -> Requirements:
    """Read what a version's files say of the libraries that it was trained with.

    Parameters
    ----------
    path : Path
        Its files.

    Raises
    ------
    ModelError
        If nothing is recorded, no Python is, or something is that cannot be had as a wheel by its name.
    """
    content = read_flavors(path, pin=version.pin)
    python = _python(version)
    recorded: dict[str, list[str]] = {}
    # One name may stand in several lines, each for another Python.
    for name, line in _recorded(path, version):
        recorded.setdefault(name, []).append(line)
    if not recorded:
        raise ModelError(
            f"{version.pin} records no requirements, so no environment can be made for it. Log it again with "
            "pip_requirements, or leave --isolate away."
        )
    left_out = []
    if recorded.pop(_OURS, None):
        left_out.append(f"{_OURS} (this server's own is lent to it)")
    if not _needs_mlflow(content, path):
        gone = [name for name in _OF_MLFLOW if recorded.pop(name, None)]
        left_out += [f"{name} (scikit-learn's flavor is loaded without it)" for name in gone]
    elif not any(name in recorded for name in _OF_MLFLOW):
        recorded["mlflow"] = [_exactly("mlflow", content.get("mlflow_version"))]
    for name, line in _implied(content):
        recorded.setdefault(name, [line])
    lines = sorted(line for own in recorded.values() for line in own)
    bare = next((name for name, own in recorded.items() if not all(map(_bears_hash, own))), None)
    if bare is not None and any(map(_bears_hash, lines)):
        raise ModelError(
            f"{version.pin} records hashes for some of its requirements and none for {bare}. Log it again with "
            "all of them, or without."
        )
    bounds = sorted(line for _, line in _named(_lines(path / BOUNDS), BOUNDS, version))
    return Requirements(python, tuple(lines), tuple(bounds), tuple(left_out))


def _python(version: Version) -> str:
    recorded = version.libraries.get("python", "")
    parts = recorded.split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts[:2]):
        raise ModelError(
            f"{version.pin} records no Python version, and another one than it was trained with could crash. "
            "Log it again with a current MLflow, or leave --isolate away."
        )
    minor = (int(parts[0]), int(parts[1]))
    if minor < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        raise ModelError(
            f"{version.pin} was trained with Python {recorded}, and isolated versions need {least} or newer. "
            "Train it again with a newer one."
        )
    return f"{minor[0]}.{minor[1]}"


def _recorded(path: Path, version: Version) -> Iterator[tuple[str, str]]:
    lines = _lines(path / FILE) or _of_conda(path / "conda.yaml")
    own = (f"-c {BOUNDS}", f"--constraint {BOUNDS}")
    return _named((line for line in lines if line not in own), FILE, version)


def _named(lines: Iterable[str], file: str, version: Version) -> Iterator[tuple[str, str]]:
    """Yield each line with the name of what it asks for; an option, a path and an address are refused."""
    for line in lines:
        if line.startswith("-"):
            raise ModelError(
                f"{version.pin} has the option {_shown(line)} in its {file}. Where packages come from is yours to "
                "say: give --index or --wheels, and log the version again without the option."
            )
        found = _NAME.fullmatch(line)
        if found is None or _is_place(line):
            raise ModelError(
                f"{version.pin} requires {_shown(line)}, which is a path or an address. Publish it as a wheel "
                "(--index, or a folder for --wheels), and log the version again with its name and number."
            )
        yield _canonical(found[1]), line


def _bears_hash(line: str) -> bool:
    return "--hash=" in line


def _is_place(text: str) -> bool:
    """Whether a requirement names where it lies, and not what it is."""
    head = text.split(";", 1)[0].strip().lower()
    before = head.split("--hash=", 1)[0].strip()
    # A file's bare name is looked for in the directory where the server was started.
    return before.endswith(_ARCHIVES) or not _PLACES.isdisjoint(before)


def _shown(line: str) -> str:
    """Return a line for a message: without credentials, and not endless."""
    return repr(re.sub(r"//[^/@\s]*@", "//***@", line)[:120])


def _lines(file: Path) -> list[str]:
    """Return the lines of a requirements file, those that go on joined, without comments."""
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8").replace("\\\r\n", " ").replace("\\\n", " ")
    bare = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in text.splitlines())
    return [" ".join(line.split()) for line in bare if line]


def _of_conda(file: Path) -> list[str]:
    """Return what conda.yaml lists for pip; conda's own packages are not had as wheels."""
    if not file.is_file():
        return []
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        listed = content["dependencies"]
        return [
            str(one)
            for each in listed
            if isinstance(each, Mapping)
            for one in each.get("pip") or ()
        ]
    except (ValueError, TypeError, LookupError, yaml.YAMLError):
        return []


def _needs_mlflow(content: Mapping[str, Any], path: Path) -> bool:
    """Whether loading it takes MLflow: another flavor, or code of its own, which may import it."""
    flavors = content["flavors"]
    if not any(name in flavors for name in _WITHOUT_MLFLOW):
        return True
    if any(conf.get("code") for conf in flavors.values()):
        return True
    model = path / str(flavors["sklearn"].get("pickled_model"))
    return model.is_file() and b"mlflow" in model.read_bytes()


def _implied(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what scoring needs, where it was not recorded."""
    flavors = content["flavors"]
    pyfunc = flavors.get("python_function") or {}
    yield "numpy", "numpy"
    yield "pandas", "pandas"
    if "sklearn" in flavors:
        yield "scikit-learn", _exactly("scikit-learn", flavors["sklearn"].get("sklearn_version"))
    if pyfunc.get("cloudpickle_version") or "cloudpickle" in (_format(flavors) or ""):
        yield "cloudpickle", _exactly("cloudpickle", pyfunc.get("cloudpickle_version"))
    if _format(flavors) == "skops":
        yield "skops", "skops"


def _format(flavors: Mapping[str, Any]) -> str | None:
    found = (flavors.get("sklearn") or {}).get("serialization_format")
    return None if found is None else str(found)


def _exactly(name: str, number: Any) -> str:
    return f"{name}=={number}" if number else name


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
