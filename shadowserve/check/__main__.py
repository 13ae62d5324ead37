"""One version in a process of its own: ``python -m shadowserve.check <files>``, asked on stdin.

What the version prints goes to stderr; stdout carries one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from shadowserve.check.trial import try_version
from shadowserve.host import priority
from shadowserve.settings.options import Options
from shadowserve.versions import copies
from shadowserve.versions.version import Version


def main(path: str) -> None:
    """Try a version out and print the record."""
    if priority.VARIABLE in os.environ:  # beside a champion that is served
        priority.load()
    answer = os.dup(1)
    # By descriptor, since libraries in C print past Python's stdout.
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    folder = tempfile.TemporaryDirectory(prefix="shadowserve-check-")
    trial = try_version(
        Version.from_dict(asked["version"]),
        copies.own(Path(path), Path(folder.name) / "files"),
        options=Options.of(asked["options"]),
        champion_body=asked["champion_body"],
        champion=None if asked["champion"] is None else Version.from_dict(asked["champion"]),
    )
    with os.fdopen(answer, "w") as out:
        json.dump(trial.to_dict(), out)


if __name__ == "__main__":
    main(sys.argv[1])
