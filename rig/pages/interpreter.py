"""One page's Python: blocks come as JSON lines and run one after the other under the same names."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from rig.pages.blocks import Block


class Interpreter:
    """A Python process that runs a page's blocks in a directory.

    Parameters
    ----------
    place : Path
        Its working directory.
    environ : dict of str to str
    """

    def __init__(self, place: Path, environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            cwd=place,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, block: Block, text: str) -> str:
        """Run a block; return its traceback, empty if it ended well."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([block.place, text]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        return json.loads(answer) if answer else "the interpreter ended"

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(30)


def _serve() -> None:
    told = sys.stdout
    sys.stdout = sys.stderr  # what blocks print is not for us
    sys.path.insert(0, "")
    names: dict[str, Any] = {"__name__": "__main__"}
    for line in sys.stdin:
        place, text = json.loads(line)
        try:
            exec(compile(text, place, "exec"), names)
            said = ""
        except BaseException:
            said = traceback.format_exc()
        print(json.dumps(said), file=told, flush=True)


if __name__ == "__main__":
    _serve()
