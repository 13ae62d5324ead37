"""What a run shows besides its windows: report, tables of requests, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shadowserve.evidence import tables
from shadowserve.evidence.sink import Sink
from shadowserve.report import page

VERDICT = "shadowserve.verdict"
RESTARTS = "shadowserve.restarts"
"""How often processes of lanes ended and were started again."""


def publish_tables(store: Sink, run_id: str, summaries: Mapping[str, bytes]) -> None:
    """Bring the slowest and the furthest requests up to date.

    Parameters
    ----------
    summaries : mapping of name to bytes
        As the lane's snapshot holds them.
    """
    made = {
        "slow_requests.json": tables.slow_requests(summaries),
        "worst_requests.json": tables.worst_requests(summaries),
    }
    for name, table in made.items():
        store.put_text(run_id, orjson.dumps(table).decode(), name)


def report_files(report: Mapping[str, Any]) -> dict[str, str]:
    """Return a report's artifacts by name: for programs, and for people."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    text = orjson.dumps(report, option=options).decode()
    return {"report.json": text, "report.html": page.render(report)}
