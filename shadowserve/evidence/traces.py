"""A few requests of each window as MLflow traces: one span per step, so that the slow one shows.

The slowest and the most divergent requests are taken. Champion and lane are drawn side by side from
the request's arrival, whenever the lane came to it. A trace's id follows from run and position, so
that writing it twice makes one trace. Spans carry sizes, times and answers; of the request's values those of the
columns that the team lets be seen, as long as its body is here.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shadowserve.legible import legible
from shadowserve.records import Role
from shadowserve.state.deployment import LaneName

_INPUTS, _OUTPUTS = "mlflow.spanInputs", "mlflow.spanOutputs"
SLOWEST = 3
MOST_DIVERGENT = 2

_COLUMNS = [
    "position", "request_id", "arrived_wall_ns", "n_rows", "outcome", "disagreement", "alone", "warmup",
    "champion_ms", "lane_ms", "response_ms", "lag_ms", "champion_steps_ms", "lane_steps_ms", "sizes",
    "champion_prediction", "lane_prediction",
]  # fmt: skip
MOST_ANSWER, MOST_PREVIEW, MOST_TAG = 2_000, 400, 200
"""Characters of an answer in a span, of what a list of traces shows, and of a name in a tag."""
MOST_INPUTS = 4_000
"""Characters of a request's values; columns beyond them are counted."""
_TOLD = ("position", "request_id", "n_rows", "outcome", "disagreement", "response_ms", "lag_ms")


@dataclass(frozen=True, slots=True)
class Sides:
    """Who is drawn beside whom.

    Parameters
    ----------
    champion : int
        The champion's version number.
    columns : mapping of role to (mapping of step to columns)
        What each step reads, as far as it is known.
    inputs : callable
        A position to the request's values by column, as `report.inputs.shown` tells them; None for none.
    """

    run_id: str
    lane: LaneName
    champion: int
    columns: Mapping[Role, Mapping[str, Sequence[str]]]
    inputs: Callable[[int], Mapping[str, Sequence[str] | None] | None] = lambda _: None


