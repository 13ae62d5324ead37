"""A worker's own files: its counts, the unknown columns that it met, and its journal.

A champion worker has them, and where the champion answers elsewhere, the console's tap.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from shadowserve.errors import JournalError, UnreadableError
from shadowserve.journal import writer
from shadowserve.journal.standby import Standby
from shadowserve.serving.recorder import BatchRecorder
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import Deployment
from shadowserve.state.ledger import reconcile
from shadowserve.state.places import Places
from shadowserve.state.sampling import Sampling
from shadowserve.state.unknown_columns import UnknownColumns

_log = logging.getLogger(__name__)


class WorkerJournal:
    """The files that one worker writes, opened for its process's life.

    Parameters
    ----------
    places : Places
        The state directory.
    worker : int
        The worker's index, from 0.
    """

    def __init__(self, places: Places, worker: int) -> None:
        self._places = places
        self._worker = worker
        self._journal: writer.Writer | Standby | None = None
        self.counters = Counters(places.counters(worker))
        self.counters.set("ready", 0)
        self.counters.set("pid", os.getpid())
        self.unknown_columns = UnknownColumns(places.unknown_columns(worker))

    def move(self, places: Places, worker: int) -> None:
        """Go on with the files of another deployment; to be called closed."""
        self._places, self._worker = places, worker
        self.count_in(places.counters(worker), names=places.unknown_columns(worker))

    def count_in(self, path: Path, *, names: Path) -> None:
        """Count in other files from here on, as the process that counts there; it is not ready."""
        self.counters.move(path)
        for name in ("ready", "busy_ns", "beat_ns", "in_hand"):
            self.counters.set(name, 0)
        self.counters.set("pid", os.getpid())
        self.unknown_columns.move(names)

    def open(self, steps: writer.Steps = ()) -> BatchRecorder:
        """Open the journal; where that fails, nothing is recorded until it can be opened.

        What the worker's last process journaled and did not live to count is counted first.
        """
        try:
            self._journal = self._opened(steps)
        except (JournalError, UnreadableError) as error:
            _log.error("%s Serving goes on; what is answered meanwhile is not recorded.", error)
            self._journal = Standby(
                lambda: self._opened(steps),
                worker=self._worker,
                sequence=self.counters.counts().sequence,
            )
        return BatchRecorder(self._journal, self.counters)

    def _opened(self, steps: writer.Steps) -> writer.Writer:
        reconcile(self._places, self.counters, worker=self._worker)
        return writer.Writer(
            self._places.journal,
            worker=self._worker,
            steps=steps,
            after=self.counters.counts().sequence,
            segment_bytes=writer.segment_bytes_of(os.environ),
        )

    def close(self) -> None:
        """Seal the journal; its process is not ready any more."""
        self.counters.set("ready", 0)
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def meet(names: Sequence[str], counters: Counters, unknown_columns: UnknownColumns) -> None:
    """Count and name a request's columns that the signature does not know."""
    counters.add("extra_columns", len(names))
    unknown_columns.meet(names)


def sampling_of(deployment: Deployment) -> Sampling:
    """Return which of a deployment's requests lanes get to see."""
    return Sampling(
        rate=deployment.options.sample_rate,
        salt=deployment.salt,
        entity=deployment.options.entity,
    )
