"""A try of one version in a process of its own, which may crash or hang."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.check.trial import Trial
from shadowserve.ending import ending
from shadowserve.settings.options import DEFAULTS, Options
from shadowserve.versions.version import Version

PATIENCE_S = 180.0
ROLE = "SHADOWSERVE_ROLE"
"""Where a model finds what it is loaded for, in every process that loads it."""


def try_out(
    version: Version,
    path: Path,
    *,
    options: Options = DEFAULTS,
    champion_body: Any = None,
    champion: Version | None = None,
    environment: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Trial:
    """Load a version in a fresh process and send the examples through it.

    Parameters
    ----------
    version : Version
    path : Path
        Its files.
    options, champion
        As in `scoring.open_version`.
    champion_body : object, optional
        The champion's input example, parsed.
    environment : mapping, optional
        All its variables, as the process that will serve it has them; by default this process's own.
    patience_s : float
        Seconds after which the process is killed, with all that it started.

    Returns
    -------
    Trial
        A process that died or hung is a failure like any other.
    """
    asked = json.dumps(
        {
            "version": version.to_dict(),
            "options": options.to_dict(),
            "champion_body": champion_body,
            "champion": None if champion is None else champion.to_dict(),
        },
        default=str,
    )
    told = within("shadowserve.check", path, asked, environment=environment, patience_s=patience_s)
    if told.late:
        return Trial(
            failure=f"{version.pin} was not ready within {patience_s:g} s. "
            "Does it wait for something?"
        )
    if told.ended is not None:
        return Trial(
            failure=f"{version.pin} ended its process while it was loaded or tried "
            f"({told.ended}). Try it where it was trained."
        )
    return Trial.from_dict(json.loads(told.answer))


@dataclass(frozen=True, slots=True)
class Told:
    """What a process that runs a model said.

    Parameters
    ----------
    answer : str
        What it wrote; empty where it did not come to its end.
    ended : str or None
        How it died; None where it did not.
    late : bool
        Whether it was killed since it took too long.
    """

    answer: str = ""
    ended: str | None = None
    late: bool = False


def within(
    module: str,
    path: Path,
    asked: str,
    *,
    environment: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Told:
    """Run a module in a process of its own, which may load a model that crashes or hangs.

    Parameters
    ----------
    module : str
        Run with a version's files as its argument; asked on stdin, it answers on stdout.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # What a model prints may hold values.
        stderr=subprocess.DEVNULL,
        text=True,
        # A session of its own, so that all that the model starts is ended with it.
        start_new_session=True,
        env={**(os.environ if environment is None else environment), ROLE: "check"},
    ) as process:
        try:
            answer, _ = process.communicate(asked, timeout=patience_s)
        except subprocess.TimeoutExpired:
            return Told(late=True)
        finally:  # leave nothing behind: neither the process nor what it started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Told(answer) if process.returncode == 0 else Told(ended=ending(process.returncode))
