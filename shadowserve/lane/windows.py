"""Windows: 60 seconds or 1,000 requests, 10 seconds at least, their metrics, and the Parquet part of each.

A window that is closed is closed for good: its rows wait in the state file until the part is
written, and the part's name is its range of positions, so that doing it twice does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.lane.tables import from_records, joined
from shadowserve.records import Comparison, Outcome

WINDOW_REQUESTS = 1_000
WINDOW_NS = 60 * 10**9
LEAST_NS = 10 * 10**9
"""No window is shorter: to carry one to MLflow costs a quarter of a second of CPU, whatever it holds."""
WIDEN_AFTER = 1_440
MERGED = "evidence/merged_windows"
"""Counts the windows that went into wider ones while MLflow asked for fewer calls."""
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
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
    MLflow asks for fewer calls a window is `wider` times as wide. However many come, it is open for
    ten seconds.
    """
    factor = width_factor(number) * wider
    age_ns = abs(time.time_ns() - opened_ns)
    if age_ns < LEAST_NS:
        return False
    return n >= WINDOW_REQUESTS * factor or (n > 0 and age_ns >= WINDOW_NS * factor)


def encode(comparison: Comparison) -> bytes:
    """Encode a comparison for the state file."""
    return orjson.dumps(comparison, option=_OPTIONS)


def metrics(
    window: pa.Table | Sequence[Mapping[str, Any]], *, role: str, merged: int = 0
) -> dict[str, float]:
    """Return a window's metrics by name, finite numbers only.

    Parameters
    ----------
    window : Table, or sequence of mapping
        The window's comparisons, as `table` laid them out, or each as `encode` wrote it.
    role : str
        The lane's role; names the lane's series.
    merged : int
        How many windows of the usual width went into this one instead of being sent.
    """
    rows = window if isinstance(window, pa.Table) else from_records(window)
    found: dict[str, float] = {"ledger/requests": rows.num_rows}
    if merged:
        found[MERGED] = merged
    counted = rows["outcome"].value_counts()
    counts = dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))
    # Also those that are 0, so that each series has a point in every window.
    for outcome in Outcome:
        found[f"ledger/{outcome.value}"] = counts.get(outcome.value, 0)
    disagreement = _floats(rows, "disagreement")
    both = ~np.isnan(disagreement)
    if both.any():
        found["divergence/disagreement"] = float(disagreement[both].mean())
        found["divergence/exact_agreement"] = float(_floats(rows, "exact")[both].mean())
        found["divergence/agreement"] = float(_floats(rows, "tolerant")[both].mean())
        for name, values, _ in _by_name(rows["divergence"], both):
            found[f"divergence/{name}"] = float(values.mean())
    alone = (_floats(rows, "alone") == 1) & (_floats(rows, "warmup") == 0)
    # Large inputs are timed more often than others: each counts for as many as it stands for.
    stood_for = 1 / _floats(rows, "inclusion")
    for who, key in (("champion", "champion"), (role, "lane")):
        whole = _floats(rows, f"{key}_ms")[alone]
        found |= _quantiles(f"latency_ms/{who}", whole, stood_for[alone])
        for step, spent, at in _by_name(rows[f"{key}_steps_ms"], alone):
            found |= _quantiles(f"feature_ms/{who}/{step}", spent, stood_for[at])
    found |= _quantiles("latency_ms/response", _floats(rows, "response_ms"))
    found["latency_ms/lag/max"] = float(np.nanmax(_floats(rows, "lag_ms"), initial=0.0))
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _floats(rows: pa.Table, column: str) -> np.ndarray:
    """Return a column as ndarray of shape (n_rows,), float64, NaN where there is no value."""
    return np.asarray(rows[column].to_numpy(zero_copy_only=False), dtype=np.float64)


def _by_name(
    column: pa.ChunkedArray, wanted: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each name of a column of maps with its values in the rows wanted, and those rows."""
    maps = column.combine_chunks()
    ends = maps.offsets.to_numpy()
    rows = np.repeat(np.arange(len(maps)), np.diff(ends))
    names = maps.keys[ends[0] : ends[-1]].dictionary_encode()
    codes = names.indices.to_numpy()
    values = np.asarray(
        maps.items[ends[0] : ends[-1]].to_numpy(zero_copy_only=False), dtype=np.float64
    )
    known = wanted[rows] & ~np.isnan(values)
    for code, name in enumerate(names.dictionary.to_pylist()):
        own = known & (codes == code)
        if own.any():
            yield name, values[own], rows[own]


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
        # Where the window before told no totals, this one's own rows are all that is known.
        since = n - before.get(f"total/{outcome.value}", 0.0 if not before else n)
        found[name] = max(since, in_window.get(name, 0.0))
    return {
        **found,
        "ledger/requests": sum(found.values()),
        **total,
        "total/requests": sum(known.values()),
    }


def _quantiles(
    prefix: str, values: np.ndarray, stood_for: np.ndarray | None = None
) -> dict[str, float]:
    known = ~np.isnan(values)
    if not known.any():
        return {}
    values, own = values[known], None if stood_for is None else stood_for[known]
    # Where all stand for as many, plain quantiles do, which interpolate.
    if own is None or own.min() == own.max():
        told = np.quantile(values, list(_QUANTILES.values()))
    else:
        told = np.quantile(values, list(_QUANTILES.values()), weights=own, method="inverted_cdf")
    found = {f"{prefix}/{name}": float(value) for name, value in zip(_QUANTILES, told, strict=True)}
    return {**found, f"{prefix}/max": float(values.max())}


def write_part(directory: Path, window: pa.Table | Sequence[bytes]) -> str:
    """Write a window's comparisons as one immutable Parquet file and return its name.

    Predictions are JSON text, so that every kind of output has one type for good.

    Parameters
    ----------
    window : Table, or sequence of bytes
        As `table` laid them out, or each as `encode` wrote it.
    """
    rows = window if isinstance(window, pa.Table) else joined(window, ())
    places = rows["position"].to_numpy()
    name = f"{places.min():020d}-{places.max():020d}.parquet"
    # Renamed once it is whole, so that no reader meets half a part.
    draft = directory / f".{name}.draft"
    pq.write_table(rows, draft, compression="zstd")
    draft.chmod(0o600)
    draft.replace(directory / name)
    return name
