"""A version's class labels, in the order of its probabilities: told by who has loaded it.

A lane loads its own version only, yet lays the champion's probabilities beside its own by class.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shadowserve.deployment import write_whole


def tell(path: Path, classes: Sequence[Any] | None) -> None:
    """Leave the labels at a place; a full disk is no reason not to serve."""
    with contextlib.suppress(OSError):
        write_whole(path, json.dumps(list(classes) if classes else None))


def told(path: Path) -> list[Any] | None:
    """Read them back; None where the version has none, or nothing was left."""
    try:
        found: list[Any] | None = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found
