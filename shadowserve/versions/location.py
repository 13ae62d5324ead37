"""Where a version's files lie: in a directory of this machine, or in a store that only MLflow reaches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shadowserve.errors import RegistryError
from shadowserve.versions.pins import Pin
from shadowserve.versions.version import model_files


def local(location: str) -> Path | None:
    """Return the directory where a location is one of this machine."""
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(url2pathname(parts.path))
    return Path(location) if not parts.scheme else None


def existing(folder: Path, pin: Pin) -> Path:
    """Return a version's directory.

    Raises
    ------
    RegistryError
        It is gone.
    """
    if not folder.is_dir():
        raise RegistryError(
            f"{pin} is registered, but its files are gone from {folder}. Restore them, or pin "
            "another version."
        )
    return folder


def copy(source: Path, target: Path) -> None:
    """Copy the files that are of the model, and no others."""
    for file in model_files(source):
        copied = target / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)


def size(repository: Any, folder: str | None = None) -> int:
    """Return the bytes of all files in a store; what it does not tell counts as 0."""
    found = repository.list_artifacts(folder)
    return sum(
        size(repository, file.path) if file.is_dir else int(file.file_size or 0) for file in found
    )
