"""What is wrong, the worst first, each with a link of its own; and how each limit stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shadowserve.report.page.first import numbers
from shadowserve.report.page.html import Html, element, folded, named, section, table
from shadowserve.report.wording import cause, examples, mark, nothing_found, short, spaced

Report = Mapping[str, Any]


def findings(report: Report, *, linked: bool = False) -> Html | None:
    """Return the findings, whole; where a page is served, with what accepts one.

    That takes a script: the console hears JSON alone, which no page of another site can send.
    """
    found = report.get("findings")
    if found is None:
        return None
    articles = [
        _finding(at, one, _acceptance(report, one) if linked and one.get("id") else None)
        for at, one in enumerate(found, start=1)
    ]
    return section(
        "findings", "Findings", articles or element("p", nothing_found(report)), _limits(report)
    )


def _finding(at: int, one: Mapping[str, Any], acceptance: Html | None) -> Html:
    return element(
        f"article.{one['severity']}",
        element("h3", element("b", one["severity"]), " ", spaced(one["kind"])),
        element("p", one["message"]),
        element("p.accepted", told) if (told := mark(one)) else None,
        element("p.cause", why) if (why := cause(one)) else None,
        element("p.facts", list(_facts(one))),
        acceptance,
        id=f"finding-{at}",
    )


def _acceptance(report: Report, one: Mapping[str, Any]) -> Html:
    """Return the form that accepts a finding, or takes that back."""
    accepted = (one.get("accepted") or {}).get("holds")
    action, says = ("withdraw", "Withdraw") if accepted else ("accept", "Accept")
    until = (
        None
        if accepted
        else element(
            "label", "for, as 2w (optional) ", element("input", type="text", name_="until")
        )
    )
    form = element(
        "form",
        element("input", type="hidden", name_="finding", value=one["id"]),
        element("input", type="hidden", name_="challenger", value=report["challenger"]),
        element(
            "label",
            "reason ",
            element("input", type="text", name_="reason", required="", maxlength=1000),
        ),
        until,
        element("button", says, type="submit"),
        action=action,
        data_json="",
    )
    told = (
        "Take the acceptance back"
        if accepted
        else "Accept this finding: it stays, marked, and no longer decides"
    )
    return element("div.scripted", folded(told, form, name=f"{action}-{one['id']}"))


def _facts(finding: Mapping[str, Any]) -> Iterator[Html]:
    where, effect = finding["where"], finding["effect"]
    for name in ("step", "slice", "output"):
        if where[name]:
            yield element("span", f"{name} ", named(where[name]))
    if where["columns"]:
        yield element("span", "columns ", named(", ".join(where["columns"])))
    if effect and effect["value"] is not None:
        yield element("span", _effect(effect))
    if (since := finding.get("since_request")) is not None:
        yield element("span", f"since request {since:,}")
    if counted := finding.get("example_requests"):
        yield element("span", f"for example {examples(counted)}")


def _effect(effect: Mapping[str, Any]) -> str:
    told = f"{spaced(effect['measure'])} {short(effect['value'])}"
    if effect["low"] is not None and effect["high"] is not None:
        told += f" (between {short(effect['low'])} and {short(effect['high'])})"
    if effect["baseline"] is not None:
        told += f", {effect['baseline_role']} {short(effect['baseline'])}"
    return told


def _limits(report: Report) -> Html | None:
    limits = (report.get("judgement") or {}).get("limits")
    if not limits:
        return None
    head = ("limit", "stands", "lies between", "allowed", "what is known", "still needs")
    return folded("Limits in numbers", table(head, numbers(limits)), name="limits")
