"""Keeping the journal: what every lane has read is deleted, what is damaged moved aside, the budget held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.errors import DamagedError
from shadowserve.journal import lost, reader, segment_file
from shadowserve.journal.segment_file import Segment


@dataclass(slots=True)
class Keeper:
    """Looks after one journal's segments; the workers only write.

    Parameters
    ----------
    directory : Path
        The journal's directory.
    budget : int
        Bytes on disk beyond which the oldest sealed segments go, read or not.
    say : callable
        Tells the user, one line a call.
    archived : callable
        Whether a segment may go as far as the archive is concerned; always, where none is kept.
    """

    directory: Path
    budget: int
    say: Callable[[str], None]
    archived: Callable[[Segment], bool] = lambda _segment: True
    _sealed: dict[Path, int] = field(default_factory=dict)

    def keep(self, *, cursors: Sequence[Mapping[int, int]], counted: Mapping[int, int]) -> None:
        """Do all of it once.

        Parameters
        ----------
        cursors : sequence of mapping of worker to sequence
            How far each lane has come.
        counted : mapping of worker to sequence
            The last sequence number that each worker's counters hold.
        """
        present = segment_file.segments(self.directory)
        self._sealed = {s.path: self._sealed[s.path] for s in present if s.path in self._sealed}
        for segment in present:
            self._look_at(segment, present, counted)
        newest = {segment.worker: segment for segment in present}
        for segment in present:
            last = self._sealed.get(segment.path)
            if last is None:
                continue
            known = segment != newest[segment.worker] or counted.get(segment.worker, -1) >= last
            # The newest segment goes only once its worker's counters hold its end: a restart counts
            # from there.
            read = all(cursor.get(segment.worker, 0) >= last for cursor in cursors)
            if known and read and self.archived(segment):
                self._remove(segment)
        self.bound()

    def bound(self) -> None:
        """Delete the oldest sealed segments beyond the budget, of whichever worker; the ledger counts what was unread."""
        present = segment_file.segments(self.directory)
        used = sum(segment.bytes for segment in present)
        sealed = [segment for segment in present if segment.path in self._sealed]
        # By age and not by worker: one busy worker must not push out what a quiet one wrote last.
        for segment in sorted(sealed, key=_age):
            if used <= self.budget:
                return
            used -= segment.bytes
            if not self.archived(segment):
                self.say(
                    f"Archive        {segment.path.name} leaves the journal before it is archived, for the journal's "
                    "budget is reached"
                )
            self._remove(segment)

    def _look_at(
        self, segment: Segment, present: Sequence[Segment], counted: Mapping[int, int]
    ) -> None:
        """Learn where a segment ends, once it is sealed; move it aside if it cannot be read."""
        if segment.path in self._sealed and not lost.is_marked(segment.path):
            return
        try:
            if lost.is_marked(segment.path):
                raise DamagedError(segment.path, "a row is damaged")
            first, last = reader.reach(segment)
            # An empty segment is a spare that its worker made ready, unless that one has gone on to
            # a later.
            if first is None and self._has_successor(segment, present):
                raise DamagedError(segment.path, "its tables are gone")
        except DamagedError:
            self._set_aside(segment, present, counted)
            return
        if last is not None:
            self._sealed[segment.path] = last

    def _has_successor(self, segment: Segment, present: Sequence[Segment]) -> bool:
        """Tell whether its worker has begun a later segment: then this one cannot be a spare."""
        later = (s for s in present if s.worker == segment.worker and s.number > segment.number)
        return any(_first(one) is not None for one in later)

    def _set_aside(
        self, segment: Segment, present: Sequence[Segment], counted: Mapping[int, int]
    ) -> None:
        own = [one for one in present if one.worker == segment.worker]
        place = own.index(segment)
        before = max((self._sealed.get(one.path, 0) for one in own[:place]), default=0)
        # What cannot be read is bounded by its neighbours, so that each lost request is counted
        # once.
        begins = (first for one in own[place + 1 :] if (first := _first(one)) is not None)
        ends = self._sealed.get(segment.path, counted.get(segment.worker, 0))
        last = max(before, next(begins, ends + 1) - 1)
        held = lost.Range(segment.worker, (_first(segment) or before + 1), last)
        aside = lost.set_aside(segment.path, held)
        self._sealed.pop(segment.path, None)
        self.say(
            f"Journal        {segment.path.name} is damaged and lies in {aside.parent}; requests "
            "that a lane had not read from it are counted as lost"
        )

    def _remove(self, segment: Segment) -> None:
        segment_file.remove(segment)
        self._sealed.pop(segment.path, None)


def _first(segment: Segment) -> int | None:
    try:
        return reader.reach(segment)[0]
    except DamagedError:
        return None


def _age(segment: Segment) -> int:
    """Return when a segment was last written to; whatever is gone is oldest."""
    try:
        return segment.path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
