"""Windows: 60 seconds or 1,000 requests, their metrics, and the Parquet part of each.

A window that is closed is closed for good: its rows wait in the state file until the part is
written, and the part's name is its range of positions, so that doing it twice does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.records import Comparison, Outcome

WINDOW_REQUESTS = 1_000
WINDOW_NS = 60 * 10**9
WIDEN_AFTER = 1_440
MERGED = "evidence/merged_windows"
"""Counts the windows that went into wider ones while MLflow asked for fewer calls."""
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def width_factor(number: int) -> int:
    """How many times wider than the first a window is: they double after each 1,440.

    Examples
    --------
    >>> width_factor(0), width_factor(1439), width_factor(1440), width_factor(2880)
    (1, 1, 2, 4)
    """
    return int(2 ** (number // WIDEN_AFTER))


def is_full(number: int, *, n: int, opened_ns: int, wider: int = 1) -> bool:
    """Tell whether a window that holds `n` requests since `opened_ns` (since the epoch) is full.

    A clock that was set back an hour closes it too, instead of keeping it open until then. While
    MLflow asks for fewer calls a window is `wider` times as wide.
    """
    factor = width_factor(number) * wider
    aged = abs(time.time_ns() - opened_ns) >= WINDOW_NS * factor
    return n >= WINDOW_REQUESTS * factor or (n > 0 and aged)


def encode(comparison: Comparison) -> bytes:
    """Encode a comparison for the state file."""
    return orjson.dumps(comparison, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def metrics(rows: Sequence[Mapping[str, Any]], *, role: str, merged: int = 0) -> dict[str, float]:
    """Return a window's metrics by name, finite numbers only.

    Parameters
    ----------
    rows : sequence of mapping
        The window's comparisons, as `encode` wrote them.
    role : str
        The lane's role; names the lane's series.
    merged : int
        How many windows of the usual width went into this one instead of being sent.
    """
    found: dict[str, float] = {"ledger/requests": len(rows)}
    if merged:
        found[MERGED] = merged
    for outcome in Outcome:
        found[f"ledger/{outcome.value}"] = sum(row["outcome"] == outcome.value for row in rows)
    both = [row for row in rows if row["disagreement"] is not None]
    if both:
        found["divergence/disagreement"] = _mean(row["disagreement"] for row in both)
        found["divergence/exact_agreement"] = _mean(float(row["exact"]) for row in both)
        found["divergence/agreement"] = _mean(float(row["tolerant"]) for row in both)
        for name in dict.fromkeys(name for row in both for name in row["values"]):
            found[f"divergence/{name}"] = _mean(
                r["values"][name] for r in both if name in r["values"]
            )
    alone = [row for row in rows if row["alone"] and not row["warmup"]]
    for who, key in (("champion", "champion"), (role, "lane")):
        # Large inputs are timed more often than others: each counts for as many as it stands for.
        stood_for = [1 / row["inclusion"] for row in alone]
        found |= _quantiles(f"latency_ms/{who}", (row[f"{key}_ms"] for row in alone), stood_for)
        for step in dict.fromkeys(step for row in alone for step in row[f"{key}_steps"]):
            spent = (row[f"{key}_steps"].get(step) for row in alone)
            found |= _quantiles(f"feature_ms/{who}/{step}", spent, stood_for)
    found |= _quantiles("latency_ms/response", (row["response_ms"] for row in rows))
    found["latency_ms/lag/max"] = max((row["lag_ms"] for row in rows), default=0.0)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def ledger(
    outcomes: Mapping[str, int], *, before: Mapping[str, float], in_window: Mapping[str, float]
) -> dict[str, float]:
    """Return the ledger of a window, and of the run to its end, which count what left no row too.

    Parameters
    ----------
    outcomes : mapping of outcome to int
        All that the lane has counted.
    before : mapping of name to number
        Metrics of the window before; empty for the first.
    in_window : mapping of name to number
        The window's own metrics, counted from its rows: at least so many.
    """
    known = {outcome: float(outcomes.get(outcome.value, 0)) for outcome in Outcome}
    total = {f"total/{outcome.value}": n for outcome, n in known.items()}
    found = {}
    for outcome, n in known.items():
        name = f"ledger/{outcome.value}"
        since = n - before.get(f"total/{outcome.value}", 0.0 if not before else n)
        found[name] = max(since, in_window.get(name, 0.0))
    return {
        **found,
        "ledger/requests": sum(found.values()),
        **total,
        "total/requests": sum(known.values()),
    }


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _quantiles(
    prefix: str, values: Iterable[float | None], stood_for: Sequence[float] | None = None
) -> dict[str, float]:
    given = list(values)
    weights = [1.0] * len(given) if stood_for is None else stood_for
    both = [(value, w) for value, w in zip(given, weights, strict=True) if value is not None]
    if not both:
        return {}
    known, own = np.asarray(both, dtype=np.float64).T
    if own.min() == own.max():
        told = np.quantile(known, list(_QUANTILES.values()))
    else:
        told = np.quantile(known, list(_QUANTILES.values()), weights=own, method="inverted_cdf")
    found = {f"{prefix}/{name}": float(value) for name, value in zip(_QUANTILES, told, strict=True)}
    return {**found, f"{prefix}/max": float(known.max())}


def write_part(directory: Path, records: Sequence[bytes]) -> str:
    """Write a window's comparisons as one immutable Parquet file and return its name.

    Predictions are JSON text, so that every kind of output has one type for good.
    """
    rows = [orjson.loads(record) for record in records]
    places = [row["position"] for row in rows]
    name = f"{min(places):020d}-{max(places):020d}.parquet"
    draft = directory / f".{name}.draft"
    pq.write_table(_table(rows), draft, compression="zstd")
    draft.chmod(0o600)
    draft.replace(directory / name)
    return name


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in _PLAIN}
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
}  # fmt: skip

_BY_NAME = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        *_PLAIN.items(),
        ("champion_prediction", pa.string()),
        ("lane_prediction", pa.string()),
        ("champion_steps_ms", _BY_NAME),
        ("lane_steps_ms", _BY_NAME),
        ("divergence", _BY_NAME),
        ("sizes", pa.map_(pa.string(), pa.int64())),
        ("lane_scores", _BY_NAME),
        ("error", pa.string()),
        ("error_step", pa.string()),
    ]
)
"""Columns of a part. Times are milliseconds; `disagreement` is 0 same, 1 disjoint."""
