"""The archivist: packs each segment once it is sealed, and lets the oldest go, in a process of its own.

python -m shadowserve.supervisor.archivist

It is there where `--keep-journal` says so, reads the journal beside the lanes and asks nobody. A segment leaves the
journal only once it is packed and every lane has read it, or when the journal's budget is reached: then what was not
packed is gone, and said to be.
Asked to end, it packs what is sealed by then, as far as it comes; the rest waits in the journal for the next start.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from setproctitle import setproctitle

from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host import priority
from shadowserve.host.leash import watch_parent
from shadowserve.journal import reader
from shadowserve.journal.segment_file import Segment, segments
from shadowserve.schema.schema import Schema
from shadowserve.settings.keeping import Keep, keep
from shadowserve.settings.vocabulary import ARCHIVE_KEEPS
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.facts import read_facts
from shadowserve.state.archive.hiding import Hiding
from shadowserve.state.archive.holdings import Holdings
from shadowserve.state.archive.packing import Hide, pack
from shadowserve.state.archive.retention import beyond
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

RETENTION_S = 60.0
TURN_S = 1.0
FLUSH_S = 10.0

_log = logging.getLogger("shadowserve.archivist")
_stop = threading.Event()


@dataclass(slots=True)
class Archivist:
    """Keeps the past of one state directory; there is one at a time.

    Parameters
    ----------
    places : Places
        The state directory.
    deployment : Deployment
        What is served from it.
    keep : Keep
        How long, or how much.
    """

    places: Places
    deployment: Deployment
    keep: Keep
    holdings: Holdings = field(init=False)
    _told: dict[Path, str] = field(default_factory=dict)
    _retained_at: float = 0.0

    def __post_init__(self) -> None:
        self.holdings = Holdings(self.places)

    def begin(self) -> None:
        """Put right what a killed process left: drafts, files that the index lacks, and deployments that are over."""
        for draft in self.holdings.root.glob("*/.*"):
            draft.unlink(missing_ok=True)
        self.holdings.forget_gone()
        for path in self.holdings.unnoted():
            self._try(path, partial(self._note, path))
        for shelf in self.places.shelves:
            self._try(shelf, partial(self._pack_shelf, Places(shelf)))

    def turn(self) -> bool:
        """Pack the oldest sealed segment that is not packed yet; False if there is none."""
        if time.monotonic() - self._retained_at > RETENTION_S:
            self.retain()
        for segment in segments(self.places.journal):
            if self._is_packed(self.deployment, segment):
                continue
            if self._try(segment.path, partial(self._pack, self.deployment, segment, final=False)):
                return True
        return False

    def retain(self) -> None:
        """Delete what is too old or too much."""
        self._retained_at = time.monotonic()
        found = list(self.holdings.archived())
        for path in beyond(found, self.keep, now_ns=time.time_ns()):
            self._try(path, partial(self._remove, path))

    def _remove(self, path: Path) -> bool:
        self.holdings.remove(path)
        return True

    def _pack_shelf(self, shelf: Places) -> bool:
        """Pack what an archived deployment left: no one writes it any more, sealed or not."""
        over = deployments.read(shelf)
        if over is None:
            return False
        for segment in segments(shelf.journal):
            if not self._is_packed(over, segment):
                self._try(segment.path, partial(self._pack, over, segment, final=True))
        return True

    def _is_packed(self, deployment: Deployment, segment: Segment) -> bool:
        return self.holdings.file_of(deployment.id, segment).exists()

    def _pack(self, deployment: Deployment, segment: Segment, *, final: bool) -> bool:
        """Pack a segment if it is complete; True if that was done."""
        _, last = reader.reach(segment)
        if last is None and not final:
            return False
        self.holdings.open(deployment)
        target = self.holdings.file_of(deployment.id, segment)
        if pack(segment, target, deployment, hide=_hiding(deployment)) is None:
            return False
        return self._note(target)

    def _note(self, path: Path) -> bool:
        ids = pq.read_table(path, columns=["request_id"]).column(0).to_pylist()
        self.holdings.note(path, read_facts(path), [one or "" for one in ids])
        return True

    def _try(self, what: Path, step: Callable[[], bool]) -> bool:
        """Do it; what goes wrong is told once, and tried again later."""
        try:
            done = step()
        except (ShadowserveError, OSError, pa.ArrowException) as error:
            known = isinstance(error, ShadowserveError)
            told = str(error) if known else f"{fault_of(error).type} at {fault_of(error).frame}"
            if isinstance(error, OSError) and error.strerror:
                told = f"it cannot be archived ({error.strerror})"
            if self._told.get(what) != told:
                _log.warning("%s: %s", what, told)
            self._told[what] = told
            return False
        self._told.pop(what, None)
        return done


def _hiding(deployment: Deployment) -> Hide | None:
    disclosure = deployment.options.disclosure(salt=deployment.salt)
    if not disclosure.hides:
        return None
    return Hiding(Schema.from_signature(deployment.champion.signature), disclosure)


def main() -> int:
    """Archive until SIGTERM; return the exit code."""
    places = Places.of_process(Path(os.environ["SHADOWSERVE_STATE_DIR"]))
    setproctitle(f"shadowserve archivist {places.root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _stop.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    priority.load()
    places.journal_archive.mkdir(mode=0o700, exist_ok=True)
    held = os.open(
        places.journal_archive / "lock",
        os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW,
        0o600,
    )
    fcntl.flock(held, fcntl.LOCK_EX)  # one of an earlier start may still be packing
    start, wanted = os.environ["SHADOWSERVE_START"], keep(os.environ[ARCHIVE_KEEPS]) or Keep()
    while (deployment := deployments.read(places)) is None or deployment.start != start:
        if _stop.wait(0.1):
            return 0
    archivist = Archivist(places, deployment, wanted)
    archivist.begin()
    while not _stop.is_set():
        if not archivist.turn():
            _stop.wait(TURN_S)
    until = time.monotonic() + FLUSH_S
    while time.monotonic() < until and archivist.turn():
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
