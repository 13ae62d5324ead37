"""Programs that some tests need and PyPI has not: Debian's packages, which CI installs."""

from __future__ import annotations

import os
import shutil

import pytest


def program(*names: str, package: str) -> str:
    """Return the path of the first of some programs that is there; skip without it, fail in CI."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is not None:
        return found
    said = f"{names[0]} is not installed here: 'apt-get install {package}' brings it."
    if os.environ.get("CI"):
        pytest.fail(f"{said} .ci/run is to do so.")
    pytest.skip(said)
