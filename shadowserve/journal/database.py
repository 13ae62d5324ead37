"""Read-only access to a SQLite file: reading it changes no byte of the state directory.

A database that its writer keeps in WAL mode wants files beside it, even from those who only read. A reader
who closes it last also moves what a killed writer left in the log into the database. Neither happens here.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable(path: Path) -> Iterator[str]:
    """Yield the address under which SQLite reads a file, for the length of a block.

    Parameters
    ----------
    path : Path
        Of a database that exists; its directory may be one that this user cannot write.
    """
    path = path.resolve()
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if index.exists() or _is_writable(path.parent):
        # Only a reader that may not write leaves what lies in the log where it is when it closes; of an
        # empty log there is nothing to move, and who may write takes away the files that it had to make.
        yield f"{path.as_uri()}?mode={'ro' if _has_content(log) else 'rw'}"
    elif not _has_content(log):
        yield f"{path.as_uri()}?immutable=1"  # nobody can write here, so nothing can change
    else:
        with tempfile.TemporaryDirectory(prefix="shadowserve-") as folder:
            for part in (path, log):
                shutil.copyfile(part, Path(folder) / part.name)
            yield (Path(folder) / path.name).as_uri()


def _is_writable(directory: Path) -> bool:
    as_ours = os.access in os.supports_effective_ids
    return os.access(directory, os.W_OK, effective_ids=as_ours)


def _has_content(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except FileNotFoundError:
        return False
