"""A virtual environment for each peer, made once and kept under the user's cache directory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

SHARED = ("scikit-learn", "numpy", "pandas", "scipy", "joblib")
"""What the models were fitted with: every peer gets these versions."""


class NotToBeHadError(Exception):
    """A peer cannot be installed here; the text says why, in one line."""


def cache() -> Path:
    """Return where environments are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shadowserve" / "peers"


def python(name: str, wants: Sequence[str]) -> Path:
    """Return the interpreter of a peer's environment, made if it is not there.

    Raises
    ------
    NotToBeHadError
        If its packages cannot be installed.
    """
    wanted = [*wants, *(f"{package}=={version(package)}" for package in SHARED)]
    mark = hashlib.sha256(json.dumps([sys.version, wanted]).encode()).hexdigest()[:12]
    place = cache() / f"{name}-{mark}"
    interpreter = place / "bin" / "python"
    if (place / "whole").exists():
        return interpreter
    shutil.rmtree(place, ignore_errors=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    venv.create(place, with_pip=uv is None)
    installs = [uv, "pip", "install", "--python"] if uv else [interpreter, "-m", "pip", "install"]
    command = [*installs, *([interpreter] if uv else []), "--quiet", *wanted]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        shutil.rmtree(place, ignore_errors=True)
        raise NotToBeHadError(" ".join(ran.stderr.split())[:300] or f"exit {ran.returncode}")
    (place / "whole").touch()
    return interpreter


def installed(interpreter: Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of packages in an environment."""
    code = "import sys, importlib.metadata as m; print(*(m.version(p) for p in sys.argv[1:]))"
    ran = subprocess.run(
        [interpreter, "-c", code, *packages], capture_output=True, text=True, check=True
    )
    return dict(zip(packages, ran.stdout.split(), strict=True))
