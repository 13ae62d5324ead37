"""Environments that isolated versions run in: made once for each set of requirements, kept in the user's cache.

An environment's folder is named by the digest of its requirements, its Python and where packages come from. It
is made beside, under a lock, and renamed when it is whole: a killed build leaves nothing that is taken for one,
and of two that want the same one builds and the other waits.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from shadowserve.errors import ModelError
from shadowserve.host.leash import tie_to_parent
from shadowserve.scorer.isolated import interpreters, tools
from shadowserve.scorer.isolated.requirements import Requirements
from shadowserve.state.isolation import Environment

RECORD = "environment.json"
"""Written last, within: a folder without it is no environment."""
FORM = 1
"""Of an environment's folder; another one makes them anew."""
TELL_S = 5.0
WAIT_S = 0.2
MOST_SAID = 65_536


@dataclass(frozen=True, slots=True)
class Source:
    """Where packages come from.

    Parameters
    ----------
    index : str, optional
        Address of an index, with its credentials; by default as the tool is configured.
    wheels : Path, optional
        A folder of wheels; then no index is asked.
    """

    index: str | None = None
    wheels: Path | None = None


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where environments are kept for this user."""
    own = environ.get("XDG_CACHE_HOME")
    home = Path(own) if own and Path(own).is_absolute() else Path.home() / ".cache"
    return home / "shadowserve" / "environments"


def key_of(wanted: Requirements, source: Source) -> str:
    """Return the digest that names an environment."""
    index = None if source.index is None else source.index.rpartition("@")[2]
    told = [FORM, wanted.python, wanted.lines, wanted.constraints, index, str(source.wheels or "")]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def find(wanted: Requirements, source: Source, cache: Path) -> Environment | None:
    """Return the environment that was made for these requirements; None if there is none, or not all of it."""
    folder = cache / key_of(wanted, source)
    try:
        made = Environment.from_dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # Its interpreter is a link: whoever uninstalls that Python takes it away.
    return made if made.interpreter.exists() else None


def obtain(
    wanted: Requirements,
    source: Source,
    cache: Path,
    *,
    name: str,
    say: Callable[[str], None] = lambda _: None,
) -> Environment:
    """Return the environment for these requirements, made where it is not there.

    Parameters
    ----------
    name : str
        The version, for messages.
    say : callable
        Is told how far it is, every few seconds.

    Raises
    ------
    ModelError
        If it cannot be made; nothing is left that would be taken for one.
    """
    if (found := find(wanted, source, cache)) is not None:
        return found
    folder = cache / key_of(wanted, source)
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(
            folder.with_suffix(".lock"), waiting=lambda: say("waits for another build of it")
        ):
            # Somebody else may have made it meanwhile.
            if (found := find(wanted, source, cache)) is not None:
                return found
            return _made(wanted, source, folder, name=name, say=say)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "there is no room for it" if full else f"{cache} cannot be used ({error.strerror})"
        raise ModelError(
            f"{name}: its environment cannot be made: {reason}. Free some, or give another place by XDG_CACHE_HOME."
        ) from error


def _made(
    wanted: Requirements,
    source: Source,
    folder: Path,
    *,
    name: str,
    say: Callable[[str], None],
) -> Environment:
    tool, python = tools.tool(), interpreters.find(wanted.python, name=name)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # the lock is ours: whoever left it is dead
    began = time.monotonic()
    try:
        _run(tool.making(python, part), source, name=name, say=say)
        lines = _written(part / "requirements.txt", wanted.lines)
        bounds = (
            _written(part / "constraints.txt", wanted.constraints) if wanted.constraints else None
        )
        command = tool.installing(
            part,
            lines=lines,
            constraints=bounds,
            hashed=wanted.hashed,
            index=source.index,
            wheels=source.wheels,
        )
        _run(command, source, name=name, say=say)
        environment = Environment(
            path=str(folder),
            python=_python_of(part),
            libraries=_libraries(part),
            size_bytes=_size(part),
            seconds=round(time.monotonic() - began, 2),
            made_by=tool.name,
            left_out=wanted.left_out,
        )
        (part / RECORD).write_text(json.dumps(environment.to_dict(), indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # one that lacks something
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return environment


def _written(file: Path, lines: tuple[str, ...]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def _run(command: list[str], source: Source, *, name: str, say: Callable[[str], None]) -> None:
    """Run a tool at the lowest claim on CPUs, and say every few seconds that it is at work."""
    began, told = time.monotonic(), time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=tools.environment(os.environ),
            preexec_fn=_behind,
        )
        try:
            while process.poll() is None:
                time.sleep(WAIT_S / 4)
                if time.monotonic() - told >= TELL_S:
                    told = time.monotonic()
                    say(f"being made for {told - began:.0f} s")
        except BaseException:
            process.kill()
            process.wait()
            raise
        said.seek(0)
        text = said.read(MOST_SAID).decode("utf-8", "replace")
    if process.returncode != 0:
        reason = tools.why(process.returncode, text, index=source.index, wheels=source.wheels)
        raise ModelError(f"{name}: its environment cannot be made: {reason}")


def _behind() -> None:
    tie_to_parent()
    os.nice(19)


def _site_packages(folder: Path) -> list[str]:
    return [str(place) for place in folder.glob("lib/python*/site-packages")]


def _libraries(folder: Path) -> dict[str, str]:
    found = distributions(path=_site_packages(folder))
    named = {str(one.metadata["Name"]).lower().replace("_", "-"): one.version for one in found}
    return dict(sorted(named.items()))


def _python_of(folder: Path) -> str:
    for line in (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version", "version_info"):
            return ".".join(value.strip().split(".")[:3])
    return ""


def _size(folder: Path) -> int:
    """Return the bytes of its files; those that are linked to elsewhere count too."""
    total = 0
    for place, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(place, name)).st_size for name in names)  # noqa: PTH118 - thousands of files
    return total


@contextmanager
def _locked(file: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    with file.open("w") as lock:
        told = False
        while True:
            try:
                # The kernel lets this lock go with its holder, however that ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting()
                told = True
                time.sleep(WAIT_S)
        yield
