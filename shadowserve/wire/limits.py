"""How much one request may hold."""

from __future__ import annotations

from dataclasses import dataclass

from shadowserve.errors import RequestError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a parsed request; its size in bytes is bounded before it gets here.

    Parameters
    ----------
    max_rows : int
    max_columns : int
        Keys of one row, known or not.
    max_depth : int
        Nested arrays and objects, the body's own braces included.
    """

    max_rows: int = 100_000
    max_columns: int = 10_000
    max_depth: int = 64

    def check(self, *, n_rows: int, n_columns: int) -> None:
        """Refuse what is too large with a 413, and zero rows or columns with a 400.

        Raises
        ------
        RequestError
            ``too_large`` or ``empty``.
        """
        if n_rows == 0 or n_columns == 0:
            what = "rows" if n_rows == 0 else "values in a row"
            raise RequestError(f"The request has no {what}. Send at least one.", code="empty")
        if n_rows > self.max_rows:
            raise RequestError(
                f"The request has {n_rows} rows, {self.max_rows} are the limit. Send it in parts.",
                code="too_large",
                status=413,
            )
        if n_columns > self.max_columns:
            raise RequestError(
                f"The request has {n_columns} columns, {self.max_columns} are the limit.",
                code="too_large",
                status=413,
            )


DEFAULT = Limits()
