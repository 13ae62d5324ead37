"""The sources of settings: environment variables and the settings file, read as they are written.

What stands there is handed on with its place in the user's words, so that a fault can be named where
it is. Names that nobody knows are faults too, with the nearest known one. Values are read by
`settings`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

FILE = "shadowserve.toml"
PREFIX = "SHADOWSERVE_"

Source = dict[str, tuple[str, Any]]
"""Name of a setting to the place where it stands and the raw value."""


def variable_of(name: str) -> str:
    """Return the environment variable of a setting.

    Examples
    --------
    >>> variable_of("sample_rate")
    'SHADOWSERVE_SAMPLE_RATE'
    """
    return f"{PREFIX}{name.upper()}"


def from_environment(
    environ: Mapping[str, str], known: Collection[str], faults: list[str]
) -> Source:
    """Read our variables; an empty one means not given.

    Parameters
    ----------
    environ : mapping of variable to text
    known : collection of str
        Names of settings.
    faults : list of str
        Gets a line for each misspelt variable. The environment is everybody's, so only a near miss
        of a known name counts as misspelt.
    """
    found: Source = {}
    for variable, raw in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        # Shells and compose files empty a variable more easily than they remove it.
        if not variable.startswith(PREFIX) or not raw.strip() or _is_kubernetes(name, raw):
            continue
        if name in known:
            found[name] = (variable, raw)
        elif near := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            faults.append(f"{variable}: not known. Did you mean {variable_of(near[0])}?")
    return found


def _is_kubernetes(name: str, raw: str) -> bool:
    """Kubernetes sets ``SHADOWSERVE_PORT=tcp://…`` in pods beside a service of that name."""
    return name == "port" and "://" in raw


def from_file(file: Path | None, known: Collection[str], faults: list[str]) -> Source:
    """Read a settings file, TOML.

    Parameters
    ----------
    file : Path or None
        Must exist; None reads `FILE` in the working directory, if there is one.
    known : collection of str
        Names of settings.
    faults : list of str
        Gets a line for each unknown key, or one for a file that cannot be read.
    """
    place = Path(FILE) if file is None else file
    try:
        parsed = tomllib.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        if file is not None or not isinstance(error, FileNotFoundError):
            faults.append(f"{place}: cannot be read ({error.strerror}).")
        return {}
    except ValueError as error:
        faults.append(f"{place}: not valid TOML. {' '.join(str(error).split())}.")
        return {}
    faults += [f"{place}: {_unknown(key, known)}" for key in parsed if key not in known]
    return {key: (f"{place}: {key}", raw) for key, raw in parsed.items() if key in known}


def _unknown(key: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
    return f"{key!r} is not known. {hint}"
