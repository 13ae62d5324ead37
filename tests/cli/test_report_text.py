"""What others have named is shown as text: legible, bounded, and never as markup or as a command."""

from __future__ import annotations

import json

import pytest

from rig.printed import printed
from rig.report import report
from shadowserve.cli.judging import _print as print_verdict
from shadowserve.cli.looking import print_status
from shadowserve.cli.report_text import print_report
from shadowserve.divergence import KINDS
from shadowserve.legible import LONGEST_LINE, counted, legible
from shadowserve.report.legend import meaning
from shadowserve.report.page import render

HOSTILE = [
    "[/x]",
    "[bold red]loud[/]",
    "dist[km]",
    "\\[/]",
    "ends with \\",
    ":warning:",
    "a\x1b[2Jb\x1b]0;title\x07",
    "left\u202egnp.exe",
    "zero\u200bwidth",
    "nul\x00 bell\x07 back\x08\x08 return\rover",
    "new\nline",
    "lone \ud800 surrogate",
    "\x9b31m",
    "[link=https://evil.example]here[/link]",
]
ACTING = ("\x1b", "\x07", "\x08", "\r", "\x00", "\u202e", "\u200b", "\x9b", "\ud800")


def spoiled(name: str) -> dict:
    """A report in which everything that others can name is called so."""
    told = report()
    told |= {"model": name, "deployment": name, "notes": [name]}
    told["findings"][0]["message"] = f"Step {name} gets slow."
    told["findings"][0]["where"] |= {"step": name, "columns": [name], "slice": name}
    for step in told["features"]:
        step |= {"step": name, "columns": [name], "growth": None}
        step["growth"] = {"column": name, "exponent": 1.8, "superlinear": True}
    for lane in told["ledger"]["lanes"]:
        lane["reason"] = name
    for limit in told["judgement"]["limits"]:
        limit["says"] = name
    told["divergence"] = {
        "kind": "number",
        "agreement": {"share_exact": 1.0, "share_tolerant": 1.0},
        "measures": {name: {"mean": 0.5, "min": 0.0, "max": 1.0}},
        "movers": [],
    }
    told["latency"] = {"cost_to_callers": []}
    return told


def status_of(told: dict) -> dict:
    ledger = told["ledger"]
    names = "answered failed rejected overloaded client_gone turned_away not_ready timed_out lost"
    ends = {"restarts": 0, "ended": {}, "last_end": None}
    counts = dict.fromkeys(names.split(), 1) | ends
    lanes = [{**lane, **ends, "lag_seconds": 0.0} for lane in ledger["lanes"]]
    return {
        "deployment": told["deployment"],
        "model": told["model"],
        "served": True,
        "champion": {"version": 3, **counts},
        "journal": {"appended": 3, "append_failed": 0, "bytes": 5},
        "lanes": lanes,
        "evidence": {},
        "balanced": True,
        "extra_columns": {"count": 1, "names": [told["model"]], "more": False},
    }


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("markup", [True, False])
def test_names_and_reasons_are_text_in_report_and_status(name, markup):
    told = spoiled(name)
    for text in (
        printed(print_report, told, markup=markup),
        printed(print_status, status_of(told), markup=markup),
    ):
        assert legible(name) in text
        assert not any(mark in text for mark in ACTING)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_and_reasons_are_text_in_the_verdict(name):
    told = spoiled(name)
    told |= {
        "limits": [{**limit, "more_seconds": None} for limit in told["judgement"]["limits"]],
        "policy": {"loss": name},
        "unit": {"name": name, "n": 1, "without": 1},
    }
    text = printed(print_verdict, told)
    assert legible(name) in text
    assert not any(mark in text for mark in ACTING)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_acts_on_the_page(name):
    text = render(spoiled(name))
    assert not any(mark in text for mark in ACTING)
    text.encode()


def test_a_name_without_end_is_cut():
    told = spoiled("n" * 10**6)
    for text in (
        printed(print_report, told, markup=True),
        printed(print_status, status_of(told), markup=True),
        render(told),
    ):
        assert len(text) < 60 * LONGEST_LINE
        assert "…" in text


def test_programs_get_names_as_they_are():
    """JSON escapes what acts; who reads it decides."""
    assert json.loads(json.dumps(HOSTILE)) == HOSTILE
    assert json.dumps(HOSTILE).isprintable()


def test_the_reports_notes_are_printed():
    told = report(notes=["one part is opaque"], latency={"cost_to_callers": []})
    told["features"], told["divergence"] = [], {}
    assert "- one part is opaque" in printed(print_report, told)


def test_requests_that_no_challenger_could_be_compared_on_are_told():
    told = report(latency={"cost_to_callers": []}, divergence={}, features=[])
    told["ledger"]["champion"] |= {"rejected": 100, "failed": 1, "overloaded": 0}
    text = printed(print_report, told)
    assert (
        "100 requests refused by the champion's signature, 1 request failed in the champion" in text
    )


def test_every_measure_has_a_meaning():
    assert all(kind.measures for kind in KINDS)
    assert all(meaning(one.name) for kind in KINDS for one in kind.measures)


def test_one_is_not_many():
    assert (counted(1, "row"), counted(2_000, "row")) == ("1 row", "2,000 rows")
