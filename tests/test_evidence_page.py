from __future__ import annotations

from shadowserve.evidence.page import render

REPORT = {
    "model": "films <b>",
    "champion": 3,
    "challenger": 4,
    "verdict": "reject",
    "findings": [
        {"kind": "slow_feature", "severity": "critical", "message": "<script>x</script> is slow"}
    ],
    "features": [{"role": "challenger", "step": "description", "p99_ms": 123.456}],
    "ledger": {"balanced": True},
}


def test_the_page_shows_verdict_findings_and_steps() -> None:
    page = render(REPORT)
    assert "reject" in page
    assert "slow_feature" in page
    assert "123.5" in page


def test_names_and_messages_cannot_become_markup() -> None:
    page = render(REPORT)
    assert "<script>" not in page
    assert "films &lt;b&gt;" in page


def test_an_empty_report_still_makes_a_page() -> None:
    assert "None." in render({})
