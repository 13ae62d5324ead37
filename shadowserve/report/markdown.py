"""The report as Markdown, for a pull request: verdict, findings, and a table of the limits.

Names and reasons are somebody else's. They go in as text: nothing in them makes a heading, a link, an image,
a mention of somebody or a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from shadowserve.legible import LONGEST_LINE, counted, legible
from shadowserve.report.wording import (
    cause,
    examples,
    headline,
    mark,
    more,
    spaced,
    stands_though,
    tally,
)
from shadowserve.state import arrival

MOST_FINDINGS = 20
"""Findings that are told in full: what a pull request takes in one comment is bounded."""
LONGEST_TEXT = 1_500

_ACTING = re.compile(r"([\\`*_{}\[\]()~|!+])")
_AT_THE_BEGINNING = re.compile(r"^(\s*)([-#=>]|\d+[.)])")
_MENTION = re.compile(r"([@#])(?=\w)")


def render(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown.

    Parameters
    ----------
    report : mapping
        As `build.build` gives it.
    """
    return "\n".join(_lines(report)) + "\n"


def text(words: object, *, most: int = LONGEST_TEXT) -> str:
    r"""Return words that Markdown shows as they are, in one line.

    Examples
    --------
    >>> text("a|b <b>*bold*</b>"), text("# 1. [x](y)")
    ('a\\|b &lt;b&gt;\\*bold\\*&lt;/b&gt;', '\\# 1. \\[x\\]\\(y\\)')
    >>> text("see @ann and #12") == "see @&#8203;ann and #&#8203;12"
    True
    """
    shown = escape(legible(words, most=min(most, LONGEST_LINE)), quote=False)
    shown = _ACTING.sub(r"\\\1", shown)
    # Where a line begins with it, it would be a heading, a list, a quotation or a rule.
    shown = _AT_THE_BEGINNING.sub(lambda m: f"{m[1]}{_beginning(m[2])}", shown)
    # Neither a backslash nor an entity keeps a forge from calling somebody by it.
    shown = _MENTION.sub(r"\1&#8203;", shown)
    # A bare address would become a link.
    return shown.replace("://", ":&#47;/")


def _beginning(mark: str) -> str:
    return f"\\{mark}" if len(mark) == 1 else f"{mark[:-1]}\\{mark[-1]}"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {text(report['verdict'])}: {text(headline(report))}"
    yield ""
    if (seen := arrival.of(report.get("evidence", {}))).troubled:
        yield f"Evidence: {text(seen)}"
        yield ""
    yield from _findings(report)
    yield from _limits(report)
    yield f"Deployment {text(report['deployment'])}, {text(report['schema'])}."


def _findings(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["findings"]
    yield text(tally(report))
    yield ""
    for one in found[:MOST_FINDINGS]:
        name = f" `{one['id']}`" if re.fullmatch(r"[0-9a-f]+", str(one.get("id", ""))) else ""
        yield f"- **{text(one['severity'])}** {text(spaced(one['kind']))}{name}: {text(one['message'])}"
        if said := mark(one):
            yield f"  - {text(said)}"
        if why := cause(one):
            yield f"  - {text(why)}"
        if numbers := one.get("example_requests"):
            yield f"  - For example {text(examples(numbers))}"
    if len(found) > MOST_FINDINGS:
        yield f"- and {counted(len(found) - MOST_FINDINGS, 'finding')} more"
    if found:
        yield ""


def _limits(report: Mapping[str, Any]) -> Iterator[str]:
    yield "| limit | stands | what is known | still needs |"
    yield "|---|---|---|---|"
    for limit in report["judgement"]["limits"]:
        stands = f"{limit['state']}{stands_though(limit)}"
        cells = (limit["name"], stands, limit["says"], more(limit))
        yield f"| {' | '.join(text(cell) for cell in cells)} |"
    yield ""