Trace = tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""What is said of a trace, and its spans, both as MLflow reads them."""


def traces_of(part: Path, sides: Sides) -> list[Trace]:
    """Return the traces of one Parquet part; none if it holds no request that was timed alone."""
    rows = pq.read_table(part, columns=_COLUMNS).to_pylist()
    return [_trace(row, why, sides) for row, why in chosen(rows)]


def chosen(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str]]:
    """Choose rows worth a trace, each once, and say why: ``slow`` or ``divergent``."""
    # A request of a batch has no time of its own, and a first one's is that of warming up.
    timed = [r for r in rows if r["alone"] and not r["warmup"] and r["lane_ms"] is not None]
    slow = sorted(timed, key=lambda row: -row["lane_ms"])[:SLOWEST]
    differing = [row for row in timed if (row["disagreement"] or 0.0) > 0.0]
    apart = sorted(differing, key=lambda row: -row["disagreement"])[:MOST_DIVERGENT]
    known = {row["position"] for row in slow}
    return [(row, "slow") for row in slow] + [
        (row, "divergent") for row in apart if row["position"] not in known
    ]


def _trace(row: Mapping[str, Any], why: str, sides: Sides) -> Trace:
    trace_hex = _digest(f"{sides.run_id}/{row['position']}", 16).hex()
    asked = _asked(row, sides)
    spans = list(_spans(row, trace_hex, sides, asked))
    began_ns = row["arrived_wall_ns"]
    ended_ns = max(span["end_time_unix_nano"] for span in spans)
    failed = row["outcome"] != "both_ok"
    info = {
        "trace_id": f"tr-{trace_hex}",
        "client_request_id": row["request_id"],
        "request_time": began_ns // 10**6,
        "execution_duration": (ended_ns - began_ns) // 10**6,
        "state": "ERROR" if failed else "OK",
        "request_preview": _preview(asked),
        "response_preview": _preview(_answered(row, sides)),
        "trace_metadata": {"mlflow.sourceRun": sides.run_id, "mlflow.trace_schema.version": "3"},
        "tags": {
            "mlflow.traceName": f"{why} {sides.lane}",
            "shadowserve.lane": str(sides.lane),
            "shadowserve.why": why,
            "shadowserve.outcome": row["outcome"],
            **_dearest(row),
        },
    }
    return info, spans


def _spans(
    row: Mapping[str, Any], trace_hex: str, sides: Sides, asked: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    began_ns = row["arrived_wall_ns"]
    own = sides.lane
    halves = [
        *_half(row, trace_hex, sides, asked, Role.CHAMPION, sides.champion, key="champion"),
        *_half(row, trace_hex, sides, asked, own.role, own.version, key="lane"),
    ]
    ended_ns = max(span["end_time_unix_nano"] for span in halves)
    # NaN has no form in JSON.
    told = {name: None if row[name] != row[name] else row[name] for name in _TOLD}
    told |= {_INPUTS: asked, _OUTPUTS: _answered(row, sides)}
    yield _span(trace_hex, ("request",), None, began_ns, ended_ns, told)
    yield from halves


def _asked(row: Mapping[str, Any], sides: Sides) -> dict[str, Any]:
    """Return what may be told of a request: how large it was, and the values that may be seen."""
    told = {"rows": row["n_rows"], "sizes": dict(row["sizes"] or ())}
    seen = {
        name: values
        for name, values in (sides.inputs(row["position"]) or {}).items()
        if values is not None
    }
    if not seen:
        return told
    room, kept = MOST_INPUTS, {}
    for name, values in seen.items():
        room -= len(name) + sum(map(len, values))
        if room < 0:
            break
        kept[name] = values[0] if len(values) == 1 else list(values)
    more = len(seen) - len(kept)
    return {**told, "values": kept, **({"columns_left_out": more} if more else {})}


def _answered(row: Mapping[str, Any], sides: Sides) -> dict[str, Any]:
    """Return both answers, which are recorded in any case."""
    own = sides.lane
    return {
        f"champion v{sides.champion}": _bounded(row["champion_prediction"]),
        f"{own.role.value} v{own.version}": _bounded(row["lane_prediction"]),
    }


def _bounded(answer: str | None) -> Any:
    """Return an answer as JSON holds it; of a long one the beginning, as text."""
    if answer is None or len(answer) <= MOST_ANSWER:
        return None if answer is None else json.loads(answer)
    return f"{answer[:MOST_ANSWER]}…"


def _preview(told: Mapping[str, Any]) -> str:
    text = json.dumps(told, ensure_ascii=False)
    return text if len(text) <= MOST_PREVIEW else f"{text[: MOST_PREVIEW - 1]}…"


def _dearest(row: Mapping[str, Any]) -> dict[str, str]:
    """Return tags of the step that took the lane most time, and of the largest column."""
    steps, sizes = dict(row["lane_steps_ms"] or ()), dict(row["sizes"] or ())
    found = {
        "shadowserve.step": max(steps, key=lambda name: steps[name] or 0.0, default=None),
        "shadowserve.column": max(sizes, key=lambda name: sizes[name], default=None),
    }
    return {tag: legible(name, most=MOST_TAG) for tag, name in found.items() if name is not None}


def _half(
    row: Mapping[str, Any],
    trace_hex: str,
    sides: Sides,
    asked: Mapping[str, Any],
    role: Role,
    version: int,
    *,
    key: str,
) -> Iterator[dict[str, Any]]:
    """Yield one role's span and, below it, its steps one after the other."""
    if row[f"{key}_ms"] is None:
        return
    name = f"{role.value} v{version}"
    about = {"position": row["position"], "role": role.value, "version": version}
    sizes = dict(row["sizes"] or ())
    began_ns = at_ns = row["arrived_wall_ns"]
    for step, spent_ms in row[f"{key}_steps_ms"] or ():
        columns = list(sides.columns.get(role, {}).get(step, ()))
        own = {column: sizes[column] for column in columns if column in sizes}
        told = {**about, "step": step, "columns": columns, "sizes": own, "ms": spent_ms}
        ends_ns = at_ns + int(spent_ms * 1e6)
        yield _span(trace_hex, (name, step), name, at_ns, ends_ns, told)
        at_ns = ends_ns
    # Named parts lie within steps, so that the steps may add up to more than the whole.
    ends_ns = max(at_ns, began_ns + int(row[f"{key}_ms"] * 1e6))
    answer = _bounded(row[f"{key}_prediction"])
    told = {**about, "sizes": sizes, "ms": row[f"{key}_ms"], _INPUTS: asked, _OUTPUTS: answer}
    yield _span(trace_hex, (name,), "request", began_ns, ends_ns, told)


def _span(
    trace_hex: str,
    path: tuple[str, ...],
    parent: str | None,
    began_ns: int,
    ended_ns: int,
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a span as MLflow writes it as JSON: ids in base 64, attributes as JSON texts."""
    own = {"mlflow.traceRequestId": f"tr-{trace_hex}", "mlflow.spanType": "CHAIN", **attributes}
    return {
        "trace_id": _base64(bytes.fromhex(trace_hex)),
        "span_id": _base64(_span_id(trace_hex, "/".join(path))),
        "parent_span_id": _base64(_span_id(trace_hex, parent)) if parent else None,
        "name": path[-1],
        "start_time_unix_nano": began_ns,
        "end_time_unix_nano": ended_ns,
        "events": [],
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {name: json.dumps(value) for name, value in own.items()},
        "links": [],
    }


def _span_id(trace_hex: str, path: str) -> bytes:
    return _digest(f"{trace_hex}/{path}", 8)


def _digest(text: str, n_bytes: int) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:n_bytes]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
