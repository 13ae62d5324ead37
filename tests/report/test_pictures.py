"""Pictures are pure functions of facts: right places, right words, and names that can do no harm."""

from __future__ import annotations

import re

import pytest

from rig.report import Reader, finding, lane, report, text_of
from shadowserve.report.page import render
from shadowserve.report.page.document import parts
from shadowserve.report.page.first import distance
from shadowserve.report.page.overview import overview
from shadowserve.report.page.scales import Clock, Linear, Log

HOSTILE = {
    "markup": '<img src=x onerror="alert(1)"><script>alert(1)</script></svg></title>',
    "control": "a\x00b\x1b[31mc\r\nd\x7f",
    "right to left": "invoice\u202egnp.exe\u2067x",
    "long": "n" * 500,
    "quotes": "\"'`&amp;&lt;{{7*7}}",
    "nothing": "",
}


def growth(column: str) -> dict:
    return {
        "column": column, "exponent": 1.8, "low": 1.7, "high": 1.9, "superlinear": True, "fixed_ms": 0.1,
        "per_unit_ms": 1e-6, "p99_ms": 3.0, "max_ms": 900.0,
        "points": [[10.0, 0.1], [1_000.0, 0.5], [90_000.0, 880.0]],
        "sizes": {"n": 1_000, "p50": 200.0, "p90": 500.0, "p99": 4_000.0, "max": 90_000},
    }  # fmt: skip


def series(n: int) -> dict:
    columns = ("failed", "champion_p50_ms", "champion_p99_ms", "lane_p50_ms", "lane_p99_ms", "response_p50_ms", "response_p99_ms", "lag_ms")  # fmt: skip
    return {
        "since": [60.0 * i for i in range(n)],
        "until": [60.0 * (i + 1) for i in range(n)],
        "n": [1_000] * n,
        "disagreement": [0.1] * n,
        **{name: [1.0] * n for name in columns},
    }


def named(name: str) -> dict:
    """A report in which everything that somebody can name has that name."""
    feature = {**report()["features"][0], "step": name, "columns": [name], "growth": growth(name)}
    where = {
        "role": "challenger",
        "step": name,
        "columns": [name],
        "slice": name,
        "items": [name],
        "output": name,
    }
    confusion = {
        "n": 10, "agreement": 0.5, "kappa": 0.1, "champion": {name: 0.5, "b": 0.5}, "lane": {"b": 1.0},
        "cells": [{"champion": name, "lane": "b", "n": 5}, {"champion": "b", "lane": "b", "n": 5}],
    }  # fmt: skip
    part = {
        "kind": "label", "agreement": {"share_exact": 0.5, "share_tolerant": 0.5}, "confusion": confusion,
        "disagreement": {"mean": 0.5}, "measures": {name: {"n": 1, "mean": 0.1, "min": 0, "max": 1}},
        "movers": [{"item": name, "before": 0.0, "after": 1.0}],
    }  # fmt: skip
    slow = {"key": 5.0, "position": 7, "payload": {"request_id": name, "step": name, "step_ms": 1.0, "column": name, "size": 3}}  # fmt: skip
    return report(
        model=name,
        findings=[finding(message=name, where=where)],
        features=[feature, {**feature, "role": "control"}],
        divergence={**part, "fields": {name: part}},
        slices=[{"slice": name, "n": 5, "share": 0.1, "disagreement": 0.2, "low": 0.1, "high": 0.3, "elsewhere": 0.0}],
        slow_requests=[slow],
        worst_requests=[{"key": 1.0, "position": 8, "payload": name}],
        notes=[name],
        over_time={"challenger": series(3), "control": series(2), "events": [{"at": 70.0, "kind": "start", "says": name}]},
        ledger={**report()["ledger"], "lanes": [{**lane("challenger", 4), "reason": name}]},
    )  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_named_is_text_legible_and_bounded(name):
    page = render(named(name))
    read = Reader(page)
    assert read.open == []
    assert not {"script", "img"} & set(read.elements)
    assert not {attribute for attribute, _ in read.attributes if attribute.startswith("on")}
    shown = "".join(read.text) + "".join(value or "" for _, value in read.attributes)
    assert not [c for c in shown if not c.isprintable() and c != "\n"]
    # A name stands beside other text; the message alone may be longer than a line.
    codes = re.findall(r"<code[^>]*>([^<]*)</code>", page)
    assert max(len(code) for code in codes) <= 6 * 121  # escaped, of a slice's 120 and an ellipsis


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_links_of_a_served_page_bear_names_whole_and_escaped(name):
    told = parts(named(name), linked=True)
    links = [
        value for part in told.values() for key, value in Reader(part).attributes if key == "href"
    ]
    steps = [link for link in links if link.startswith("step?")]
    assert steps
    assert all(re.fullmatch(r"[\w.?=&%+*~-]+", link, re.ASCII) for link in steps)


