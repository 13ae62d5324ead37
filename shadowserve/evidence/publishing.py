"""What a run shows besides its windows: report, tables of requests, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shadowserve.evidence import page, tables
from shadowserve.evidence.store import Store

VERDICT = "shadowserve.verdict"


def publish_tables(store: Store, run_id: str, summaries: Mapping[str, bytes]) -> None:
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


def publish_report(store: Store, run_id: str, report: Mapping[str, Any]) -> str | None:
    """Bring the report up to date, for programs and for people, and return its verdict."""
    text = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
    store.put_text(run_id, text.decode(), "report.json")
    store.put_text(run_id, page.render(report), "report.html")
    verdict = report.get("verdict")
    if verdict is None:
        return None
    store.tag(run_id, {VERDICT: str(verdict)})
    return str(verdict)
