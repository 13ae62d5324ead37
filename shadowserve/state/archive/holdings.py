"""Where archived segments lie, and what there is: one directory a deployment, one file a segment, one index.

::

    journal-archive/
        index.db                    what each file holds, and of which request ids
        <deployment>/
            deployment.json         as it was served: its champion's signature types the requests
            <worker>-<n>.parquet

The files are the truth. The index only spares opening each of them; what it lacks is read from the files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.errors import StateError, UnreachableError
from shadowserve.journal.segment_file import Segment, size_of
from shadowserve.legible import quoted
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.facts import SUFFIX, Facts, read_facts
from shadowserve.state.archive.index import Index
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places


@dataclass(frozen=True, slots=True)
class Archived:
    """One archived segment.

    Parameters
    ----------
    path : Path
    facts : Facts or None
        None where the file cannot be read.
    bytes : int
        On disk.
    fault : str
        Why it cannot be read; empty where it can.
    """

    path: Path
    facts: Facts | None
    bytes: int
    fault: str = ""


@dataclass(slots=True)
class Holdings:
    """All archived segments of a state directory; for reading, and for the one process that writes them.

    Parameters
    ----------
    places : Places
        The state directory.
    """

    places: Places
    _index: Index = field(init=False)

    def __post_init__(self) -> None:
        self._index = Index(self.places.journal_archive / "index.db")

    @property
    def root(self) -> Path:
        """The directory of all of it; missing until something is archived."""
        return self.places.journal_archive

    def place(self, deployment: str) -> Path:
        """Return a deployment's directory."""
        return self.root / deployment

    def file_of(self, deployment: str, segment: Segment) -> Path:
        """Return where a segment of the journal is archived."""
        return self.places.archived(deployment, segment.worker, segment.number)

    def deployment(self, name: str) -> Deployment:
        """Return an archived deployment as it was served.

        Raises
        ------
        UnreachableError
            If nothing of it is archived.
        StateError
            If its file is missing or damaged.
        """
        if not self.place(name).is_dir():
            raise UnreachableError(
                f"Nothing of {quoted(name)} is kept in {self.places.root}. 'shadowserve journal list' lists what is."
            )
        found = deployments.read(Places(self.place(name)))
        if found is None:
            raise StateError(
                f"{self.place(name)} lacks deployment.json, without which nobody knows its columns. Its segments can "
                "be read as the Parquet files that they are."
            )
        return found

    def open(self, deployment: Deployment) -> Path:
        """Make a deployment's directory, with what types its requests; for the writing process."""
        place = self.place(deployment.id)
        for made in (self.root, place):
            made.mkdir(mode=0o700, exist_ok=True)
        deployments.write(Places(place), deployment)
        return place

    def note(self, path: Path, facts: Facts, ids: Sequence[str]) -> None:
        """Put a file that is there into the index; for the writing process."""
        self._index.add(self._name(path), facts, ids, n_bytes=size_of(path))

    def paths(self) -> list[Path]:
        """List the files, by deployment, worker and number."""
        return sorted(self.root.glob(f"*/*{SUFFIX}"), key=_order)

    def archived(self) -> Iterator[Archived]:
        """Yield every segment, as the index knows it or else as its file says."""
        known = self._index.facts()
        for path in self.paths():
            noted = known.get(self._name(path))
            if noted is not None:
                yield Archived(path, noted, size_of(path))
                continue
            try:
                yield Archived(path, read_facts(path), size_of(path))
            except StateError as error:
                yield Archived(path, None, size_of(path), str(error))

    def holding(self, request_id: str) -> list[Path]:
        """Return the files that may hold a request of this id; of a file that the index lacks nobody knows."""
        known = self._index.facts().keys()
        may = self._index.holding(request_id)
        return [p for p in self.paths() if self._name(p) in may or self._name(p) not in known]

    def unnoted(self) -> list[Path]:
        """Return the files that the index lacks; for the writing process."""
        known = self._index.facts().keys()
        return [path for path in self.paths() if self._name(path) not in known]

    def remove(self, path: Path) -> None:
        """Delete a file, and its deployment's directory with the last; for the writing process."""
        path.unlink(missing_ok=True)
        self._index.remove(self._name(path))
        if not any(path.parent.glob(f"*{SUFFIX}")):
            shutil.rmtree(path.parent, ignore_errors=True)

    def forget_gone(self) -> None:
        """Take out of the index what somebody else has deleted; for the writing process."""
        there = {self._name(path) for path in self.paths()}
        for name in self._index.facts().keys() - there:
            self._index.remove(name)

    def _name(self, path: Path) -> str:
        return f"{path.parent.name}/{path.name}"


def _order(path: Path) -> tuple[str, int, int]:
    worker, _, number = path.stem.partition("-")
    whole = worker.isdigit() and number.isdigit()
    return path.parent.name, int(worker) if whole else 0, int(number) if whole else 0