def test_a_report_of_a_later_schema_is_said_so_and_shown_as_far_as_it_goes():
    later = report(schema="shadowserve/report/2", findings={"not": "a list"}, slices=3)
    told = text_of(render(later))
    assert "shadowserve/report/2" in told
    assert "open it with the release that wrote it" in told
    assert "cannot read the report's part 'where'" in told
    assert "It balances." in told


def test_a_broken_report_of_this_schema_is_no_page_that_looks_right():
    with pytest.raises(TypeError):
        render(report(slices=3))


LIMITS = [
    {"name": "coverage", "state": "kept", "says": "", "more": None, "more_traffic": None},
    {"name": "errors", "state": "undecided", "says": "", "more": 1_400, "more_traffic": 14_000},
]


@pytest.mark.parametrize(
    ("verdict", "limits", "told"),
    [
        (
            "continue",
            LIMITS,
            "Not decided yet. About 14,000 requests more decide what is open: errors.",
        ),
        (
            "continue",
            [{**LIMITS[1], "more": None, "more_traffic": None}],
            "Not decided yet. Open: errors.",
        ),
        ("continue", [{**LIMITS[1], "name": "loss"}], "Not decided yet. Open: loss."),
        ("promote", LIMITS[:1], "Every limit is kept."),
        ("reject", [{**LIMITS[1], "state": "broken"}, LIMITS[1]], "Do not switch. Broken: errors."),
    ],
)
def test_how_far_it_is_to_a_decision_is_said_in_a_line(verdict, limits, told):
    assert distance({"verdict": verdict, "judgement": {"limits": limits}}) == told


def stands(**changes) -> dict:
    return {"low": 0.02, "high": 0.04, "allowed": 0.05, "unit": "share", **changes}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (stands(), "errors: 2 % to 4 %; allowed 5 %"),
        (
            stands(high=None, unit="ratio", low=0.0, allowed=1.1),
            "errors: at least 0 times; allowed 1.1 times",
        ),
        (stands(low=532, high=532, allowed=1_000, unit="requests"), "errors: 532; needed 1,000"),
        (stands(low=-0.01), "errors: -1 % to 4 %; allowed 5 %"),
    ],
)
def test_a_limit_is_drawn_with_its_interval_and_what_is_allowed(told, said):
    limit = {**LIMITS[1], "stands": told}
    page = parts(report(judgement={"limits": [limit]}))["now"]
    assert ("aria-label", said) in Reader(page).attributes


def test_a_limit_of_an_earlier_release_has_words_alone():
    told = parts(report(judgement={"limits": [{**LIMITS[1], "says": "as before"}]}))["now"]
    assert "as before" in text_of(told)
    assert "svg" not in Reader(told).elements


QUIET = {"lanes": [{"role": "challenger", "version": 4, "quiet_s": 95.0, "still": True}], "evidence": {"quiet_s": 400.0, "still": True}}  # fmt: skip
EVIDENCE = {"state": "shipping", "since": None, "waiting": 0, "arrived": 3, "status": None, "said": "", "reason": None, "late": []}  # fmt: skip


def test_a_lane_that_stands_still_and_evidence_that_is_silent_look_dead():
    told = text_of(parts(report(quiet=QUIET, evidence=EVIDENCE))["now"])
    assert "stands still" in told
    assert "nothing committed for 2 min" in told
    assert "running" not in told
    assert "silent" in told
    assert "shipping" not in told


@pytest.mark.parametrize("state", ["degraded", "incompatible", "stopped"])
def test_a_lane_that_does_not_score_is_marked(state):
    one = {**lane("challenger", 4), "state": state, "reason": "it died five times"}
    told = parts(report(ledger={**report()["ledger"], "lanes": [one]}))["now"]
    assert f'<b class="broken">{state}</b>' in told
    assert "it died five times" in text_of(told)


def test_over_time_shows_noise_floor_events_and_interval():
    events = [{"at": 90.0, "kind": "change", "says": "answers changed"}]
    told = parts(
        report(over_time={"challenger": series(4), "control": series(2), "events": events})
    )["over-time"]
    assert "answers changed" in text_of(told)
    assert "the champion beside itself" in text_of(told)
    assert "polygon" in Reader(told).elements
    assert text_of(told).count("1,000") == 6


def test_before_a_window_is_closed_that_is_said():
    told = parts(report(over_time={"challenger": series(0), "events": []}))
    assert "No window is closed yet" in text_of(told["over-time"])


