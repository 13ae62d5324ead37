"""MLflow's scoring protocol: a JSON body to typed rows.

``dataframe_records`` and ``dataframe_split`` are tables; ``instances`` and ``inputs`` are either
tables by row, tables by column, or bare arrays. All of them end in one method of the schema each,
so a value means the same in every form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shadowserve.errors import RequestError
from shadowserve.legible import counted
from shadowserve.schema.ragged import other_keys, ragged
from shadowserve.schema.rows import Rows
from shadowserve.schema.scalars import kind_of
from shadowserve.schema.schema import Schema
from shadowserve.schema.tensors import Tensor
from shadowserve.wire import limits

_Reader = Callable[[Any, Schema], Rows]


def type_scoring(document: Any, schema: Schema) -> Rows:
    """Type a request that was read from JSON.

    Parameters
    ----------
    document : object
        A dict with one of ``dataframe_records``, ``dataframe_split``, ``instances`` and ``inputs``,
        and ``params`` if wanted; the latter is taken out of it.
    schema : Schema

    Raises
    ------
    RequestError
        With status 400 or 413.
    """
    if type(document) is not dict:
        raise _not_the_protocol(f"{kind_of(document)} came")
    given = None
    # Taken out before the keys are counted, so that exactly one key of rows is left.
    if len(document) > 1:
        given = document.pop("params", None)
    if len(document) != 1:
        raise _not_the_protocol(f"{len(document)} other keys came")
    ((key, value),) = document.items()
    reader = _READERS.get(key)
    if reader is None:
        raise _not_the_protocol("another key came")
    rows = reader(value, schema)
    # The usual request has no parameters, and copies no rows for them.
    if given is None and not schema.params:
        return rows
    params, ignored = schema.type_params(given)
    return rows._replace(params=params, extra=rows.extra + ignored)


def lone_record(document: Any) -> dict[str, Any] | None:
    """Return the only row of a request, where `type_scoring` would type just that by its names.

    Returns
    -------
    dict or None
        None for several rows, for lists, for parameters, and for whatever is refused.
    """
    if type(document) is not dict or len(document) != 1:
        return None
    ((key, value),) = document.items()
    if key == "dataframe_split":
        value = _split_record(value)
    elif key != "dataframe_records":
        return None  # what a bare array means depends on the schema
    if type(value) is not list or len(value) != 1 or type(record := value[0]) is not dict:
        return None
    return record if 0 < len(record) <= limits.MAX_COLUMNS else None


def _split_record(value: Any) -> list[Any] | None:
    if type(value) is not dict or not value.keys() <= {"columns", "data", "index"}:
        return None
    data, names = value.get("data"), value.get("columns")
    if type(data) is not list or len(data) != 1 or type(data[0]) is not list:
        return None
    if type(names) is not list or not all(type(name) in (str, int) for name in names):
        return None
    record = dict(zip(map(str, names), data[0], strict=False))
    # Fewer keys than names or values: two names are one, or a value has none.
    return [record] if len(record) == len(names) == len(data[0]) else None


def _not_the_protocol(what: str) -> RequestError:
    return RequestError(
        f"The body is a JSON object with exactly one of {', '.join(_READERS)}, "
        f"and params if wanted; {what}.",
        code="wrong_protocol",
    )


def _malformed(key: str, expected: str, value: object) -> RequestError:
    return RequestError(f"{key} is {expected}, {kind_of(value)} came.", code="wrong_protocol")


def _no_row(row: int, expected: str, value: object) -> RequestError:
    return RequestError(
        f"Row {row} is {kind_of(value)}, {expected} is expected.", code="not_a_record", row=row
    )


def _records(value: Any, schema: Schema) -> Rows:
    if type(value) is not list:
        raise _malformed("dataframe_records", "a list of objects, one for each row", value)
    return _by_row(value, schema)


def _by_row(records: Sequence[Any], schema: Schema) -> Rows:
    for row, record in enumerate(records):
        if type(record) is not dict:
            raise _no_row(row, "an object of column names and values", record)
    widths = list(map(len, records))
    # Before typing: what is too large must cost nothing but its parsing.
    limits.check(n_rows=len(records), n_columns=max(widths, default=0))
    if min(widths) == 0:
        raise RequestError("A row has no values.", code="empty", row=widths.index(0))
    if schema.tensors:
        return _tensors_by_row(records, schema)
    return schema.type_records(records)


def _split(value: Any, schema: Schema) -> Rows:
    if type(value) is not dict or "data" not in value:
        raise _malformed("dataframe_split", "an object with columns and data", value)
    # pandas writes an index along; it means nothing to a model and is left unread.
    if not value.keys() <= {"columns", "data", "index"}:
        raise RequestError(
            "dataframe_split has columns, data and index; another key came.", code="wrong_protocol"
        )
    data, names = value["data"], value.get("columns")
    if type(data) is not list:
        raise _malformed("data", "a list of rows", data)
    width = _width(data)
    if names is None:
        return _lists(data, schema)
    keys = _keys(names, width)
    return _by_column(dict(zip(keys, zip(*data, strict=True), strict=True)), schema, len(data))


def _width(data: Sequence[Any]) -> int:
    """Return the one width of all rows."""
    for row, values in enumerate(data):
        if type(values) is not list:
            raise _no_row(row, "a list of values", values)
        if len(values) != len(data[0]):
            raise RequestError(
                f"Row {row} has {counted(len(values), 'value')}, row 0 has {len(data[0])}.",
                code="ragged_rows",
                row=row,
            )
    width = len(data[0]) if data else 0
    limits.check(n_rows=len(data), n_columns=width)
    return width


def _keys(names: Any, width: int) -> list[str]:
    if type(names) is not list or not all(type(name) in (str, int) for name in names):
        raise RequestError("columns is a list of names.", code="wrong_protocol")
    keys = [str(name) for name in names]
    if len(keys) != width:
        raise RequestError(
            f"The rows have {counted(width, 'value')}, columns has {counted(len(keys), 'name')}. "
            "Send a name for each value.",
            code="ragged_rows",
        )
    # A mapping would keep the last of two columns, and the caller would not know which.
    if len(set(keys)) != width:
        raise RequestError("columns has the same name twice.", code="duplicate_key")
    return keys


def _by_column(table: Mapping[str, Sequence[Any]], schema: Schema, n_rows: int) -> Rows:
    if schema.tensors:
        return _tensors_by_column(table, schema)
    return schema.type_columns(table, n_rows=n_rows)


def _lists(data: list[Any], schema: Schema) -> Rows:
    if schema.tensors:
        return schema.type_tensors({_lone_name(schema): data})
    return schema.type_lists(data)


def _arrays(value: Any, schema: Schema) -> Rows:
    """Read ``instances`` or ``inputs``: by row, by column, or a bare array."""
    if type(value) is dict:
        return _named_arrays(value, schema)
    if type(value) is not list:
        return _lone_value(value, schema)
    # For a model of one nested column an object is a value, not a row.
    if value and type(value[0]) is dict and not schema.is_lone_nested:
        return _by_row(value, schema)
    # A list too: there it is the value of one row.
    wide = value and type(value[0]) is list and not schema.is_lone_nested
    limits.check(n_rows=len(value), n_columns=len(value[0]) if wide else 1)
    if schema.tensors:
        return schema.type_tensors({_lone_name(schema): value})
    if schema.is_open:
        return _untyped_array(value)
    # A bare list of values is one column; only inner lists make rows of it.
    if len(schema.columns) == 1 and not (wide and schema.takes_lists):
        return schema.type_columns({schema.columns[0].key: value}, n_rows=len(value))
    # Ragged rows are named here; the schema would speak of a width that no row need have.
    _width(value)
    return schema.type_lists(value)


def _named_arrays(value: dict[str, Any], schema: Schema) -> Rows:
    limits.check(n_rows=1, n_columns=len(value))
    if schema.tensors and schema.tensors[0].name is not None:
        return schema.type_tensors(value)
    if not schema.named:
        raise RequestError(
            "The model's columns have no names; send lists of values.", code="wrong_protocol"
        )
    lengths = {len(each) for each in value.values() if type(each) is list}
    # An object of plain values is one row; with nested columns its lists are values as well.
    if schema.is_nested or not lengths:
        return _by_row([value], schema)
    if len(lengths) != 1 or any(type(each) is not list for each in value.values()):
        raise ragged("columns", value)
    n_rows = lengths.pop()
    limits.check(n_rows=n_rows, n_columns=len(value))
    return _by_column(value, schema, n_rows)


def _lone_value(value: Any, schema: Schema) -> Rows:
    if len(schema.columns) == 1 and not schema.named:
        return schema.type_lists([[value]])
    raise RequestError(
        f"inputs and instances are a list or an object, {kind_of(value)} came.",
        code="wrong_protocol",
    )


def _lone_name(schema: Schema) -> str | None:
    if len(schema.tensors) > 1:
        names = ", ".join(str(tensor.name) for tensor in schema.tensors)
        raise RequestError(
            f"The model takes {len(schema.tensors)} named inputs ({names}); a bare array came.",
            code="unnamed_values",
        )
    return schema.tensors[0].name


def _untyped_array(value: list[Any]) -> Rows:
    """Read a bare array for a model of which nothing is known: float64, or text as object."""
    n_dimensions, first = 1, value[0]
    # The first row tells how deep the array is; typing refuses rows that are not.
    while type(first) is list and first:
        n_dimensions, first = n_dimensions + 1, first[0]
    dtype = {str: "str", bool: "bool"}.get(type(first), "float64")
    array = Tensor(None, dtype, (-1,) * n_dimensions).type(value)
    return Rows(columns={}, n_rows=len(array), tensor=array)


def _tensors_by_row(records: Sequence[dict[str, Any]], schema: Schema) -> Rows:
    keys = list(records[0])
    for row, record in enumerate(records):
        if record.keys() != records[0].keys():
            raise other_keys(record, records[0], row=row)
    return _tensors_by_column({k: [record[k] for record in records] for k in keys}, schema)


def _tensors_by_column(table: Mapping[str, Sequence[Any]], schema: Schema) -> Rows:
    """Lay a table out as tensors: each column is one, or all columns are the lone one's features."""
    if schema.tensors[0].name is not None:
        tensors: dict[str | None, Tensor] = {tensor.name: tensor for tensor in schema.tensors}
        named = {
            key: _cells(cells, tensors[key].shape) if key in tensors else cells
            for key, cells in table.items()
        }
        return schema.type_tensors(named)
    (lone,) = schema.tensors
    if len(table) == 1:
        (cells,) = table.values()
        return schema.type_tensors({None: _cells(cells, lone.shape)})
    ordered = [table[key] for key in schema.ordered(table)]
    return schema.type_tensors({None: [list(values) for values in zip(*ordered, strict=True)]})


def _cells(cells: Sequence[Any], shape: tuple[int, ...]) -> list[Any]:
    # A column of single values fits a tensor of width 1: each becomes a row of its own.
    if len(shape) == 2 and cells and type(cells[0]) is not list:
        return [[cell] for cell in cells]
    return list(cells)


_READERS: dict[str, _Reader] = {
    "dataframe_records": _records,
    "dataframe_split": _split,
    "instances": _arrays,
    "inputs": _arrays,
}
