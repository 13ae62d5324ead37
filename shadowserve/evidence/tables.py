"""The worst requests as tables: artifacts that MLflow shows and pandas reads (``orient="split"``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shadowserve.statistics.tally import Worst

# What people look for first: MLflow shows four or five columns without scrolling.
SLOW = ("ms", "step", "step_ms", "column", "size", "note", "request_id", "position")
WORST = ("disagreement", "request_id", "position")

Table = dict[str, Any]


def slow_requests(summaries: Mapping[str, bytes]) -> Table:
    """Return the slowest requests, those first that never returned.

    Parameters
    ----------
    summaries : mapping of name to bytes
        As the lane's snapshot holds them.

    Returns
    -------
    dict
        ``columns`` and ``data``. `ms` of a request that was ended by the deadline is how long it
        had worked by then, and `note` says ``≥ deadline``.
    """
    poison = _read(summaries, "failures").get("poison", ())
    slowest = _rows(_read(summaries, "slowest"))
    return _table(SLOW, [*(_ended(one) for one in poison), *(_slow(one) for one in slowest)])


def worst_requests(summaries: Mapping[str, bytes]) -> Table:
    """Return the requests whose answers lie furthest apart, the furthest first."""
    found = [
        {"request_id": row["payload"], "position": row["position"], "disagreement": row["key"]}
        for row in _rows(_read(summaries, "outputs").get("worst"))
        if row["key"] > 0
    ]
    return _table(WORST, found)


def step_columns(summaries: Mapping[str, bytes], name: str) -> dict[str, list[str]]:
    """Return what each step reads, of the part ``champion`` or ``lane``."""
    steps = _read(summaries, name).get("steps", {})
    return {step: list(timing.get("columns", ())) for step, timing in steps.items()}


def _ended(poison: Mapping[str, Any]) -> dict[str, Any]:
    sizes = poison["sizes"]
    column = max(sizes, key=lambda name: sizes[name], default=None)
    return {
        "request_id": poison["request_id"],
        "position": poison["position"],
        "step": poison["step"],
        "column": column,
        "size": sizes.get(column),
        "ms": poison["worked_ms"],
        "note": "≥ deadline" if poison["cause"] == "deadline" else f"ended by {poison['cause']}",
    }


def _slow(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**(row["payload"] or {}), "position": row["position"], "ms": row["key"]}


def _rows(saved: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return Worst.from_state(saved).rows() if saved else []


def _read(summaries: Mapping[str, bytes], name: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(summaries[name]) if name in summaries else {}
    return found


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    return {"columns": list(columns), "data": [[row.get(name) for name in columns] for row in rows]}