def test_classes_that_vanish_and_the_commonest_flip_are_named():
    told = text_of(parts(named("lost"))["answers"])
    assert "The challenger never answers" in told
    assert "lost  (50 % of answers)" in told
    assert "Commonest flips of 10 answers" in told


def test_a_histogram_has_both_sides_on_one_axis():
    histogram = {"edges": [0.0, 0.5, 1.0], "shares": [[0.25, 0.75], [1.0, 0.0]]}
    told = parts(
        report(
            divergence={
                **named("x")["divergence"],
                "kind": "probability",
                "histogram": histogram,
                "fields": {},
            }
        )
    )
    lines = re.findall(
        r'lines (champion|challenger)"[^>]*><polyline points="([^"]+)"', told["answers"]
    )
    assert dict(lines) == {
        "champion": "0.0,134.0 500.0,134.0 500.0,50.0 1000.0,50.0",
        "challenger": "0.0,8.0 500.0,8.0 500.0,176.0 1000.0,176.0",
    }


def test_a_density_has_a_cell_where_pairs_lie():
    joint = {"n": 100, "low": 0.0, "high": 10.0, "bins": 10, "cells": [[0, 9, 100]]}
    told = parts(
        report(divergence={**named("x")["divergence"], "joint": joint, "bias": -2.0, "fields": {}})
    )["answers"]
    assert re.search(r'<rect class="depth-5" x="0%" width="10%" y="8.0"', told)
    assert "2 lower" in text_of(told)


def test_growth_says_for_whom_a_step_is_slow():
    told = " ".join(text_of(parts(named("phrases"))["steps"]).split())
    assert "to the power of 1.8 (1.7 to 1.9)" in told
    assert "Half of all requests have at most 200" in told
    assert "the longest has 90,000" in told
    assert "n = 1,000" in told


def test_challenger_and_control_share_a_row():
    told = parts(named("phrases"))["steps"]
    rows = re.findall(r'<div class="range">.*?</svg>', told)
    assert len(rows) == 1
    assert "control: median" in rows[0]
    assert "challenger: median" in rows[0]


def test_capacity_says_processes_now_and_at_twice_the_traffic():
    capacity = {
        "traffic_per_s": 100.0, "peak_per_s": 200.0, "headroom": 0.9,
        "per_process": {"challenger": {"n": 50, "mean_ms": 10.0, "sustainable_per_s": 100.0}},
    }  # fmt: skip
    told = Reader(parts(report(capacity=capacity))["versions"]).text
    at = told.index("challenger", told.index("Capacity"))
    assert told[at : at + 6] == ["challenger", "50", "10", "100", "2", "3"]


def test_an_overview_has_a_column_for_each_challenger():
    both = [named("a"), {**named("b"), "challenger": 5, "verdict": "reject"}]
    told = Reader(overview(both))
    assert told.elements.count("th") == 2 + told.elements.count("tr") - 1
    assert "reject" in told.text
    assert "phrases" not in told.text


def test_scales_keep_everything_within_the_picture():
    for axis in (Linear.over([3.0, 9.0]), Log.over([0.5, 20.0]), Clock.over([100.0, 900.0])):
        shares = [axis.share(value) for value in (-1e9, 3.0, 1e12)]
        assert shares[0] == 0
        assert shares[-1] == 1
        assert all(0 <= at <= 1 for at, _ in axis.ticks)


@pytest.mark.parametrize("values", [[], [0.0], [5.0, 5.0], [float("nan")], [1e-12], [-3.0, -1.0]])
def test_an_axis_over_few_or_strange_values_is_still_one(values):
    axis = Linear.over(values)
    assert axis.high > axis.low
    assert len(axis.ticks) >= 2
    assert Log.over(values).high > Log.over(values).low


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (LIMITS[1], "about 14,000 requests more, of which 1,400 are sampled"),
        ({**LIMITS[1], "more_traffic": 1_400}, "about 1,400 requests more"),
        ({**LIMITS[1], "name": "loss"}, "about 1,400 labels more"),
    ],
)
def test_a_limit_says_how_much_it_still_needs(limit, said):
    assert said in text_of(parts(report(judgement={"limits": [limit]}))["now"])


@pytest.mark.parametrize("holds", [True, False])
def test_the_first_screen_says_what_is_accepted_while_that_holds(holds):
    accepted = {
        "by": "ann",
        "at": "2026-11-30T14:00:00+00:00",
        "until": None,
        "reason": "Meant so.",
        "holds": holds,
    }
    accepted |= {} if holds else {"ended": "worse", "severity": "note"}
    told = text_of(parts(report(findings=[finding(accepted=accepted)]))["now"])
    assert (", accepted" in told) is holds
