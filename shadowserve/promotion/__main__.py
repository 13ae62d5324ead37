"""Recorded requests asked again, in a process of its own: ``python -m shadowserve.promotion <files>``, asked on stdin.

What the version prints goes to stderr; stdout carries one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from shadowserve.promotion.replaying import replay
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.versions import copies


def main(path: str) -> None:
    """Ask a version and print what came of it."""
    answer = os.dup(1)
    # By descriptor, since libraries in C print past Python's stdout.
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    folder = tempfile.TemporaryDirectory(prefix="shadowserve-promote-")
    found = replay(
        Places(Path(asked["state"])),
        Deployment.from_json(asked["deployment"]),
        asked["number"],
        copies.own(Path(path), Path(folder.name) / "files"),
    )
    with os.fdopen(answer, "w") as out:
        json.dump(asdict(found), out)


if __name__ == "__main__":
    main(sys.argv[1])
