"""CSV bodies, typed as the JSON values that their fields stand for.

CSV has no types, so a field becomes the JSON value that its column's type asks for and is then
typed like any other. Without a signature there is nothing to ask, and the body is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from shadowserve.errors import RequestError
from shadowserve.legible import counted
from shadowserve.schema.rows import Rows
from shadowserve.schema.scalars import SCALARS
from shadowserve.schema.schema import Schema
from shadowserve.wire import limits

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_BOOLEANS = {
    "true": True,
    "false": False,
    "True": True,
    "False": False,
    "TRUE": True,
    "FALSE": False,
}
_NUMERIC = frozenset({"integer", "long", "float", "double"})
csv.field_size_limit(2**31 - 1)  # of the whole process; bodies are bounded before they get here


def type_csv(lines: Sequence[list[str]], schema: Schema, *, header: bool = True) -> Rows:
    """Type the lines of a CSV body.

    Parameters
    ----------
    lines : sequence of list of str
        As `read_csv` splits them; an empty field is null.
    schema : Schema
        With types; columns in any order where it has names.
    header : bool
        Whether the first line names the columns.

    Raises
    ------
    RequestError
        415 where the schema gives no types or nested ones; 400 and 413 as for JSON.

    Examples
    --------
    >>> schema = Schema.from_signature({"inputs": [{"name": "zip", "type": "string"}]})
    >>> type_csv([["zip", "x"], ["02139", "1"]], schema).columns["zip"].tolist()
    ['02139']
    """
    _check_types(schema)
    lines = list(lines)
    names = lines.pop(0) if header and lines else None
    n_columns = len(names) if names is not None else len(lines[0]) if lines else 0
    limits.check(n_rows=len(lines), n_columns=n_columns)
    # zip would cut every line to the shortest and lose values without a word.
    _check_widths(lines, n_columns, first_line=2 if header else 1)
    fields = list(zip(*lines, strict=True))
    if names is not None and len(set(names)) != len(names):
        raise RequestError("The header has the same name twice.", code="duplicate_key")
    if schema.tensors or not schema.named:
        if names is not None:
            by_name = dict(zip(names, fields, strict=True))
            fields = [by_name[name] for name in schema.ordered(names)]
        return _tensor(fields, schema) if schema.tensors else _numbered(fields, schema)
    if names is None:
        raise RequestError(
            "The model knows its columns by name; send a header line.", code="unnamed_values"
        )
    types = {column.key: column.type for column in schema.columns}
    table = {
        # An unknown column is carried as text, to be named among those that are ignored.
        name: json_values(types.get(name, "string"), values)
        for name, values in zip(names, fields, strict=True)
    }
    return schema.type_columns(table, n_rows=len(lines))


def _check_types(schema: Schema) -> None:
    nested = [c for c in schema.columns if c.type not in SCALARS]
    deep = [t for t in schema.tensors if t.name is not None or len(t.shape) > 2]
    if not schema.is_typed or nested or deep:
        raise RequestError(
            "CSV says nothing about types, and the model's signature cannot make up for it here. "
            "Send application/json.",
            code="unsupported_media_type",
            status=415,
        )


def read_csv(body: bytes) -> list[list[str]]:
    """Split a CSV body into lines of fields.

    Raises
    ------
    RequestError
        Where it is not UTF-8 or not RFC 4180.
    """
    try:
        # Excel writes a byte order mark, which would belong to the first column's name.
        text = body.decode("utf-8-sig")
        return [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except UnicodeDecodeError:
        raise RequestError("The body is not UTF-8.", code="bad_csv") from None
    except csv.Error:
        raise RequestError(
            "The body is not valid CSV (RFC 4180: comma, double quotes).", code="bad_csv"
        ) from None


def _check_widths(lines: Sequence[Sequence[str]], width: int, *, first_line: int) -> None:
    for row, line in enumerate(lines):
        if len(line) != width:
            raise RequestError(
                f"Line {row + first_line} has {counted(len(line), 'field')}, "
                f"{counted(width, 'is', 'are')} expected.",
                code="ragged_rows",
                row=row,
            )


def _numbered(fields: Sequence[Sequence[str]], schema: Schema) -> Rows:
    if len(fields) != len(schema.columns):
        raise RequestError(
            f"A row has {counted(len(fields), 'value')}, "
            f"{counted(len(schema.columns), 'is', 'are')} expected.",
            code="wrong_width",
        )
    pairs = zip(schema.columns, fields, strict=True)
    table = {column.key: json_values(column.type, values) for column, values in pairs}
    return schema.type_columns(table, n_rows=len(fields[0]))


def _tensor(fields: Sequence[Sequence[str]], schema: Schema) -> Rows:
    (lone,) = schema.tensors
    kind = {"bool": "boolean", "str": "string", "object": "string"}.get(lone.dtype, "double")
    columns = [json_values(kind, values) for values in fields]
    rows = [list(values) for values in zip(*columns, strict=True)]
    flat = len(lone.shape) == 1 and len(columns) == 1
    return schema.type_tensors({None: columns[0] if flat else rows})


def json_values(kind: str, fields: Sequence[str]) -> list[Any]:
    """Return the JSON values that fields of a column stand for; an empty one is null.

    Parameters
    ----------
    kind : str
        The column's type in the signature. What is not of it stays text, for the typing rule to refuse.
    """
    read = _READERS.get(kind, _text)
    return [None if field == "" else read(field) for field in fields]


def _text(field: str) -> str:
    return field


def _boolean(field: str) -> Any:
    return _BOOLEANS.get(field, field)


def _number(field: str) -> Any:
    """Read a number, blanks around it or not; anything else stays text, for the rule to refuse."""
    digits = field.strip(" ")
    if _WHOLE.fullmatch(digits):
        return int(digits)
    if not _NUMBER.fullmatch(digits):
        return field
    number = float(digits)
    # 1e400 is no float; as text the typing rule refuses it with row and column.
    return number if abs(number) != float("inf") else field


_READERS: dict[str, Callable[[str], Any]] = {"boolean": _boolean} | dict.fromkeys(_NUMERIC, _number)
