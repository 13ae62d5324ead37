"""The Open Inference Protocol's tensors: a request to typed rows, a prediction to a response.

A model with columns is asked with one input a column, of shape [n] or [n, 1]; a tensor model with
one input a tensor. The declared datatype is checked, then the typing rule has the last word. No
datatype holds an array or an object: for such a column each BYTES value is its JSON text.
Specification: https://github.com/kserve/open-inference-protocol (specification/protocol).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from shadowserve.errors import AnswerError, RequestError
from shadowserve.legible import quoted
from shadowserve.schema.columns import Column
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire import limits
from shadowserve.wire.answers import dumps, read_json
from shadowserve.wire.inputs import Table, malformed, table_of
from shadowserve.wire.jsontext import loads
from shadowserve.wire.outputs import outputs_of

_NESTED = frozenset({"array", "sparkml_vector", "object", "map"})
_NO_JSON = {"duplicate_key": "one with a key twice came", "too_deep": "one nested too deeply came"}


def type_request(document: Any, schema: Schema) -> tuple[Rows, str | None]:
    """Type an inference request that was read from JSON.

    Parameters
    ----------
    document : object
        A dict with ``inputs`` and, if wanted, ``id``, ``parameters`` and ``outputs``.
    schema : Schema

    Returns
    -------
    rows : Rows
    id : str or None
        To be echoed in the answer.

    Raises
    ------
    RequestError
        Status 400 or 413; 415 for the binary data extension.
    """
    if type(document) is not dict or type(document.get("inputs")) is not list:
        raise malformed("The body is an object with a list of inputs")
    if not document.keys() <= {"id", "inputs", "outputs", "parameters"}:
        raise malformed("The body has inputs, outputs, parameters and id; another key came")
    request_id = document.get("id")
    if request_id is not None and type(request_id) is not str:
        raise malformed("id is a string")
    _check_outputs(document.get("outputs"))
    table = table_of(document["inputs"])
    rows = _typed(table, schema)
    params, ignored = schema.type_params(document.get("parameters"))
    return rows._replace(params=params, extra=rows.extra + ignored), request_id


def _check_outputs(asked: Any) -> None:
    """Refuse a choice of outputs that is none, or that asks for another form of them."""
    if asked is None:
        return
    if type(asked) is not list or any(
        type(each) is not dict or type(each.get("name")) is not str for each in asked
    ):
        raise malformed("outputs is a list of objects with a name")
    options = [each["parameters"] for each in asked if type(each.get("parameters")) is dict]
    # Ignoring it would answer in a form that the client does not read.
    if any("classification" in each for each in options):
        raise malformed("The classification extension is not spoken here; outputs come in full")


def answer(prediction: Any, *, model: str, version: str, echo: str | None = None) -> bytes:
    """Encode a prediction as an inference response.

    Parameters
    ----------
    prediction : object
        A frame or dict gives one output a column, anything else one output named ``predictions``.
        Rows that are no tensor are BYTES, each the JSON text of its row.
    model, version : str
    echo : str, optional
        The request's id.

    Examples
    --------
    >>> answer([1, 2], model="films", version="3")[:53]
    b'{"model_name":"films","model_version":"3","outputs":['
    """
    head = {"model_name": model, "model_version": version}
    if echo is not None:
        head["id"] = echo
    return dumps(head | {"outputs": outputs_of(prediction)})


def read_answer(body: bytes) -> Any:
    """Return the Python value of a response: the lone output's data by row, else a dict of them.

    Raises
    ------
    AnswerError
        If the bytes are no such response.
    """
    try:
        outputs = read_json(body)["outputs"]
        # A shape that does not fit would fold values into rows they do not belong to.
        if any(len(each["data"]) != math.prod(each["shape"]) for each in outputs):
            raise TypeError
        read = {each["name"]: _nest(each["data"], each["shape"]) for each in outputs}
    except (ValueError, KeyError, TypeError):
        raise AnswerError("The bytes are no answer: a JSON object with outputs.") from None
    return next(iter(read.values())) if len(read) == 1 else read


def _typed(table: Table, schema: Schema) -> Rows:
    if schema.tensors:
        return _tensors(table, schema)
    if not schema.named or (schema.takes_lists and len(table) == 1 and len(schema.columns) > 1):
        return _numbered(table, schema)
    n_rows = _check_columns(table)
    known = {column.key: column for column in schema.columns}
    columns = {n: _read_texts(data, known.get(n)) for n, (data, _) in table.items()}
    limits.check(n_rows=n_rows, n_columns=len(columns))
    return schema.type_columns(columns, n_rows=n_rows)


def _check_columns(table: Table) -> int:
    """Return the number of rows of inputs that are one column each."""
    n_rows = {shape[0] for _, shape in table.values()}
    for name, (data, shape) in table.items():
        # A [n, 2] input of a named column is two values for one cell.
        if len(n_rows) != 1 or len(data) != shape[0]:
            raise RequestError(
                f"The input {quoted(name)} is one column: of shape [n] or [n, 1], with the same n for all.",
                code="wrong_shape",
                column=name,
            )
    return n_rows.pop()


def _tensors(table: Table, schema: Schema) -> Rows:
    nested = {name: _nest(data, shape) for name, (data, shape) in table.items()}
    if schema.tensors[0].name is not None:
        return schema.type_tensors(nested)
    if len(nested) == 1:
        return schema.type_tensors({None: next(iter(nested.values()))})
    _check_columns(table)
    columns = [table[name][0] for name in schema.ordered(table)]
    return schema.type_tensors({None: [list(row) for row in zip(*columns, strict=True)]})


def _read_texts(data: list[Any], column: Column | None) -> list[Any]:
    """Read the JSON text of arrays and objects; values of other columns stay what they are."""
    if column is None or column.type not in _NESTED:
        return data
    return [_read_text(value, column, row) for row, value in enumerate(data)]


def _read_text(value: Any, column: Column, row: int) -> Any:
    # The protocol has no nested values: they come as JSON text in BYTES.
    if type(value) is not str or column.type not in _NESTED:
        return value
    try:
        return loads(value.encode(), max_depth=limits.MAX_DEPTH)
    except RequestError as error:
        came = _NO_JSON.get(error.code, "a string that is none came")
        raise RequestError(
            f"Column {column.name!r}, row {row}: JSON text is expected ({column.type}), {came}.",
            code=error.code if error.code in _NO_JSON else "bad_json",
            column=column.name,
            row=row,
        ) from None


def _numbered(table: Table, schema: Schema) -> Rows:
    if len(table) == 1:
        ((data, shape),) = table.values()
        lists = _nest(data, shape) if len(shape) == 2 else [[value] for value in data]
    else:
        _check_columns(table)
        columns = [table[name][0] for name in schema.ordered(table)]
        lists = [list(row) for row in zip(*columns, strict=True)]
    if schema.is_nested:
        for row, values in enumerate(lists):
            for place, column in enumerate(schema.columns[: len(values)]):
                values[place] = _read_text(values[place], column, row)
    return schema.type_lists(lists)


def _nest(data: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Fold row-major values into lists of the shape."""
    nested = list(data)
    for width in reversed(shape[1:]):
        # A width of 0 has rows without values, and no step to cut by.
        nested = [nested[at : at + width] for at in range(0, len(nested), width)] if width else []
    return nested
