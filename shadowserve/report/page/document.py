"""The whole page: its head, its first lines, and the sections in the order people read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from shadowserve.legible import counted
from shadowserve.report.page import sections
from shadowserve.report.page.html import Html, element
from shadowserve.report.wording import compared, short, versions
from shadowserve.state import arrival

_SECTIONS = {
    "findings": sections.findings,
    "judgement": sections.limits,
    "labels": sections.labels,
    "divergence": sections.divergence,
    "slices": sections.slices,
    "features": sections.steps,
    "notes": sections.notes,
    "slow_requests": sections.requests,
    "ledger": sections.ledger,
}


def render(report: Mapping[str, Any], *, refresh_s: int | None = None) -> str:
    """Return a report as a page of HTML.

    Parameters
    ----------
    report : mapping
        As ``report.json`` holds it; a part that it lacks is left out.
    refresh_s : int, optional
        Seconds after which the browser asks again, for a page that is served live.
    """
    # Links lead somewhere on a page that is served; one that lies beside a run stands alone.
    body = [_head(report), _others(report) if refresh_s else None]
    for name, section in _SECTIONS.items():
        if name in report:
            body += section(report)
    foot = " · ".join(report[name] for name in ("deployment", "schema") if name in report)
    body.append(element("footer", foot))
    return _document(" ".join(_names(report)), body, refresh_s=refresh_s)


def waiting(reason: str, *, refresh_s: int) -> str:
    """Return a page for as long as there is no report."""
    body = [element("h1", "shadowserve"), element("p", reason)]
    return _document("shadowserve", body, refresh_s=refresh_s)


def _document(title: str, body: Sequence[Html | None], *, refresh_s: int | None) -> str:
    again = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    # Within the page, which is also an artifact in a file by itself.
    style = files("shadowserve.report.page").joinpath("style.css").read_text()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{again}{element('title', title)}<style>\n{style}</style></head>\n"
        f"{element('body', body)}</html>\n"
    )


def _names(report: Mapping[str, Any]) -> tuple[str, str]:
    return str(report.get("model", "shadowserve")), versions(report)


def _head(report: Mapping[str, Any]) -> Html:
    model, of = _names(report)
    verdict = report.get("verdict")
    return element(
        "header",
        element("h1", model, element("small", f" {of}")),
        element(f"p.verdict.{verdict}", verdict) if verdict else None,
        element("p.note", " · ".join(_progress(report))),
    )


def _progress(report: Mapping[str, Any]) -> Iterator[str]:
    if "compared" in report:
        yield compared(report)
    if "windows" in report:
        yield counted(report["windows"], "closed window")
    if report.get("rate_per_s"):
        yield f"{short(report['rate_per_s'])} requests a second"
    if (seen := arrival.of(report.get("evidence", {}))).troubled:
        yield f"evidence: {seen}"


def _others(report: Mapping[str, Any]) -> Html | None:
    """Return links to the other challengers' pages, where there are any."""
    lanes = report["ledger"]["lanes"]
    numbers = [lane["version"] for lane in lanes if lane["role"] == "challenger"]
    if len(numbers) < 2:
        return None
    return element("nav", list(_links(numbers, report["challenger"])))


def _links(numbers: list[int], shown: int) -> Iterator[Html]:
    for number in numbers:
        name = f"v{number}"
        yield (
            element("b", name)
            if number == shown
            else element("a", name, href=f"?challenger={number}")
        )
