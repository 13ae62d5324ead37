"""A window's comparisons as an Arrow table: what its Parquet part holds, and its pieces in the state file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from shadowserve.comparison.by_name import ByName
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.records import Comparison

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def table(comparisons: Sequence[Comparison]) -> pa.Table:
    """Lay comparisons out by columns, as a part holds them."""
    told = Comparisons.of(comparisons)
    columns: dict[str, Any] = {
        name: _finite(getattr(told, name)) if kind == pa.float64() else getattr(told, name)
        for name, kind in _PLAIN.items()
        if name != "outcome"
    }
    columns["outcome"] = [one.value for one in told.outcome]
    for name in ("champion", "lane"):
        columns[f"{name}_prediction"] = _texts(getattr(told, name))
        columns[f"{name}_steps_ms"] = _maps(getattr(told, f"{name}_steps"))
    columns["divergence"] = _maps(told.values, finite=True)
    columns["sizes"] = _maps(told.sizes, of=_SIZES)
    columns["lane_scores"] = _maps(told.lane_scores)
    columns["error"] = [one.type if one else None for one in told.fault]
    columns["error_step"] = [one.step if one else None for one in told.fault]
    return pa.table(columns, schema=SCHEMA)


def _finite(values: np.ndarray) -> pa.Array:
    """Return numbers; what is not finite is missing, as in JSON."""
    return pa.array(values, mask=~np.isfinite(values))


def _texts(predictions: Sequence[Any]) -> list[str]:
    """Write each prediction as JSON."""
    lone = [one[0] for one in predictions if type(one) is list and len(one) == 1]
    # Numbers hold no comma, so that all can be written at once and cut.
    if len(lone) == len(predictions) and lone and _NUMBERS.issuperset(map(type, lone)):
        whole = orjson.dumps(lone, option=_OPTIONS)[1:-1].decode()
        return [f"[{text}]" for text in whole.split(",")]
    return [orjson.dumps(one, option=_OPTIONS).decode() for one in predictions]


def _maps(numbers: ByName, *, of: pa.MapType | None = None, finite: bool = False) -> pa.Array:
    """Return a map a request; of what is not finite the number is missing.

    Parameters
    ----------
    numbers : ByName
    of : MapType, optional
        From texts to numbers of which type.
    finite : bool
        Whether the name of such a one is missing, too.
    """
    kind = of or _BY_NAME
    if numbers.sparse is not None:
        return pa.array([_pairs(own, finite=finite) for own in numbers.sparse], kind)
    fine = np.isfinite(numbers.values)
    known = numbers.known & fine if finite else numbers.known
    ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))]).astype(np.int32)
    which = np.nonzero(known)[1].astype(np.int32)
    names = pa.DictionaryArray.from_arrays(which, pa.array(numbers.names, pa.string()))
    values = numbers.values[known]
    whole = values.astype(np.int64) if pa.types.is_integer(kind.item_type) else values
    items = pa.array(whole, mask=~fine[known])
    return pa.MapArray.from_arrays(pa.array(ends), names.dictionary_decode(), items)


def _pairs(own: Mapping[str, float], *, finite: bool) -> list[tuple[str, float | None]]:
    return [
        (name, value if np.isfinite(value) else None)
        for name, value in own.items()
        if not finite or np.isfinite(value)
    ]


def pack(rows: pa.Table) -> bytes:
    """Encode comparisons for the state file, by columns."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return bytes(sink.getvalue())


def joined(records: Sequence[bytes], pieces: Sequence[bytes]) -> pa.Table:
    """Read a window back, in the order of positions.

    Parameters
    ----------
    records : sequence of bytes
        Each one comparison, as `encode` wrote it; an earlier release wrote nothing else.
    pieces : sequence of bytes
        Each several, as `pack` wrote them.
    """
    tables = [_of_today(pa.ipc.open_stream(piece).read_all()) for piece in pieces]
    if records or not tables:
        tables.append(from_records([orjson.loads(record) for record in records]))
    rows = pa.concat_tables(tables)
    places = rows["position"].to_numpy()
    return rows if (np.diff(places) > 0).all() else rows.take(np.argsort(places, kind="stable"))


def _of_today(rows: pa.Table) -> pa.Table:
    """Return rows that an earlier release wrote, which thinned nothing, with the columns of this one."""
    if rows.schema.equals(SCHEMA):
        return rows
    whole = rows.append_column("share", pa.array(np.ones(rows.num_rows)))
    return whole.select(SCHEMA.names).cast(SCHEMA)


def from_records(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Lay comparisons out by columns, each as `windows.encode` wrote it."""
    columns = {name: [row.get(name, 1.0) for row in rows] for name in _PLAIN}  # `share` is young
    for name in ("champion", "lane"):
        columns[f"{name}_prediction"] = [orjson.dumps(row[name]).decode() for row in rows]
        columns[f"{name}_steps_ms"] = [list(row[f"{name}_steps"].items()) for row in rows]
    columns["divergence"] = [_numbers(row["values"]) for row in rows]
    columns["sizes"] = [list(row["sizes"].items()) for row in rows]
    columns["lane_scores"] = [list(row.get("lane_scores", {}).items()) for row in rows]
    columns["error"] = [row["fault"]["type"] if row["fault"] else None for row in rows]
    columns["error_step"] = [row["fault"]["step"] if row["fault"] else None for row in rows]
    return pa.table(columns, schema=SCHEMA)


def _numbers(values: Mapping[str, float | None]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in values.items() if value is not None]


_PLAIN = {
    "position": pa.int64(), "request_id": pa.string(), "arrived_wall_ns": pa.int64(),
    "n_rows": pa.int64(), "window": pa.int64(), "outcome": pa.string(),
    "disagreement": pa.float64(), "exact": pa.bool_(), "tolerant": pa.bool_(),
    "structure": pa.bool_(), "champion_ms": pa.float64(), "lane_ms": pa.float64(),
    "response_ms": pa.float64(),
    "lag_ms": pa.float64(), "starved_ms": pa.float64(), "alone": pa.bool_(),
    "warmup": pa.bool_(), "inclusion": pa.float64(), "nonfinite": pa.int64(), "first": pa.bool_(),
    "share": pa.float64(),
}  # fmt: skip

_NUMBERS = frozenset({int, float, bool, type(None)})
_BY_NAME = pa.map_(pa.string(), pa.float64())
_SIZES = pa.map_(pa.string(), pa.int64())
SCHEMA = pa.schema(
    [
        *_PLAIN.items(),
        ("champion_prediction", pa.string()),
        ("lane_prediction", pa.string()),
        ("champion_steps_ms", _BY_NAME),
        ("lane_steps_ms", _BY_NAME),
        ("divergence", _BY_NAME),
        ("sizes", _SIZES),
        ("lane_scores", _BY_NAME),
        ("error", pa.string()),
        ("error_step", pa.string()),
    ]
)
"""Columns of a part. Times are milliseconds; `disagreement` is 0 same, 1 disjoint."""
