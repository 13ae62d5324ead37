"""What lanes have committed, decoded once for whoever asks again: most of it is as it was.

Of a million comparisons a lane keeps 20,000 records of bursts, and decoding them takes longer than all that
follows from them. A record never changes: new ones come, and the oldest make room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from shadowserve.comparison.bursts import BurstRecord
from shadowserve.comparison.learned import Learned
from shadowserve.judgement.pairs import Pair, pair_of
from shadowserve.state.lane_reading import Snapshot, snapshot


@dataclass(slots=True)
class _Lane:
    """What is known of one lane's file."""

    summaries: Mapping[str, bytes] = field(default_factory=dict)
    learned: Learned | None = None
    bursts: dict[int, BurstRecord] = field(default_factory=dict)
    newest: tuple[int, bytes] | None = None
    windows: int = 0


@dataclass(frozen=True, slots=True)
class Both:
    """A challenger's lane and the control's, each at one moment of its own.

    Parameters
    ----------
    learned, control : Learned or None
        None before a lane's first commit; the control also where there is none.
    pairs : tuple of Pair
        In the order of arrival.
    windows : int
        That the challenger's lane has closed.
    """

    learned: Learned | None
    control: Learned | None
    pairs: tuple[Pair, ...]
    windows: int


class Lanes:
    """Reads lanes' files, and remembers what it has read of them.

    One that is asked once reads everything. What is handed out is shared, and must not be changed.
    """

    def __init__(self) -> None:
        self._known: dict[Path, _Lane] = {}
        self._pairs: dict[Path, dict[int, Pair]] = {}
        self._one_at_a_time = Lock()

    def read(self, own: Path, control: Path | None) -> Both:
        """Read a challenger's file and the control's, if there is one.

        Raises
        ------
        UnreadableError
            If a file is there and cannot be read.
        """
        with self._one_at_a_time:
            # One snapshot of each lane for all findings: read twice, two of them could contradict
            # each other.
            challenger = self._read(own)
            if control is None:
                return Both(challenger.learned, None, (), challenger.windows)
            theirs = self._read(control)
            pairs = self._paired(own, challenger.bursts, theirs.bursts)
            return Both(challenger.learned, theirs.learned, pairs, challenger.windows)

    def keep(self, files: Collection[Path]) -> None:
        """Forget all other files: challengers come and go for years."""
        with self._one_at_a_time:
            for known in (self._known, self._pairs):
                for gone in known.keys() - set(files):
                    del known[gone]

    def _read(self, path: Path) -> _Lane:
        known = self._known.setdefault(path, _Lane())
        # The newest known record is read again: where it is another, so is the whole file.
        left_out = known.bursts.keys() - {known.newest[0]} if known.newest else set()
        seen = snapshot(path, without=left_out)
        if known.newest is not None and known.newest not in _records(seen):
            self._forget(path)
            return self._read(path)
        known.windows = seen.windows
        if seen.summaries != known.summaries:
            # Decoded first: what cannot be read is told of each time, and not once alone.
            known.learned = Learned.from_state(seen.summaries) if seen.summaries else None
            known.summaries = seen.summaries
        for gone in known.bursts.keys() - seen.burst_positions:
            del known.bursts[gone]
        for position, record in _records(seen):
            if position not in known.bursts:
                known.bursts[position] = BurstRecord.decode(record)
            if known.newest is None or position >= known.newest[0]:
                known.newest = (position, record)
        return known

    def _forget(self, path: Path) -> None:
        del self._known[path]
        self._pairs.clear()

    def _paired(
        self, own: Path, challenger: Mapping[int, BurstRecord], control: Mapping[int, BurstRecord]
    ) -> tuple[Pair, ...]:
        known = self._pairs.setdefault(own, {})
        both = challenger.keys() & control.keys()
        if known.keys() != both:
            kept = [pair for position, pair in known.items() if position in both]
            kept += [
                pair_of(position, challenger[position], control[position])
                for position in both - known.keys()
            ]
            # An earlier release kept no times of arrival; positions order them then.
            kept.sort(key=lambda pair: (pair.arrived_ns, pair.position))
            self._pairs[own] = known = {pair.position: pair for pair in kept}
        return tuple(known.values())


def _records(seen: Snapshot) -> list[tuple[int, bytes]]:
    return [(position, record) for position, _, _, record in seen.bursts]
