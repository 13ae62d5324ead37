"""Terminal, verdict and page tell the same in the same words."""

from __future__ import annotations

import pytest

from rig.printed import printed
from rig.report import report, text_of
from shadowserve.cli import judging
from shadowserve.cli.report_text import print_report
from shadowserve.report import wording
from shadowserve.report.page import render

JUDGED = {"reasons": [], "policy": {}, "unit": {"name": "request", "n": 1_203, "without": 0}}
QUIET = {"divergence": {}, "features": [], "labels": None, "latency": {"cost_to_callers": []}}


def told(**changes):
    limit = {
        "name": "latency", "state": "undecided", "says": "3 bursts.", "more": 801, "more_traffic": 8_010,
    }  # fmt: skip
    judgement = {**JUDGED, "limits": [limit]}
    return report(**{"judgement": judgement, "compared": 1_190, "requests": 1_203, **QUIET, **changes})  # fmt: skip


def terminal(one):
    return printed(print_report, one)


def verdict(one):
    return printed(judging._print, judging.summary(one))


def page(one):
    return " ".join(text_of(render(one)).split())


@pytest.mark.parametrize("teller", [terminal, verdict, page])
def test_every_teller_says_how_much_was_compared_and_what_is_still_needed(teller):
    text = teller(told())
    assert "1,190 of 1,203 requests compared" in text
    assert "champion v3, challenger v4" in text
    assert "8,010 requests, of which 801 are sampled" in text


@pytest.mark.parametrize("teller", [terminal, verdict, page])
@pytest.mark.parametrize(
    ("compared", "says"), [(0, "Nothing has been compared yet."), (7, "No findings.")]
)
def test_every_teller_tells_no_findings_from_no_data(teller, compared, says):
    assert says in teller(told(findings=[], compared=compared))


@pytest.mark.parametrize("teller", [terminal, page])
def test_terminal_and_page_write_the_same_numbers(teller):
    divergence = {
        "kind": "number",
        "agreement": {"share_exact": 0.94321, "share_tolerant": 1.0},
        "measures": {"absolute": {"mean": 1_234.5, "min": 0.0, "max": 0.0123456}},
    }
    cost = {"rank": "p99", "low": -0.0213, "high": 0.0402}
    steps = [{**report()["features"][0], "columns": ["description"]}]
    latency = {"cost_to_callers": [cost]}
    text = teller(told(divergence=divergence, latency=latency, features=steps))
    assert "Equal to the bit: 94.3 % of rows; within tolerance: 100 %." in text
    assert "1,234" in text
    assert "0.0123" in text
    assert "Lanes cost callers between -2.13 % and +4.02 % at p99." in text


def test_what_may_become_of_a_request_is_told_as_the_records_have_it():
    assert wording.OUTCOMES[0] == "both_ok"
    assert wording.OUTCOMES[-1] == "replayed"
    assert not any("skipped" in name for name in wording.OUTCOMES)
