"""Commands as pages show them, so that each runs to its end: ``python command.py NAME ARGUMENTS``.

`serve` is stopped once it is ready, and has ports and a state directory of its own. For a `replay` what `serve` showed before
it is served meanwhile. `make` says what it would do, since it would install, or run these tests again. Exit codes that tell of a verdict are no failure here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHADOWSERVE = str(Path(sys.executable).with_name("shadowserve"))
FINE = {"verdict": (0, 1, 3), "check": (0, 3), "promote": (0, 3), "rescore": (0, 1, 3)}
STAGING = (
    "serve",
    "--champion",
    "v3",
    "--challenger",
    "v4",
    "--port",
    "4000",
    "--console-port",
    "4001",
)
READY = "Ready  "
START_S = 240.0


def install(place: Path) -> Path:
    """Write commands of these names into a directory, and return it: it goes first in PATH."""
    place.mkdir()
    for name in ("make", "shadowserve"):
        script = place / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
        script.chmod(0o755)
    return place


def _make(arguments: list[str]) -> int:
    make = shutil.which("make", path=os.defpath)
    return subprocess.call([make or "make", "--dry-run", "--directory", str(ROOT), *arguments])


def _shadowserve(arguments: list[str]) -> int:
    if arguments[:1] == ["serve"] and "--help" not in arguments:
        with _serving(arguments) as is_ready:
            pass
        return 0 if is_ready else 1
    with _serving(STAGING) if arguments[:1] == ["replay"] else contextlib.nullcontext():
        code = subprocess.call([SHADOWSERVE, *arguments])
    return 0 if code in FINE.get(arguments[0], (0,)) else code


@contextlib.contextmanager
def _serving(arguments: Sequence[str]) -> Iterator[bool]:
    """Serve for the length of a block, once it is ready; False where it never is. Its exit code is the command's."""
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryFile("w+") as talk:
        ports = ("CONSOLE_PORT",) if "--tap" in arguments else ("PORT", "CONSOLE_PORT")
        own = {f"SHADOWSERVE_{name}": "0" for name in ports}
        own["SHADOWSERVE_LANE_PRIORITY"] = "normal"  # whatever else the machine does
        served = subprocess.Popen(
            [SHADOWSERVE, *arguments],
            env={**os.environ, **own, "SHADOWSERVE_STATE_DIR": f"{state}/state"},
            stdout=talk,
            stderr=talk,
        )
        try:
            until = time.monotonic() + START_S
            while served.poll() is None and READY not in _said(talk) and time.monotonic() < until:
                time.sleep(0.1)
            yield READY in _said(talk)
        finally:
            served.send_signal(signal.SIGTERM)
            code = served.wait(60)
            print(_said(talk))
        if code:
            sys.exit(code)


def _said(talk: object) -> str:
    talk.seek(0)
    return talk.read()


if __name__ == "__main__":
    run = {"make": _make, "shadowserve": _shadowserve}[sys.argv[1]]
    sys.exit(run(sys.argv[2:]))
