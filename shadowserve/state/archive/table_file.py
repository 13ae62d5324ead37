"""A table in a file, row by row as JSON values: Parquet, CSV or JSON lines, as far as it goes when it is opened."""

from __future__ import annotations

import base64
import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.errors import RequestError, ShadowserveError
from shadowserve.legible import counted, legible, quoted
from shadowserve.wire.csvtext import json_values
from shadowserve.wire.jsontext import loads
from shadowserve.wire.limits import MAX_DEPTH

CSV, LINES, PARQUET = (".csv",), (".jsonl", ".ndjson"), (".parquet", ".pq")
BATCH_ROWS = 4_096
BOM = b"\xef\xbb\xbf"

Record = dict[str, Any]
Numbered = tuple[int, "Record | TableError"]
"""A row's number from 1, a header not counted, and its values or what is wrong with it."""


class TableError(ShadowserveError, ValueError):
    """A table that cannot be read, or a row of it.

    Parameters
    ----------
    row : int, optional
        Its number, from 1.
    column : str, optional
        Which of its values is at fault.
    """

    def __init__(self, message: str, *, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.column = column


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file as it was when it was opened: what is added meanwhile is not read.

    Parameters
    ----------
    path : Path
    bytes, changed_ns : int
        Its size, and when it was written to last.
    names : tuple of str or None
        Its columns; of JSON lines nobody knows them before they are read.
    total : int or None
        Its rows, where the file says so.
    """

    path: Path
    bytes: int
    changed_ns: int
    names: tuple[str, ...] | None
    total: int | None

    @classmethod
    def open(cls, path: Path) -> TableFile:
        """Look at a file.

        Raises
        ------
        TableError
            If there is none, its ending is not known, it is empty, or two columns have one name.
        """
        if not path.is_file():
            raise TableError(
                f"There is no file {path}. Give a Parquet, CSV or JSON lines file, or the word journal or archive."
            )
        ending = path.suffix.lower()
        if ending not in (*CSV, *LINES, *PARQUET):
            known = ", ".join((*PARQUET, *CSV, *LINES))
            raise TableError(f"{path.name} has an ending that is not known here. Known: {known}.")
        found = path.stat()
        if not found.st_size:
            raise TableError(f"{path.name} is empty. Give a table with a row for each request.")
        names: tuple[str, ...] | None = None
        total = None
        try:
            if ending in PARQUET:
                with pq.ParquetFile(path) as file:
                    names, total = tuple(file.schema_arrow.names), file.metadata.num_rows
            elif ending in CSV:
                names = tuple(next(_csv_lines(path, found.st_size), []))
        except (OSError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
            raise unreadable(path, error) from error
        twice = sorted({name for name in names or () if (names or ()).count(name) > 1})
        if twice:
            raise TableError(
                f"{path.name} has more than one column {' and '.join(map(legible, twice))}. Name them apart."
            )
        return cls(path, found.st_size, found.st_mtime_ns, names, total)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts that stand for others."""
        return self.path.suffix.lower() in CSV

    def rows(self, types: Mapping[str, str]) -> Iterator[Numbered]:
        """Yield the rows as JSON values.

        Parameters
        ----------
        types : mapping of name to str
            What a column of texts is to be read as; others stay texts.

        Raises
        ------
        TableError
            If the file cannot be read any more.
        """
        ending = self.path.suffix.lower()
        try:
            if ending in PARQUET:
                yield from self._parquet()
            elif ending in CSV:
                yield from self._csv(types)
            else:
                yield from self._lines()
        except (OSError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
            raise unreadable(self.path, error) from error

    def _parquet(self) -> Iterator[Numbered]:
        row = 0
        with pq.ParquetFile(self.path) as file:
            names = file.schema_arrow.names
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                columns = [list(map(_told(c.type), c.to_pylist())) for c in batch.columns]
                for values in zip(*columns, strict=True):
                    row += 1
                    yield row, dict(zip(names, values, strict=True))

    def _csv(self, types: Mapping[str, str]) -> Iterator[Numbered]:
        lines = _csv_lines(self.path, self.bytes)
        names, row = next(lines, []), 0
        while some := [line for line, _ in zip(lines, range(BATCH_ROWS), strict=False)]:
            whole = [line for line in some if len(line) == len(names)]
            columns = (
                [
                    json_values(types.get(name, "string"), fields)
                    for name, fields in zip(names, zip(*whole, strict=True), strict=True)
                ]
                if whole
                else []
            )
            values = zip(*columns, strict=True)
            for line in some:
                row += 1
                if len(line) == len(names):
                    yield row, dict(zip(names, next(values), strict=True))
                else:
                    told = f"it has {counted(len(line), 'field')}, the header {len(names)}"
                    yield row, row_error(self.path, row, told)

    def _lines(self) -> Iterator[Numbered]:
        row = 0
        with self.path.open("rb") as file:
            for line in _bounded(file, self.bytes):
                text = line.removeprefix(BOM).strip()
                if not text:
                    continue
                row += 1
                try:
                    record = loads(text, max_depth=MAX_DEPTH)
                except RequestError:
                    record = None
                if type(record) is dict:
                    yield row, record
                else:
                    yield (
                        row,
                        row_error(self.path, row, "it is no JSON object on a line of its own"),
                    )


def row_error(path: Path, row: int, what: str, *, column: str | None = None) -> TableError:
    """Return the refusal of one row."""
    at = f", column {quoted(column)}" if column is not None else ""
    return TableError(f"{path.name}, row {row:,}{at}: {what}.", row=row, column=column)


def unreadable(path: Path, error: Exception) -> TableError:
    """Return the refusal of a file that cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return TableError(f"{path.name} is not in UTF-8. Save it in UTF-8.")
    return TableError(f"{path.name} cannot be read ({type(error).__name__}). Write it anew.")


def _csv_lines(path: Path, n_bytes: int) -> Iterator[list[str]]:
    # Spreadsheets put a byte order mark before the first column's name.
    with path.open("rb") as file:
        lines = (line.decode() for line in _bounded(file, n_bytes))
        first = next(lines, "").removeprefix(BOM.decode())
        yield from filter(None, csv.reader(_after(first, lines), strict=True))


def _after(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _bounded(file: Any, n_bytes: int) -> Iterator[bytes]:
    """Yield the lines that lay whole within so many bytes."""
    read = 0
    for line in file:
        read += len(line)
        if read > n_bytes:  # somebody writes on
            return
        yield line


def _told(kind: pa.DataType) -> Callable[[Any], Any]:
    """Return what makes of an Arrow value a JSON value."""
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_string(kind):
        return _same
    return plain


def _same(value: Any) -> Any:
    return value


def plain(value: Any) -> Any:
    """Return a value of a table as a JSON value; what is missing, NaN too, is None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _nonfinite(value)
    if isinstance(value, datetime | date | time):
        return None if value != value else value.isoformat()  # pandas' NaT is no time
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    return str(value)


def _nonfinite(value: float) -> float | None:
    return None if math.isnan(value) else value
