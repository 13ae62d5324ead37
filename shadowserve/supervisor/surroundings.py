"""A home, a place for temporary files and for caches, where the system leaves none that can be written.

Containers often run on a read-only root, without ``/tmp`` or a home. BentoML then ends at its start,
downloads fail, and a library that compiles refuses to be imported. What is missing is made below the
state directory, which must be writable anyway; what is there is left as it is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

_CACHES = {
    "XDG_CACHE_HOME": ".cache",
    "NUMBA_CACHE_DIR": ".cache/numba",
    "MPLCONFIGDIR": ".cache/matplotlib",
}


def settle(root: Path, environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """Set what is missing, for this process and those it starts.

    Parameters
    ----------
    root : Path
        The state directory, already claimed.
    environ : mapping
        Changed in place.

    Returns
    -------
    list of str
        Names of the variables that were set.
    """
    wanted: dict[str, Path] = {}
    if not _has_temporary():
        wanted["TMPDIR"] = root / "tmp"
    if not _is_writable(environ.get("HOME", "")):
        home = wanted["HOME"] = root / "home"
        wanted |= {name: home / below for name, below in _CACHES.items() if name not in environ}
    for name, place in wanted.items():
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        environ[name] = str(place)
    tempfile.tempdir = None  # it is looked for anew
    return list(wanted)


def _has_temporary() -> bool:
    """Tell whether temporary files have a place; the working directory, the last resort, is none."""
    tempfile.tempdir = None
    try:
        return Path(tempfile.gettempdir()) != Path.cwd()
    except FileNotFoundError:
        return False


def _is_writable(path: str) -> bool:
    return bool(path) and os.access(path, os.W_OK | os.X_OK) and Path(path).is_dir()
