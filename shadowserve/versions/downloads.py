"""The download of a version's files: its own timeouts, its progress, and faults that name the files.

The registry may answer in a moment while the store of the files takes minutes, or cannot be read at
all. Progress is shown meanwhile, and a fault names the files and their place, not the registry.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from shadowserve.errors import RegistryError, ShadowserveError, UnreachableError
from shadowserve.versions.stores import redact

TOLD_EVERY_S = 5.0
"""Seconds between two lines of progress."""

CALL_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""For calls of the registry: MLflow's own defaults retry for minutes. A user's setting stays."""

_FILE_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "300",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_PACKAGES = {
    "s3": "boto3", "r2": "boto3", "b2": "boto3", "gs": "google-cloud-storage", "wasbs": "azure-storage-blob",
    "abfss": "azure-storage-file-datalake", "hdfs": "pyarrow", "sftp": "paramiko",
}  # fmt: skip
_GONE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


@contextmanager
def patient() -> Iterator[None]:
    """Give files minutes where a call is given seconds; what the user has set stays."""
    # What differs from our own setting is the user's.
    ours = [name for name, value in CALL_PATIENCE.items() if os.environ.get(name) == value]
    before = {name: os.environ[name] for name in ours}
    os.environ.update({name: _FILE_PATIENCE[name] for name in ours})
    try:
        yield
    finally:
        os.environ.update(before)


@contextmanager
def reading(name: str, location: str) -> Iterator[None]:
    """Be patient, and say of a fault which files it concerns, where they lie and what is missing.

    Parameters
    ----------
    name : str
        The pin, as messages call it.
    location : str
        Address of its files; shown without credentials.

    Raises
    ------
    RegistryError
        There are no such files.
    UnreachableError
        They cannot be read from here, or not now.
    """
    try:
        with patient():
            yield
    except ShadowserveError:
        raise
    except Exception as error:
        raise _unreadable(error, name, location) from error


def _unreadable(error: Exception, name: str, location: str) -> ShadowserveError:
    place = redact(location)
    scheme = urlsplit(location).scheme
    lacking = _lacking(error)
    if lacking is not None:
        package = _PACKAGES.get(scheme, lacking)
        return UnreachableError(
            f"{name}: its files lie at {place}, and reading them takes package {package!r}, which "
            f"is not installed. Install it here: pip install {package}."
        )
    first = (redact(str(error)).strip().splitlines() or [""])[0][:200]
    told = f"{type(error).__name__}: {first}" if first else type(error).__name__
    if getattr(error, "error_code", None) in _GONE:
        return RegistryError(
            f"{name} is registered, but its files are said to be at {place}, and nothing is there "
            f"({told}). The registry answers. Restore the files, or register the version again."
        )
    return UnreachableError(
        f"{name}: its files cannot be read from {place} ({told}). The registry answers; check the "
        "store of the files: its address, its rights, and that it can be reached from here."
    )


def _lacking(error: BaseException | None) -> str | None:
    """Return the missing module that an exception, or one of its causes, names; None if none does."""
    seen: set[int] = set()
    # A chain of causes may lead in a circle.
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ImportError):
            return (error.name or "").partition(".")[0] or str(error)[:80]
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def told(
    say: Callable[[str], None],
    name: str,
    folder: Path,
    size_bytes: int,
    *,
    every_s: float = TOLD_EVERY_S,
) -> Iterator[None]:
    """Say now and then how much has arrived in a folder; nothing where it comes at once."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(every_s):
            arrived = _arrived(folder) / 1e6
            whole = f" of {size_bytes / 1e6:,.0f}" if size_bytes else ""
            say(f"Downloading    {name}: {arrived:,.0f}{whole} MB so far")

    thread = threading.Thread(target=tell, name="download", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _arrived(folder: Path) -> int:
    """Return the bytes in a folder by now; files renamed meanwhile count the next time."""
    size = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    return size
