"""The limits of one parsed request: rows, columns and depth. Its bytes are bounded before."""

from __future__ import annotations

from shadowserve.errors import RequestError

MAX_ROWS = 100_000
MAX_COLUMNS = 10_000
"""Keys of one row, known or not."""
MAX_DEPTH = 64
"""Nested arrays and objects, the body's own braces included."""


def check(*, n_rows: int, n_columns: int) -> None:
    """Refuse what is too large with a 413, and zero rows or columns with a 400.

    Raises
    ------
    RequestError
        ``too_large`` or ``empty``.
    """
    if n_rows == 0 or n_columns == 0:
        what = "rows" if n_rows == 0 else "values in a row"
        raise RequestError(f"The request has no {what}. Send at least one.", code="empty")
    if n_rows > MAX_ROWS:
        raise RequestError(
            f"The request has {n_rows} rows, {MAX_ROWS} are the limit. Send it in parts.",
            code="too_large",
            status=413,
        )
    if n_columns > MAX_COLUMNS:
        raise RequestError(
            f"The request has {n_columns} columns, {MAX_COLUMNS} are the limit.",
            code="too_large",
            status=413,
        )
