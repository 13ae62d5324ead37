"""The report as a page that opens from MLflow's artifact list: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import orjson

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .8rem;text-align:left;"
    "border-bottom:1px solid #ddd}.critical{color:#a00;font-weight:600}.warning{color:#a60}"
    "pre{background:#f6f6f6;padding:1rem;overflow:auto}"
)


def render(report: Mapping[str, Any]) -> str:
    """Return a report as HTML: verdict and findings first, then the figures.

    Parameters
    ----------
    report : mapping
        As in ``report.json``; what it lacks is left out, and what is not known here is shown as it
        stands.
    """
    title = f"{report.get('model', 'model')}: v{report.get('champion', '?')} vs v{report.get('challenger', '?')}"
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style><h1>{escape(title)}</h1>",
            *_summary(report),
            *_findings(report.get("findings") or ()),
            *_features(report.get("features") or ()),
            *_rest(report),
            "</html>",
        ]
    )


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    for name in ("verdict", "requests", "windows"):
        if report.get(name) is not None:
            yield f"<p>{name.capitalize()}: <strong>{_text(report[name])}</strong></p>"


def _findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "<h2>Findings</h2>"
    if not findings:
        yield "<p>None.</p>"
        return
    yield "<table><tr><th>Severity</th><th>Kind</th><th>What</th><th>Since</th></tr>"
    for one in findings:
        severity = _text(one.get("severity"))
        cells = "".join(f"<td>{_text(one.get(name))}</td>" for name in ("kind", "message", "since"))
        yield f'<tr><td class="{severity}">{severity}</td>{cells}</tr>'
    yield "</table>"


def _features(features: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not features:
        return
    names = ("role", "step", "n", "p50_ms", "p99_ms", "max_ms", "share")
    yield "<h2>Steps</h2><table><tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    for one in features:
        yield "<tr>" + "".join(f"<td>{_text(one.get(name))}</td>" for name in names) + "</tr>"
    yield "</table>"


def _rest(report: Mapping[str, Any]) -> Iterator[str]:
    for name in ("divergence", "latency", "slices", "ledger"):
        if report.get(name):
            yield f"<h2>{name.capitalize()}</h2><pre>{_indented(report[name])}</pre>"


def _indented(value: Any) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return escape(orjson.dumps(value, option=options).decode())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
