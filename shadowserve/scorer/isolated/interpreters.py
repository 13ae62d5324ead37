"""The interpreter of exactly the Python that a version was trained with, found on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shadowserve.errors import ModelError
from shadowserve.scorer.isolated.tools import uv

PATIENCE_S = 20.0
_ASKED = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2], sys.version.split()[0])"


def find(minor: str, *, name: str) -> Path:
    """Return an interpreter of a minor version; nothing is downloaded.

    Parameters
    ----------
    minor : str
        Such as ``"3.11"``.
    name : str
        The version, for the message.

    Raises
    ------
    ModelError
        If this machine has none.
    """
    for candidate in _candidates(minor):
        if _is(candidate, minor):
            return candidate
    raise ModelError(
        f"{name} was trained with Python {minor}, and there is no python{minor} here: another one could crash on "
        f"its pickle. Install it ('uv python install {minor}', or your system's package) so that it is on the "
        "PATH, or leave --isolate away."
    )


def _candidates(minor: str) -> Iterator[Path]:
    if minor == ".".join(map(str, sys.version_info[:2])):
        # What this environment was made from, so that ending it does not end the other's.
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
        yield Path(sys.executable)
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = Path(place, f"python{minor}")
        if place and found.is_file() and os.access(found, os.X_OK):
            yield found
    if (tool := uv()) is not None:
        command = [str(tool), "python", "find", "--offline", "--no-project", "--system", minor]
        told = _output(command)
        if told:
            yield Path(told)


def _is(candidate: Path, minor: str) -> bool:
    """Ask an interpreter what it is: a name on the PATH may be a shim that starts nothing."""
    told = (_output([str(candidate), "-I", "-S", "-c", _ASKED]) or "").split()
    return told[:2] == ["cpython", minor]


def _output(command: list[str]) -> str | None:
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 else None
