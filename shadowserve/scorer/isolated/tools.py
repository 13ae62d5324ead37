"""uv or pip: their commands, and what their complaints come down to in one line."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shadowserve.errors import ModelError

MOST_TOLD = 300
_TOO_LARGE = -25
"""SIGXFSZ: a file beyond what this user may write."""
_NO_ROOM = (
    "no space left",
    "os error 28",
    "errno 28",
    "disk quota",
    "file too large",
    "os error 27",
    "os error 122",
)
_AWAY = (
    "error sending request", "failed to fetch", "dns error", "connection refused", "max retries exceeded",
    "newconnectionerror", "timed out", "tcp connect error", "could not connect", "name resolution", "error trying to connect",
)  # fmt: skip
_WRONG_HASH = ("hash mismatch", "do not match the hashes", "hashes are required")
_NO_WHEEL = (
    "no usable wheels",
    "no wheels",
    "only-binary",
    "building source distributions is disabled",
    "no binary",
)


@dataclass(frozen=True, slots=True)
class Tool:
    """What makes an environment.

    Parameters
    ----------
    name : {"uv", "pip"}
    command : tuple of str
        Before the tool's own arguments.
    """

    name: str
    command: tuple[str, ...]

    def making(self, python: Path, folder: Path) -> list[str]:
        """Return the command that makes an empty environment."""
        if self.name == "uv":
            return [
                *self.command,
                "venv",
                "--quiet",
                "--no-project",
                "--python",
                str(python),
                str(folder),
            ]
        return [str(python), "-I", "-m", "venv", "--without-pip", str(folder)]

    def installing(
        self,
        folder: Path,
        *,
        lines: Path,
        constraints: Path | None,
        hashed: bool,
        index: str | None,
        wheels: Path | None,
    ) -> list[str]:
        """Return the command that installs requirements into it, as wheels only."""
        python = str(folder / "bin" / "python")
        if self.name == "uv":
            begun = [*self.command, "pip", "install", "--python", python, "--no-python-downloads"]
            begun += [
                "--compile-bytecode",
                "--link-mode",
                "hardlink",
                "--color",
                "never",
                "--no-progress",
            ]
        else:
            begun = [
                *self.command,
                "--python",
                python,
                "install",
                "--disable-pip-version-check",
                "--no-input",
            ]
            begun += ["--no-color", "--progress-bar", "off"]
        asked = ["--only-binary", ":all:", "-r", str(lines)]
        if constraints is not None:
            asked += ["-c", str(constraints)]
        if hashed:
            asked.append("--require-hashes")
        if wheels is not None:
            asked += ["--no-index", "-f", str(wheels)]
        elif index is not None:
            asked += ["-i", index]
        return begun + asked


def uv() -> Path | None:
    """Return uv, on the PATH or beside this interpreter; None where there is none."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    return None if found is None else Path(found)


def tool() -> Tool:
    """Return what makes environments here: uv if it is there, else this interpreter's pip.

    Raises
    ------
    ModelError
        If there is neither.
    """
    if (found := uv()) is not None:
        return Tool("uv", (str(found),))
    pip = (sys.executable, "-m", "pip")
    if _works([*pip, "--version"]):
        return Tool("pip", pip)
    raise ModelError(
        "--isolate needs uv or pip to make an environment, and neither is here. Install one: 'pip install uv'."
    )


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def why(code: int, said: str, *, index: str | None, wheels: Path | None) -> str:
    """Return why a tool failed, and the next step, in one line without credentials.

    Parameters
    ----------
    code : int
        How it ended.
    said : str
        What it wrote.

    Examples
    --------
    >>> why(1, "error: No space left on device (os error 28)", index=None, wheels=None)
    'there is no room for it. Free some, or give another place by XDG_CACHE_HOME.'
    """
    text = " ".join(_bare(said).split())
    low = text.lower()
    place = f"the folder {wheels}" if wheels is not None else _bare(index) if index else "the index"
    if code == _TOO_LARGE or any(word in low for word in _NO_ROOM):
        return "there is no room for it. Free some, or give another place by XDG_CACHE_HOME."
    if any(word in low for word in _WRONG_HASH):
        return f"a package has another hash than was recorded: {_end(text)} Do not use it before you know why."
    if any(word in low for word in _NO_WHEEL):
        return f"a package has no wheel for this Python and machine: {_end(text)} Build one and put it into a folder for --wheels."
    if any(word in low for word in _AWAY):
        return (
            f"{place} cannot be reached: {_end(text)} Look after it, or give --index or --wheels."
        )
    return f"its requirements do not resolve with {place}: {_end(text)} Log the version again with requirements that do."


def _bare(text: str) -> str:
    return re.sub(r"(://)[^/\s@]*@", r"\1", text)


def _end(text: str) -> str:
    """Return what a tool says last, where its reason stands, and bound it."""
    text = re.sub(r"[\u00d7\u2500-\u257f\u25b6]+", "", text)
    found = re.search(r"(because|hint:|error:|caused by)", text, re.IGNORECASE)
    told = " ".join(text[found.start() :].split()) if found else text
    told = told if len(told) <= MOST_TOLD else f"{told[: MOST_TOLD - 1]}…"
    return told if told.endswith((".", "…", "?", "!")) else f"{told}."


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a tool is started with: those that lead to this environment's packages are gone."""
    gone = (
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "UV_PROJECT_ENVIRONMENT",
    )
    return {name: value for name, value in environ.items() if name not in gone}
