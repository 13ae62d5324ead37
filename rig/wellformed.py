"""Bodies that must be answered, in every form that a server's OpenAPI document offers.

A document cannot say the whole typing rule, and says nothing about lengths that must agree, so what is
generated from it alone is mostly refused. Here rows are drawn from its columns, within the rule, and
written in each protocol's forms: whatever is not a 200 is a fault.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
EXACT = 2**53
FLOAT32 = 3.5e38
MAX_ROWS = 4
Record = dict[str, Any]
_STRANGE = st.text(max_size=5).map("strange ".__add__)
_ZONES = ("", "Z", "+02:00", "-0930")
_PLACES = st.sampled_from(range(2 * 3 * 4 * 5 * 7 * 11 * 13))
_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f")


@dataclass(frozen=True, slots=True)
class Body:
    """One request body.

    Parameters
    ----------
    form : str
        Which form of which protocol.
    path : str
        As the document has it.
    content : object
        A JSON value, or bytes of CSV.
    media : str
        Content type.
    """

    form: str
    path: str
    content: Any
    media: str = "application/json"

    @property
    def sent(self) -> bytes:
        """The bytes."""
        if isinstance(self.content, bytes):
            return self.content
        return json.dumps(self.content, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Told:
    """What a document says of a model with flat, named columns.

    Parameters
    ----------
    columns : mapping of name to JSON Schema
    required : frozenset of str
    params : mapping of name to default
    datatypes : mapping of name to datatype
        From the example of an inference request.
    infer : tuple of str
        Paths of the Open Inference Protocol.
    csv : bool
        Whether CSV is offered.
    """

    columns: Mapping[str, Any]
    required: frozenset[str]
    params: Mapping[str, Any]
    datatypes: Mapping[str, str]
    infer: tuple[str, ...]
    csv: bool


def read(document: Mapping[str, Any]) -> Told | None:
    """Read a document; None where its model's columns are not flat and named."""
    paths = document["paths"]
    record = _schema(paths, "/predict")["properties"]["rows"]["items"]
    columns = record.get("properties", {})
    infer = tuple(path for path in paths if path.endswith("/infer"))
    example = _content(paths, infer[0])["application/json"].get("example")
    if not columns or example is None or any(_values(each) is None for each in columns.values()):
        return None
    form = _schema(paths, "/invocations")["oneOf"][0]["properties"]
    params = {n: each["default"] for n, each in form["params"].get("properties", {}).items()}
    return Told(
        columns=columns,
        required=frozenset(record["required"]),
        params={n: v for n, v in params.items() if isinstance(v, float | str)},
        datatypes={each["name"]: each["datatype"] for each in example["inputs"]},
        infer=infer,
        csv="text/csv" in _content(paths, "/invocations"),
    )


def bodies(told: Told) -> st.SearchStrategy[Body]:
    """Draw rows and a form, and write the rows in it."""

    @st.composite
    def draw_one(draw: Callable[..., Any]) -> Body:
        place = draw(_PLACES)  # first, so that no form is favoured for the rows that it needs
        forms = _forms(told, draw(_tables(told)), draw(_params(told)), draw)
        return forms[place % len(forms)]

    return draw_one()


def written(told: Told, rows: Sequence[Record]) -> list[Body]:
    """Write the same rows in every form, without anything strange beside them."""
    return _forms(told, rows, {}, None)


def _tables(told: Told) -> st.SearchStrategy[list[Record]]:
    whole = {name: _values(schema) for name, schema in told.columns.items()}
    return st.lists(st.fixed_dictionaries(whole), min_size=1, max_size=MAX_ROWS)


