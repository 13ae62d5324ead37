"""The open window: what a lane has filled of it so far, and what becomes of it when it is full."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa

from shadowserve.lane import tables, windows
from shadowserve.records import Role
from shadowserve.state.lane_file import LaneState, Window

_OF_TIMES = ("latency_ms/", "feature_ms/", "lane_ms/")


@dataclass(slots=True)
class OpenWindow:
    """The window that a lane is filling.

    Parameters
    ----------
    state : LaneState
        Holds the window's rows until they lie in a part.
    parts : Path
        Directory of the Parquet parts.
    role : Role
        The lane's; names its series.
    timed : bool
        Whether there are times to tell of.
    number, n : int
        Which window it is, and how many requests it holds.
    opened_ns : int
        Since the epoch; 0 while nothing has come.
    """

    state: LaneState
    parts: Path
    role: Role
    timed: bool = True
    number: int = 0
    n: int = 0
    opened_ns: int = 0

    def take_up(self) -> None:
        """Go on with the window that the last process left open; write the parts that it did not."""
        self.number = self.state.next_window()
        rows = self._rows(self.number)
        self.n = rows.num_rows
        # By its oldest request, since nothing else that lasts says when it was opened.
        self.opened_ns = int(rows["arrived_wall_ns"].to_numpy().min()) if self.n else 0
        self._write_parts()

    def begin(self) -> None:
        """Let its time run, if it does not yet."""
        self.opened_ns = self.opened_ns or time.time_ns()

    def is_full(self, wider: int = 1) -> bool:
        """Tell whether it holds enough, or is old enough; parameters as in `windows.is_full`."""
        return windows.is_full(self.number, n=self.n, opened_ns=self.opened_ns, wider=wider)

    def close(self, *, merged: int = 0, totals: Mapping[str, float] | None = None) -> None:
        """Close it for good, write its part and go on to the next; an empty one stays open.

        Parameters
        ----------
        merged : int
            How many windows of the usual width went into this one instead of being sent.
        totals : mapping of name to number, optional
            What the lane has come to so far; told with the window.
        """
        if not self.n:
            return
        rows = self._rows(self.number)
        figures = windows.metrics(rows, role=self.role.value, merged=merged)
        figures |= windows.ledger(
            self.state.outcomes(), before=self.state.last_metrics(), in_window=figures
        )
        figures |= totals or {}
        if not self.timed:
            figures = {
                name: value for name, value in figures.items() if not name.startswith(_OF_TIMES)
            }
        closed_ns = time.time_ns()
        # Closed before its part is written: a part that is lacking is made up for at the next
        # start.
        self.state.close_window(
            Window(
                self.number, self.opened_ns, closed_ns, rows.num_rows, orjson.dumps(figures), None
            )
        )
        self._write_parts()
        self.number, self.n, self.opened_ns = self.number + 1, 0, 0

    def _write_parts(self) -> None:
        for number in self.state.windows_without_part():
            rows = self._rows(number)
            part = windows.write_part(self.parts, rows) if rows.num_rows else ""
            self.state.part_written(number, part)

    def _rows(self, number: int) -> pa.Table:
        return tables.joined(self.state.comparisons(number), self.state.pieces(number))
