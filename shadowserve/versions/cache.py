"""The model cache: one directory for each content, shared by workers, lanes and restarts.

A directory's name is the digest of what it holds, so nothing in it can be stale; a damaged one is
noticed and fetched again. Files arrive under another name and are renamed when complete. The cache
is bounded: the `KEEP` contents used last stay, and those that are needed still.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shadowserve.errors import ModelError, UnreachableError
from shadowserve.versions.version import digest_of

KEEP = 8
"""How many contents stay."""

SPARE_BYTES = 64 * 1024**2
"""Free space that a download must leave on the disk."""

_PART = ".part-"
_INDEX = "index"


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of the cache.

    Parameters
    ----------
    key : str
        Everything that names the version in its registry; remembered with the digest.
    name : str
        The pin, for messages.
    fill : callable of Path
        Puts the files into the (empty, existing) directory it is handed.
    size_bytes : int
        How much `fill` will write, 0 where unknown.
    digest : str, optional
        Digest at the source, where that could be read in place.
    """

    key: str
    name: str
    fill: Callable[[Path], None]
    size_bytes: int = 0
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Cached:
    """A complete directory in the cache."""

    path: Path
    digest: str
    size_bytes: int
    reused: bool


def obtain(
    cache: Path, request: Request, *, keep: int = KEEP, spared: Collection[str] = ()
) -> Cached:
    """Return the directory that holds the wanted files, filling it where needed.

    Safe when several processes ask at once: one fills, the others wait and reuse.

    Parameters
    ----------
    cache : Path
        Made where missing.
    request : Request
        What is wanted.
    keep : int
        How many contents stay afterwards, the obtained one among them.
    spared : collection of str
        Digests of contents that somebody still needs, and that stay in any case.

    Raises
    ------
    ModelError
        The registry now hands out other files under the same version than before.
    UnreachableError
        The cache cannot be written, or the disk has not enough room.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # One lock for the whole cache: whoever prunes must know that nobody is filling.
        with _locked(cache):
            found = _obtain(cache, request)
            _prune(cache, keep, spared)
            return found
    except OSError as error:
        if isinstance(error, UnreachableError):
            raise
        raise UnreachableError(
            f"Model cache {cache} cannot be used ({error.strerror or type(error).__name__}). "
            "Check rights and space, or give another --state-dir."
        ) from error


def _obtain(cache: Path, request: Request) -> Cached:
    for leftover in cache.glob(f"{_PART}*"):  # the lock is ours, so whoever made it is dead
        shutil.rmtree(leftover, ignore_errors=True)
    remembered = _remembered(cache, request.key)
    # A version that was changed at its source is refused, even while the old content still lies here.
    _same(remembered, request.digest, request.name)
    wanted = request.digest or remembered
    found = _intact(cache, wanted) if wanted else None
    if found is None:
        found = _fill(cache, request, remembered)
        _remember(cache, request, found.digest)
    # Pruning keeps what was used last.
    os.utime(found.path)
    return found


def _intact(cache: Path, digest: str) -> Cached | None:
    path = cache / digest
    if not path.is_dir():
        return None
    # Read whole at every use: a damaged copy is to be noticed before it is loaded.
    actual, size_bytes = digest_of(path)
    return Cached(path, digest, size_bytes, reused=True) if actual == digest else None


def _fill(cache: Path, request: Request, remembered: str | None) -> Cached:
    _check_space(cache, request)
    part = Path(tempfile.mkdtemp(prefix=_PART, dir=cache))
    try:
        request.fill(part)
        for compiled in list(part.rglob("__pycache__")):
            shutil.rmtree(compiled)  # not covered by the digest, so it must not run
        digest, size_bytes = digest_of(part)
        _same(remembered, digest, request.name)
        target = cache / digest
        if _intact(cache, digest) is None:
            shutil.rmtree(target, ignore_errors=True)
            # Renaming is one step, so nobody ever sees half a version.
            part.rename(target)
        return Cached(target, digest, size_bytes, reused=False)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_space(cache: Path, request: Request) -> None:
    free = shutil.disk_usage(cache).free
    if free < request.size_bytes + SPARE_BYTES:
        raise UnreachableError(
            f"{request.name} needs {request.size_bytes / 1e6:,.0f} MB in {cache} and "
            f"{SPARE_BYTES / 1e6:.0f} MB to spare; {free / 1e6:,.0f} MB are free. Free some, or "
            "give another --state-dir."
        )


def _same(before: str | None, now: str | None, name: str) -> None:
    if before is not None and now is not None and before != now:
        raise ModelError(
            f"{name} is not what it was: its files had digest {before[:12]}, now {now[:12]}. "
            "Someone changed a registered version; register the new files as a new one."
        )


def _index(cache: Path, key: str) -> Path:
    return cache / _INDEX / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _remembered(cache: Path, key: str) -> str | None:
    try:
        return str(json.loads(_index(cache, key).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(cache: Path, request: Request, digest: str) -> None:
    entry = _index(cache, request.key)
    entry.parent.mkdir(exist_ok=True)
    part = entry.with_suffix(".part")
    part.write_text(json.dumps({"name": request.name, "digest": digest}), encoding="utf-8")
    part.replace(entry)


def _prune(cache: Path, keep: int, spared: Collection[str]) -> None:
    # A digest has 64 digits, which tells contents from the index and from parts.
    contents = [path for path in cache.iterdir() if path.is_dir() and len(path.name) == 64]
    contents.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in contents[keep:]:
        if old.name not in spared:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    with (cache / ".lock").open("w") as lock:
        # The kernel lets this lock go with its holder, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
