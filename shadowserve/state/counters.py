"""A champion worker's own counts, in a mapped file that outlives the worker.

Plain counts (rejected, overloaded, …) are single memory writes. What a journal step changes is
written together: the new totals go into the bank that is not in use, then one word says which bank
counts. So a reader, or the next worker after SIGKILL, always finds totals that belong together, and
`sequence` tells from where the journal itself knows more.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shadowserve.state.files import bytes_of, mapped
from shadowserve.state.refusal_counts import SUFFIX, RefusalCounts

_PLAIN = (
    "pid",
    "ready",
    "rejected",
    "overloaded",
    "client_gone",
    "extra_columns",
    "busy_ns",
    "bank",
)
_BANKED = ("answered", "failed", "appended", "append_failed", "sequence")
_LATER = (
    "beat_ns", "nonfinite", "turned_away", "not_ready", "timed_out", "lost", "in_hand",
    "replayed_0", "replayed_1", "own_ns", "replay_rejected",
)  # fmt: skip
"""Added behind what earlier releases wrote."""
_SLOT = {name: index for index, name in enumerate((*_PLAIN, *2 * _BANKED, *_LATER))}
STAND_IN = 999
"""The number of the supervisor's stand-in among the workers."""
_WORDS = len(_PLAIN) + 2 * len(_BANKED) + len(_LATER)
_SIZE = 8 * _WORDS
_REPLAYED = _SLOT["replayed_0"]
"""Of either bank, one after the other."""
_LEAST = _SIZE - 8 * 4
"""Bytes that a release wrote which knew no replays."""


@dataclass(frozen=True, slots=True)
class Counts:
    """One consistent reading of a worker's counters, in requests unless named otherwise.

    Parameters
    ----------
    pid : int
        The process that counted last; 0 before the first.
    ready : int
        1 once that process loaded the champion and warmed it through the whole path.
    extra_columns : int
        Request columns that the signature does not know, ignored.
    busy_ns : int
        Monotonic time since which a call of the model is running; 0 between calls.
    sequence : int
        The last journal sequence number that is in `appended`.
    beat_ns : int
        Monotonic time at which the worker's event loop last turned; 0 before it does.
    nonfinite : int
        Values of answers that were NaN or infinite, sent as null.
    turned_away : int
        Requests for no route of ours, from a page of another site, without the token, and the like.
    not_ready : int
        Requests that came while no champion was loaded to take them, or whose worker was given up.
    timed_out : int
        Requests whose call took longer than the request timeout.
    lost : int
        Requests that died with their worker: nobody could answer them.
    in_hand : int
        Requests that the worker has read, or is reading, and has not answered yet.
    replayed : int
        Of those that were answered or failed, how many a replay had sent.
    own_ns : int
        When the last one came that no replay had sent, since the epoch; 0 before the first.
    replay_rejected : int
        Requests of replays that were refused; they are not in `rejected`.
    """

    pid: int = 0
    ready: int = 0
    rejected: int = 0
    overloaded: int = 0
    client_gone: int = 0
    extra_columns: int = 0
    busy_ns: int = 0
    answered: int = 0
    failed: int = 0
    appended: int = 0
    append_failed: int = 0
    sequence: int = 0
    beat_ns: int = 0
    nonfinite: int = 0
    turned_away: int = 0
    not_ready: int = 0
    timed_out: int = 0
    lost: int = 0
    in_hand: int = 0
    replayed: int = 0
    own_ns: int = 0
    replay_rejected: int = 0

    @property
    def alive(self) -> bool:
        """Whether the counting process still runs."""
        return self.pid > 0 and is_alive(self.pid)

    def with_journaled(self, by_status: Mapping[int, int], *, replayed: int = 0) -> Counts:
        """Add requests that the journal holds beyond `sequence`: the worker died, or is about to count them."""
        total = sum(by_status.values())
        answered = by_status.get(200, 0)
        return replace(
            self,
            answered=self.answered + answered,
            failed=self.failed + total - answered,
            appended=self.appended + total,
            sequence=self.sequence + total,
            replayed=self.replayed + replayed,
        )