def _forms(told: Told, rows: Sequence[Record], params: Record, draw: Any) -> list[Body]:
    keys = list(draw(st.permutations(list(told.columns)))) if draw else list(told.columns)
    ordered = [{key: row[key] for key in keys} for row in rows]
    absent = [{k: v for k, v in r.items() if v is not None or k in told.required} for r in ordered]
    if all(absent):
        ordered = absent if draw and draw(st.booleans()) else ordered
    extra = draw(st.dictionaries(_STRANGE, st.none() | st.integers(), max_size=2)) if draw else {}
    records = [row | extra for row in ordered]
    by_column = {key: [row[key] for row in rows] for key in keys}
    split = {"columns": keys, "data": [[row[key] for key in keys] for row in rows]}
    beside = {"params": params} if params else {}
    scoring = {
        "dataframe_records": {"dataframe_records": records},
        "dataframe_split": {"dataframe_split": split | {"index": list(range(len(rows)))}},
        "instances by row": {"instances": records},
        "instances by column": {"instances": by_column},
        "inputs by row": {"inputs": records},
        "inputs by column": {"inputs": by_column},
    }
    if len(rows) == 1:
        scoring["inputs of one row"] = {"inputs": records[0]}
    made = [Body(form, "/invocations", content | beside) for form, content in scoring.items()]
    made.append(Body("rows", "/predict", {"rows": records}))
    made += [Body("infer", path, _tensors(told, by_column, params)) for path in told.infer]
    if told.csv and not params and (text := _csv(told, keys, rows)) is not None:
        made.append(Body("csv", "/invocations", text, "text/csv"))
    return made


def _tensors(told: Told, by_column: Mapping[str, list[Any]], params: Record) -> Record:
    inputs = [
        {"name": key, "shape": [len(data)], "datatype": told.datatypes[key], "data": data}
        for key, data in by_column.items()
    ]
    return {"id": "mine", "inputs": inputs} | ({"parameters": params} if params else {})


def _csv(told: Told, keys: Sequence[str], rows: Sequence[Record]) -> bytes | None:
    """Write rows as CSV, which cannot say the empty string; in an optional column it is null."""
    if len(keys) == 1 or any(row[key] == "" for row in rows for key in told.required):
        return None
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(keys)
    for row in rows:
        writer.writerow([_field(row[key]) for key in keys])
    return out.getvalue().encode()


def _field(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _params(told: Told) -> st.SearchStrategy[Record]:
    numbers, texts = st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
    each = {n: numbers if isinstance(v, float) else texts for n, v in told.params.items()}
    return st.just({}) | st.fixed_dictionaries({}, optional={**each, "unheard of": st.none()})


def _values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any] | None:
    """Return values that the typing rule takes for a column's schema; None for nested ones."""
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types or []
    nullable = "null" in types
    kind = next((each for each in types if each != "null"), None)
    makers: dict[str | None, Callable[[], st.SearchStrategy[Any]]] = {
        "boolean": st.booleans,
        "integer": lambda: _whole(schema, nullable=nullable),
        "number": lambda: _numbers(schema),
        "string": lambda: _texts(schema),
    }
    if kind not in makers:
        return None
    made = makers[kind]()
    return made | st.none() if nullable else made


def _whole(schema: Mapping[str, Any], *, nullable: bool) -> st.SearchStrategy[int]:
    low, high = schema["minimum"], schema["maximum"]
    if nullable:  # served as float64, which holds no more
        low, high = max(low, -EXACT), min(high, EXACT)
    return st.integers(low, high)


def _numbers(schema: Mapping[str, Any]) -> st.SearchStrategy[float | int]:
    single = schema.get("maximum", float("inf")) < FLOAT32
    fractions = st.floats(allow_nan=False, allow_infinity=False, width=32 if single else 64)
    return fractions | st.integers(-EXACT, EXACT)


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if "contentEncoding" in schema:
        return st.binary(max_size=12).map(lambda raw: base64.b64encode(raw).decode())
    if "pattern" in schema:
        days = st.datetimes(datetime(1680, 1, 1), datetime(2260, 1, 1))
        return st.builds(_moment, days, st.sampled_from(_FORMATS), st.sampled_from(_ZONES))
    return st.text(max_size=20)


def _moment(day: datetime, form: str, zone: str) -> str:
    return day.strftime(form) + (zone if "%H" in form else "")


def _content(paths: Mapping[str, Any], path: str) -> Any:
    return paths[path]["post"]["requestBody"]["content"]


def _schema(paths: Mapping[str, Any], path: str) -> Any:
    return _content(paths, path)["application/json"]["schema"]
