"""The page shows what the report holds: escaped, whole, and without asking anybody for anything."""

from __future__ import annotations

import re

import pytest

from rig.report import Reader, finding, report, text_of
from shadowserve.report.page import render


def test_verdict_findings_limits_steps_and_ledger_are_on_the_page():
    told = text_of(render(report()))
    for part in ("continue", "Step 'phrases' gets slow.", "993", "1,400", "It balances.", "7 of 7"):
        assert part in told


def test_what_does_not_balance_is_said():
    unbalanced = report(ledger={**report()["ledger"], "balanced": False})
    assert "It does not balance." in text_of(render(unbalanced))


def test_every_element_is_closed_in_its_place():
    assert Reader(render(report())).open == []


NASTY = '<script>alert("x")</script>'


@pytest.mark.parametrize(
    "spoiled",
    [
        report(model=NASTY),
        report(findings=[finding(message=NASTY)]),
        report(features=[{**report()["features"][0], "step": NASTY}]),
        report(slices=[{"slice": NASTY, "share": 0.1, "disagreement": 0.2, "elsewhere": 0.0}]),
        report(
            divergence={
                "kind": NASTY,
                "agreement": {"share_exact": None},
                "measures": {},
                "movers": [{"item": NASTY, "before": 0.0, "after": 1.0}],
            }
        ),
    ],
    ids=["model", "message", "step", "slice", "item"],
)
def test_no_name_and_no_message_becomes_markup(spoiled):
    page = render(spoiled)
    assert "script" not in Reader(page).elements
    assert NASTY in text_of(page)


def test_the_page_fetches_nothing():
    page = render(report())
    assert not re.search(r"https?:|url\(|@import", page)
    told = {
        name: value for name, value in Reader(page).attributes if name in ("src", "href", "srcset")
    }
    links = [value for name, value in Reader(page).attributes if name == "href"]
    assert set(told) == {"href"}
    assert all(link.startswith("#") for link in links)  # places on the page itself


def test_an_artifact_stays_as_it_is():
    page = render(report())
    assert "refresh" not in page
    assert "<script" not in page
    assert "<form" not in page


def test_a_report_that_lacks_parts_still_makes_a_page():
    told = text_of(render({"model": "films", "verdict": "reject"}))
    assert "films" in told
    assert "reject" in told
    assert "Ledger" not in told


@pytest.mark.parametrize(
    ("compared", "told"), [(0, "Nothing has been compared yet."), (7, "No findings.")]
)
def test_no_findings_is_not_the_same_as_no_data(compared, told):
    assert told in text_of(render(report(findings=[], compared=compared)))


def test_a_step_takes_its_place_on_the_axis_by_its_times():
    """From the median, 0.05 ms, to the slowest: further right by the decades between them."""
    slow = report()["features"][0]
    quick = {**slow, "step": "quick", "max_ms": 0.05}
    circles = re.findall(
        r'<circle(?: class="end")? cx="([\d.]+)%"', render(report(features=[slow, quick]))
    )
    median, slowest, median_again, same = map(float, circles)
    assert median == median_again == same
    decade = (slowest - median) / 4.447  # log10(1399.5 / 0.05)
    assert decade == pytest.approx(100 / 6, rel=1e-3)  # 0.01 ms to 10,000 ms


def test_labels_time_as_a_whole_and_notes_are_on_the_page_where_there_are_any():
    loss = {"measure": "error rate", "n": 250, "champion": 0.1, "challenger": 0.12}
    loss |= {"difference": 0.02, "low": 0.015, "high": 0.025}
    counts = dict.fromkeys(
        ("joined", "late", "repeated", "duplicate", "conflicting", "ambiguous", "unknown"), 250
    )
    ratio = {"value": 1.25, "low": 1.2, "high": 1.3, "n": 400}
    cost = {"rank": "p99", "value": 0.01, "low": -0.02, "high": 0.04, "cycles": 3}
    told = text_of(
        render(
            report(
                labels={**counts, "loss": loss, "others": []},
                latency={"paired_ratio": ratio, "cost_to_callers": [cost]},
                notes=["step 'rank' is opaque"],
            )
        )
    )
    for part in (
        "error rate",
        "250 joined",
        "1.25 times",
        "between -2 % and +4 % at p99",
        "opaque",
    ):
        assert part in told
    assert "Labels" not in text_of(render(report(labels=None)))
    few = {"value": None, "low": 0.0, "high": None, "n": 4}
    told = text_of(render(report(latency={"paired_ratio": few, "cost_to_callers": []})))
    assert "4 requests; that is too few" in told
    assert "between 0 and" not in told
