"""The whole page: its head, its first screen, and the sections in the order people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from shadowserve.legible import legible
from shadowserve.report.build import SCHEMA
from shadowserve.report.page.answers import answers
from shadowserve.report.page.findings import findings
from shadowserve.report.page.first import first
from shadowserve.report.page.html import Html, element
from shadowserve.report.page.labelled import labels
from shadowserve.report.page.ledger import lane_time, ledger, notes
from shadowserve.report.page.requests import requests
from shadowserve.report.page.roles import roles
from shadowserve.report.page.steps import steps
from shadowserve.report.page.trend import trend
from shadowserve.report.page.where import where
from shadowserve.report.wording import compared, versions

Report = Mapping[str, Any]

_NAMES = {
    "findings": "Findings",
    "over-time": "Over time",
    "where": "Where",
    "answers": "Answers",
    "steps": "Steps",
    "versions": "Versions",
    "requests": "Requests",
    "labels": "Labels",
    "ledger": "Ledger",
    "lane-time": "Lane",
}
"""What leads to which section, in the order of the page."""

LONGEST_HEADING = 60
"""Characters: three lines of a phone."""


def parts(report: Report, *, linked: bool = False) -> dict[str, Html]:
    """Return the page's parts by name, in its order; a part of which the report says nothing is empty."""
    own: dict[str, Callable[[Report], Html | None]] = {
        "head": _head,
        "now": first,
        "findings": partial(findings, linked=linked),
        "over-time": trend,
        "where": where,
        "answers": answers,
        "steps": partial(steps, linked=linked),
        "versions": roles,
        "requests": partial(requests, linked=linked),
        "labels": labels,
        "ledger": ledger,
        "lane-time": lane_time,
        "notes": notes,
    }
    later = report.get("schema", SCHEMA) != SCHEMA
    made = {
        name: (_tried(name, part, report) if later else part(report)) for name, part in own.items()
    }
    filled = {name: part or Html("") for name, part in made.items()}
    return {"schema": _later(report) if later else Html(""), **filled}


def _tried(name: str, part: Callable[[Report], Html | None], report: Report) -> Html | None:
    """Return a part of a report whose keys may mean something else."""
    try:
        return part(report)
    except (LookupError, TypeError, ValueError, AttributeError):
        return element("p.warning-line", f"This release cannot read the report's part '{name}'.")


def _later(report: Report) -> Html:
    told = (
        f"This report's schema is {report['schema']}; this release of shadowserve reads {SCHEMA}. "
        "What is shown may be incomplete: open it with the release that wrote it."
    )
    return element("p.warning-line", told, id="schema")


def render(report: Report) -> str:
    """Return a report as a page of HTML that stands alone: it runs nothing and fetches nothing.

    Parameters
    ----------
    report : mapping
        As ``report.json`` holds it; a part that it lacks is left out.
    """
    made = parts(report)
    # Within the page, which is also an artifact in a file by itself.
    style = files("shadowserve.report.page").joinpath("style.css").read_text()
    body = [made.pop("head"), contents(made), *made.values(), _foot(report)]
    return document(title(report), body, head=f"<style>\n{style}</style>")


def document(name: str, body: Sequence[Html | None], *, head: str, **data: str) -> str:
    """Return a page of HTML; ``data`` are attributes of its main element."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{element('title', name)}{head}</head>\n"
        f"{element('body', element('main', list(body), **data))}</html>\n"
    )


def title(report: Report) -> str:
    """Return the page's title: the verdict first, which a narrow tab still shows."""
    verdict = f"{report['verdict']}: " if report.get("verdict") else ""
    return f"{verdict}{model(report)} {versions(report)}"


def model(report: Report) -> str:
    """Return the model's name as headings show it: a registry bounds none, and the verdict comes below it."""
    return legible(report.get("model", "shadowserve"), most=LONGEST_HEADING)


def contents(made: Mapping[str, Html]) -> Html:
    """Return links to the sections that there are."""
    links = [element("a", _NAMES[name], href=f"#{name}") for name in _NAMES if made.get(name)]
    return element("nav.contents", links, aria_label="Sections")


def _foot(report: Report) -> Html:
    told = [str(report[name]) for name in ("deployment", "schema", "at") if report.get(name)]
    return element("footer", " · ".join(told))


def _head(report: Report) -> Html:
    return element(
        "header",
        element("h1", model(report), element("small", f" {versions(report)}")),
        element("p.note", " · ".join(_progress(report))),
    )


def _progress(report: Report) -> Iterator[str]:
    if "compared" in report:
        yield compared(report)
    if report.get("at"):
        yield f"as of {report['at'].replace('T', ' ').removesuffix('+00:00')} UTC"
