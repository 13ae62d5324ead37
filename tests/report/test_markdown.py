"""The report as Markdown: what a forge makes of it is what the report says, and nothing acts in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from rig.report import finding, report
from shadowserve.report.markdown import MOST_FINDINGS, render, text

HOSTILE = [
    "<script>alert(1)</script>", "<!-- gone", "</table>", "<img src=x onerror=alert(1)>", "&lt;b&gt; &amp; & &#64;",
    "[click](https://evil.example)", "![x](https://evil.example/p.png)", "<https://evil.example>", "[a]: https://evil.example",
    "**bold** _so_ ~~gone~~ `code` ``", "a|b|c", "| a | b |", "# heading", "- item", "+ item", "1. item", "1) item", "> quoted",
    "=====", "---", "***", "    code", "two\nlines\n\n# three", "\\", "ends with \\", "\x1b[2Jpaint", "left\u202egnp.exe", "lone \ud800",
    "x" * 5_000, "$$x$$", "- [ ] task", "``` fence", "~~~ fence",
]  # fmt: skip


class Reader(HTMLParser):
    """Collects elements and text of what Markdown became."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)

    def handle_data(self, data):
        self.text += data


def read(markdown: str) -> Reader:
    return Reader(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))


def spoiled(name: str) -> dict:
    told = report(model=name, deployment=name)
    told["findings"] = [
        finding(id="0123abcd", message=f"{name} is slow.", accepted=said(reason=name, by=name))
    ]
    told["judgement"]["limits"] = [
        {"name": "coverage", "state": "undecided", "says": name, "more": 7}
    ]
    return told


def said(**changes) -> dict:
    return {
        "holds": True, "ended": None, "by": "ann@shop", "at": "2026-11-30T14:00:00+00:00", "until": None,
        "reason": "Meant so.", "severity": "critical", "value": 1.8, **changes,
    }  # fmt: skip


def test_verdict_findings_and_limits_are_told():
    told = read(render(report()))
    assert "continue: films: champion v3, challenger v4; 7 of 7 requests compared" in told.text
    assert "critical slow feature: Step 'phrases' gets slow." in told.text
    assert "1 finding: 1 critical." in told.text
    assert "7 of 1000." in told.text
    assert told.elements.count("table") == 1
    assert told.elements.count("tr") == 2


def test_an_accepted_finding_is_marked():
    told = report(findings=[finding(id="0123abcd", accepted=said())])
    told["judgement"]["limits"][0]["accepted"] = "0123abcd"
    found = read(render(told))
    assert "0123abcd" in found.text
    assert "Accepted by ann@\u200bshop on 2026-11-30: Meant so." in found.text
    assert "1 finding: 1 critical; 1 accepted." in found.text
    assert "undecided, accepted" in found.text


def test_without_findings_it_says_so():
    assert "No findings." in read(render(report(findings=[]))).text
    assert "Nothing has been compared yet." in read(render(report(findings=[], compared=0))).text


@pytest.mark.parametrize("name", HOSTILE)
def test_what_others_named_is_text_wherever_it_stands(name):
    plain, told = read(render(spoiled("harmless"))), read(render(spoiled(name)))
    assert told.elements == plain.elements
    assert not {"\x1b", "\u202e"} & set(told.text)


@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if name.isprintable() and len(name) < 1_000]
)
def test_what_others_named_is_read_as_it_was_written(name):
    shown = Reader(MarkdownIt("gfm-like", {"linkify": False}).renderInline(text(name))).text
    assert " ".join(shown.replace("\u200b", "").split()) == " ".join(name.split())


@pytest.mark.parametrize("name", ["@ann", "see @org/team", "#12", "a #3f2a"])
def test_nobody_is_called_and_nothing_is_linked(name):
    assert not re.search(r"[@#]\w", read(text(name)).text)


def test_a_bare_address_is_no_link():
    assert "://" not in text("ask http://elsewhere/a#12")
    assert read(text("ask http://elsewhere/a")).text.strip() == "ask http://elsewhere/a"


def test_a_comment_holds_it_however_much_is_found():
    told = report(findings=[finding(message="x" * 4_000) for _ in range(200)])
    written = render(told)
    assert len(written) < 65_536
    assert f"and {200 - MOST_FINDINGS} findings more" in read(written).text
