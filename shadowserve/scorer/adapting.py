"""The adapter: a function of the team's own that puts a challenger's output into the champion's form.

It lies in a module in the directory where `serve` was started, or one that Python finds. It runs where the
challenger is scored and nowhere else; what it takes is not counted among the version's times. The digest of its
source is part of the deployment: what was summed with one adapter does not go on with another.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.errors import ModelError, SettingsError
from shadowserve.faults import fault_of
from shadowserve.settings.adapting import adapter_of
from shadowserve.settings.options import Options
from shadowserve.versions.version import Version

STEP = "adapt_output"
"""The step that its failures are told of."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One function, loaded.

    Parameters
    ----------
    name : str
        As it was asked for.
    function : callable
        Takes what the model gave for some rows, and returns as much in another form.
    """

    name: str
    function: Callable[[Any], Any]

    def __call__(self, output: Any) -> Any:
        """Return an output in the champion's form."""
        try:
            return self.function(output)
        except BaseException as error:
            # Told as the step that failed; an exception that takes no note is told by its frame.
            with contextlib.suppress(BaseException):
                error.shadowserve_step = STEP  # type: ignore[attr-defined]
            raise


def digests(given: Sequence[str]) -> dict[str, str]:
    """Return the digest of each adapter's source, by its name; nothing of it is imported.

    Raises
    ------
    SettingsError
        If there is no such module; one line for each.
    """
    found, faults = {}, []
    for name in dict.fromkeys(text.rpartition("=")[2] for text in given):
        try:
            found[name] = _digest(_source(name))
        except SettingsError as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))
    return found


def of(options: Options, version: Version) -> Adapter | None:
    """Return a challenger's adapter; None where it has none.

    Raises
    ------
    ModelError
        If it is not there, or not what it was when the deployment began.
    """
    name = adapter_of(options.adapt_output, version.number)
    if name is None:
        return None
    try:
        now = _digest(_source(name))
        then = options.adapters.get(name, now)
        if now != then:
            raise ModelError(
                f"{version.pin}: adapter {name} is not what it was at the start (sha256 {then[:12]} then, {now[:12]} "
                "now). Start 'shadowserve serve' again: a new deployment begins with the new one."
            )
        return load(name)
    except SettingsError as error:
        raise ModelError(f"{version.pin}: {error}") from error


def load(name: str) -> Adapter:
    """Import an adapter under a name that no module of a model's has.

    Raises
    ------
    SettingsError
        If there is no such module or function, or importing it fails.
    """
    path, function = _source(name), name.partition(":")[2]
    spec = importlib.util.spec_from_file_location(f"shadowserve_adapter_{_digest(path)[:16]}", path)
    try:
        if spec is None or spec.loader is None:
            raise ImportError
        module = importlib.util.module_from_spec(spec)
        with _from_here():
            spec.loader.exec_module(module)
        found = getattr(module, function)
    except BaseException as error:  # whatever importing it raises
        raise SettingsError(
            f"--adapt-output: {name} cannot be imported ({fault_of(error).type}). Mend it, or name another function."
        ) from error
    if not callable(found):
        raise SettingsError(f"--adapt-output: {name} is no function of an output.")
    return Adapter(name, found)


def _source(name: str) -> Path:
    module = name.partition(":")[0]
    here = Path.cwd().joinpath(*module.split("."))
    for path in (here.with_suffix(".py"), here / "__init__.py"):
        if path.is_file():
            return path
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin and Path(spec.origin).is_file():
            return Path(spec.origin)
    raise SettingsError(
        f"--adapt-output: there is no module {module} in {Path.cwd()}, and none is installed. Start in the directory "
        "where it lies."
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def _from_here() -> Iterator[None]:
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the module may have taken it out itself
            sys.path.remove(here)
