"""Reading labels: a CSV, JSON lines or Parquet file, or the body of a request, one label a row.

Nothing is held but the row in hand. Faults are gathered by row, so that whoever made the file sees
all of them at once; no value is ever told.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.errors import ShadowserveError

MAX_ROWS_TOLD = 1_000
_SHOWN = 20
_CSV, _LINES, _WHOLE, _PARQUET = (".csv",), (".jsonl", ".ndjson"), (".json",), (".parquet", ".pq")

Raw = tuple[int, Any, Any]
"""Row number from 1 (a header does not count), request id and label, neither of them checked."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """Stands for the label of a row that cannot be read, and says why."""

    text: str


@dataclass(slots=True)
class RowList:
    """Rows of which one thing is true: how many, and the numbers of the first thousand."""

    n: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        """Count a row."""
        self.n += 1
        if len(self.rows) < MAX_ROWS_TOLD:
            self.rows.append(row)

    def extend(self, others: RowList) -> None:
        """Count the rows of another list too."""
        self.n += others.n
        self.rows = sorted([*self.rows, *others.rows])[:MAX_ROWS_TOLD]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.rows[:_SHOWN]))
        more = f" and {self.n - _SHOWN:,} more" if self.n > _SHOWN else ""
        return f"{'row' if self.n == 1 else 'rows'} {shown}{more}"


class LabelsError(ShadowserveError, ValueError):
    """Labels that cannot be taken; none of them was.

    Parameters
    ----------
    message : str
        One line for each kind of fault.
    faults : mapping of text to RowList
        What is wrong, and where; empty where the fault lies in no row.
    """

    def __init__(self, message: str, faults: Mapping[str, RowList] | None = None) -> None:
        super().__init__(message)
        self.faults = dict(faults or {})

    def told(self) -> list[dict[str, Any]]:
        """Return the faults as JSON-able values."""
        return [{"fault": text, "n": f.n, "rows": f.rows} for text, f in self.faults.items()]


def read_file(path: Path, *, id_column: str, label_column: str) -> Iterator[Raw]:
    """Read a file by its ending.

    Parameters
    ----------
    path : Path
        ``.csv`` with a header, ``.jsonl``, ``.ndjson`` or ``.json`` with one object a line or one
        list of them, or ``.parquet``.
    id_column, label_column : str
        What the columns are called.

    Raises
    ------
    LabelsError
        No such file, no such column, or none of these formats.
    """
    names = (id_column, label_column)
    if not path.is_file():
        raise LabelsError(f"There is no file {path}. Give a CSV, JSON lines or Parquet file.")
    ending = path.suffix.lower()
    try:
        if ending in _CSV:
            yield from _csv(path, names)
        elif ending in _LINES:
            with path.open("rb") as file:
                yield from _objects(_lines(file), names)
        elif ending in _WHOLE:
            yield from read_body(path.read_bytes(), names)
        elif ending in _PARQUET:
            yield from _parquet(path, names)
        else:
            known = ", ".join((*_CSV, *_LINES, *_WHOLE, *_PARQUET))
            raise LabelsError(f"{path.name} has an ending that is not known. Known: {known}.")
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path.name} is not in UTF-8. Save it in UTF-8.") from error
    except (OSError, csv.Error, pa.ArrowException) as error:
        raise LabelsError(f"{path.name} cannot be read ({type(error).__name__}).") from error


def read_body(body: bytes, names: tuple[str, str] = ("request_id", "label")) -> Iterator[Raw]:
    """Read a JSON list of objects, or one object a line.

    Raises
    ------
    LabelsError
        It is empty, or a list that is no valid JSON. What is wrong with one row is yielded as
        `Faulty` in the label's place.
    """
    stripped = body.lstrip()
    if not stripped:
        raise LabelsError(f"No labels came. Send {_form(names)}, as a list or one a line.")
    objects = _listed(stripped) if stripped[:1] == b"[" else _lines(stripped.splitlines())
    yield from _objects(objects, names)


def _objects(objects: Iterable[Any], names: tuple[str, str]) -> Iterator[Raw]:
    for row, found in enumerate(objects, start=1):
        if not isinstance(found, dict):
            yield row, None, Faulty(f"{_form(names)} is expected")
        elif missing := [name for name in names if name not in found]:
            yield row, None, Faulty(f"{' and '.join(missing)} missing")
        else:
            yield row, found[names[0]], found[names[1]]


def refuse(faults: Mapping[str, RowList]) -> NoReturn:
    """Raise what is wrong with labels, kind by kind."""
    lines = [f"{str(rows).capitalize()}: {text}." for text, rows in faults.items()]
    raise LabelsError("\n".join([*lines, "No label was taken."]), faults)


def _form(names: tuple[str, str]) -> str:
    return f'an object {{"{names[0]}": …, "{names[1]}": …}}'


def _listed(body: bytes) -> Iterable[Any]:
    try:
        found: list[Any] = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise LabelsError("The labels are no valid JSON list. No label was taken.") from error
    return found


def _lines(lines: Iterable[bytes]) -> Iterator[Any]:
    for line in lines:
        if line.strip():
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                # Not raised: whoever made the file sees every bad row at once.
                yield None


def _csv(path: Path, names: tuple[str, str]) -> Iterator[Raw]:
    # Spreadsheets put a byte order mark before the first column's name.
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        _require(path, names, reader.fieldnames or ())
        for row, found in enumerate(reader, start=1):
            if None in found:  # a comma too many: nobody knows which field is which
                yield row, None, Faulty("the row has more fields than the header")
            else:
                yield row, (found[names[0]] or "").strip(), Text(found[names[1]] or "")


def _parquet(path: Path, names: tuple[str, str]) -> Iterator[Raw]:
    with pq.ParquetFile(path) as file:
        _require(path, names, file.schema_arrow.names)
        row = 0
        for batch in file.iter_batches(columns=list(dict.fromkeys(names))):
            pairs = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
            for request_id, label in pairs:
                row += 1
                # Whole numbers with a gap among them become floats in many a writer of Parquet.
                whole = isinstance(request_id, float) and request_id.is_integer()
                yield row, int(request_id) if whole else request_id, _plain(label)


def _plain(label: Any) -> Any:
    """Return a label of a DECIMAL column as a number: a whole one exactly."""
    if not isinstance(label, Decimal):
        return label
    return int(label) if label == label.to_integral_value() else float(label)


def _require(path: Path, names: tuple[str, str], present: Iterable[str]) -> None:
    there = list(present)
    missing = [name for name in names if name not in there]
    if twice := [name for name in names if there.count(name) > 1]:
        raise LabelsError(
            f"{path.name} has more than one column {' and '.join(dict.fromkeys(twice))}. No label was taken."
        )
    if missing:
        raise LabelsError(
            f"{path.name} lacks {' and '.join(missing)}; its columns are {', '.join(there) or 'none'}. "
            "Say which hold them: --id-column, --label-column. No label was taken."
        )


class Text(str):
    """A label from a format that knows text only, so that its type is what is expected of it."""

    __slots__ = ()

    def scalar(self) -> Any:
        """Return the JSON value that it spells, or itself."""
        try:
            return json.loads(self)
        except ValueError:
            return str(self)
