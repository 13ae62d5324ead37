"""How many rows may share a call of the champion: as many as it scores in a few milliseconds.

For a cheap model a call of five hundred rows costs a quarter a row of what a call of sixty-four does. Where
each row costs much, a larger call brings nothing, and callers wait for each other's rows. So a call begins
small, and the pace of full calls says how many rows the next may have. Code that is not known by its
structure keeps to the size in which it was tried and warmed.
"""

from __future__ import annotations

FIRST_ROWS = 64
"""Rows of a call that is not slow, of whatever pace; also the most for unknown code."""
MOST_ROWS = 512
MOST_BYTES = 4 * 2**20
"""Of bodies in a call of more than the first rows: long texts may have come since its pace was taken."""
CALL_NS = 20 * 10**6
"""What a call of more than the first rows may take: a caller who has just missed it waits as long."""


class CallSize:
    """The rows that may share a call now.

    Parameters
    ----------
    most : int
        Never more than these.
    known : bool
        Whether it is known by structure that the version looks at one row at a time.

    Examples
    --------
    >>> size = CallSize(most=512, known=True)
    >>> size.took(64, 4_000_000)
    >>> size.takes(320, 10_000), size.takes(321, 10_000)
    (True, False)
    """

    def __init__(self, *, most: int = MOST_ROWS, known: bool) -> None:
        self._first = min(FIRST_ROWS, most)
        self._most = most if known else self._first
        self._rows = self._first

    def takes(self, rows: int, n_bytes: int) -> bool:
        """Tell whether a call may hold so many rows, which came in so many bytes."""
        return rows <= self._first or (rows <= self._rows and n_bytes <= MOST_BYTES)

    def took(self, rows: int, ns: int) -> None:
        """Take in what a call of so many rows took."""
        # A small call is mostly what every call costs, and says little of a large one's pace.
        if 2 * rows >= self._rows:
            affordable = CALL_NS * rows // max(1, ns)
            # Halved at most: one call that waited for a core, or for one long text, is not the pace.
            self._rows = max(self._first, self._rows // 2, min(self._most, affordable))
