"""What is known of an archived segment without reading its requests: it stands in the file's own footer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.errors import StateError

FORMAT = "shadowserve/segment/1"
KEY = b"shadowserve"
SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True)
class Facts:
    """One archived segment.

    Parameters
    ----------
    deployment, model : str
        Whose traffic it is.
    version : int
        The champion's version, whose answers these are.
    worker, number : int
        Which segment of the journal it was.
    first, last : int
        Its sequence numbers; none is left out between them.
    requests : int
        How many it holds.
    since_ns, until_ns : int
        When the first and the last of them arrived, since the epoch.
    raw_bytes : int
        What it took in the journal.
    steps : tuple of (name, columns)
        The champion plan's steps, by which its times are read.
    dropped, hashed : tuple of str
        Columns whose values are not in it, or only as hashes.
    """

    deployment: str
    model: str
    version: int
    worker: int
    number: int
    first: int
    last: int
    requests: int
    since_ns: int
    until_ns: int
    raw_bytes: int
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dropped: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()

    @property
    def hidden(self) -> tuple[str, ...]:
        """Columns that no version can be asked with again."""
        return self.dropped + self.hashed

    def metadata(self) -> dict[bytes, bytes]:
        """Return what the file's footer holds of it."""
        return {KEY: json.dumps({"format": FORMAT, **asdict(self)}).encode()}

    @classmethod
    def of(cls, metadata: Mapping[bytes, bytes] | None, path: Path) -> Self:
        """Read a footer.

        Raises
        ------
        StateError
            If it is not one of ours, or of a release that writes another format.
        """
        try:
            raw: dict[str, Any] = json.loads((metadata or {})[KEY])
            written = raw.pop("format")
            if written != FORMAT:
                raise StateError(
                    f"{path} is of the format {written!r}; this release reads {FORMAT!r}. Read it with the release that "
                    "wrote it, or move it aside."
                )
            steps = tuple((str(name), tuple(columns)) for name, columns in raw.pop("steps"))
            dropped, hashed = tuple(raw.pop("dropped")), tuple(raw.pop("hashed"))
            return cls(**raw, dropped=dropped, hashed=hashed, steps=steps)
        except StateError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"{path} is no archived segment. Move it aside.") from error


def read_facts(path: Path) -> Facts:
    """Read a file's footer.

    Raises
    ------
    StateError
        If it cannot be read, or is not one of ours.
    """
    try:
        return Facts.of(pq.read_schema(path).metadata, path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StateError(
            f"{path} cannot be read ({type(error).__name__}). 'shadowserve journal verify' tells what is damaged."
        ) from error