def is_alive(pid: int) -> bool:
    """Tell whether a process of this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # It is somebody else's process, so it is there.
    except PermissionError:
        return True
    return True


class Counters:
    """The writing side: one worker, one file, opened for the worker's life.

    Each plain name is written by one thread only. The counts go on from where they stood.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing; refusals by code lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self._map = mapped(path, _SIZE)
        self._cells = memoryview(self._map).cast("q")
        self._refusals = RefusalCounts(path.with_suffix(SUFFIX))
        self._stepping = threading.Lock()

    def add(self, name: str, amount: int = 1) -> None:
        """Add `amount` to a plain count."""
        self._cells[_SLOT[name]] += amount

    def refuse(self, code: str) -> None:
        """Count one answer that bears an error, by its code."""
        self._refusals.add(code)

    def set(self, name: str, value: int) -> None:
        """Set a plain count, such as ``ready`` or ``pid``."""
        self._cells[_SLOT[name]] = value

    def journal_step(
        self,
        *,
        answered: int,
        failed: int,
        appended: int,
        append_failed: int,
        sequence: int,
        replayed: int = 0,
        own_ns: int = 0,
    ) -> None:
        """Add what one journal step did, all at once; from any thread. Neither the sequence nor `own_ns` falls."""
        with self._stepping:
            cells, bank = self._cells, self._cells[_SLOT["bank"]]
            # Five counts change together, and a kill may come between two of them. So they are
            # written where nobody reads, and one word turns the reader over.
            old = len(_PLAIN) + bank * len(_BANKED)
            new = len(_PLAIN) + (1 - bank) * len(_BANKED)
            cells[new] = cells[old] + answered
            cells[new + 1] = cells[old + 1] + failed
            cells[new + 2] = cells[old + 2] + appended
            cells[new + 3] = cells[old + 3] + append_failed
            # Steps of several threads may end in another order than their sequences began.
            cells[new + 4] = max(cells[old + 4], sequence)
            cells[_REPLAYED + 1 - bank] = cells[_REPLAYED + bank] + replayed
            cells[_SLOT["own_ns"]] = max(cells[_SLOT["own_ns"]], own_ns)
            cells[_SLOT["bank"]] = 1 - bank

    def counts(self) -> Counts:
        """Return the counts as they stand."""
        return _counts(tuple(self._cells))

    def move(self, path: Path) -> None:
        """Go on in another file, from where that one's counts stood; to be called while nothing is counted."""
        with self._stepping:
            old_cells, old_map = self._cells, self._map
            self._map = mapped(path, _SIZE)
            self._cells = memoryview(self._map).cast("q")
            old_cells.release()
            old_map.close()
            self._refusals.close()
            self._refusals = RefusalCounts(path.with_suffix(SUFFIX))

    def close(self) -> None:
        """Unmap the file; the counts stay in it."""
        self._cells.release()
        self._map.close()
        self._refusals.close()


def read(path: Path) -> Counts:
    """Read a worker's counters; all zero if the worker never started."""
    raw = bytes_of(path)
    while raw != (again := bytes_of(path)):  # a journal step fell into the reading
        raw = again
    # A still shorter file is one that is being made: its worker has counted nothing yet.
    if len(raw) < _LEAST:
        return Counts()
    return _counts(struct.unpack_from(f"{_WORDS}q", raw.ljust(_SIZE, b"\0")))


def _counts(cells: tuple[int, ...]) -> Counts:
    plain = dict(zip(_PLAIN, cells, strict=False))
    # Which of the two banks holds; the other is being written, or was when its writer died.
    bank = plain.pop("bank")
    start = len(_PLAIN) + bank * len(_BANKED)
    banked = dict(zip(_BANKED, cells[start : start + len(_BANKED)], strict=True))
    later = dict(zip(_LATER, cells[-len(_LATER) :], strict=True))
    both = later.pop("replayed_0"), later.pop("replayed_1")
    return Counts(**plain, **banked, **later, replayed=both[bank])
