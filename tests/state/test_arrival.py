"""How evidence fares is told in words, by a file that may be of any release or damaged."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from shadowserve.cli.report_text import print_report
from shadowserve.evidence.condition import Condition
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.report.page import render
from shadowserve.state import arrival
from shadowserve.state.arrival import Arrival, Late
from shadowserve.state.counters import Counts
from shadowserve.state.ledger_entries import Ledger
from shadowserve.state.metrics import exposition
from shadowserve.state.places import Places

REFUSED = UndeliveredError(
    "http://x answered 403 while opening the run, “Invalid Host header”. Allow it.",
    kind="sink_error", hopeless=True, status=403, said="Invalid Host header",
)  # fmt: skip
LANES = {
    "challenger v4": {"arrived": 1, "waiting": 5},
    "control v3": {"arrived": 0, "waiting": 7},
}


@pytest.fixture
def waits(tmp_path):
    """A state directory whose evidence MLflow refuses."""
    places = Places(tmp_path)
    places.make()
    Condition(places.arrival).bad(REFUSED, LANES)
    return places


def test_what_waits_is_told_with_its_number_status_and_the_servers_words(waits):
    seen = arrival.read(waits.arrival)
    assert (seen.state, seen.waiting, seen.arrived, seen.status) == ("failed", 12, 1, 403)
    assert seen.said == "Invalid Host header"
    told = str(seen)
    assert told.startswith(f"waiting since {datetime.now(UTC):%H}")
    assert "12 windows" in told
    assert "403" in told
    assert "Invalid Host header" in told


def test_a_server_that_takes_it_again_ends_the_wait(waits):
    condition = Condition(waits.arrival)
    condition.good({"challenger v4": {"arrived": 6, "waiting": 0}})
    seen = arrival.read(waits.arrival)
    assert not seen.troubled
    assert str(seen) == "6 windows have arrived in MLflow"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"state": "failed", "lanes": 3}', '{"lanes": {"a": {"waiting": "x"}}}']
)
def test_a_file_that_cannot_be_read_tells_nothing(tmp_path, text):
    (tmp_path / "evidence.json").write_text(text)
    assert arrival.read(tmp_path / "evidence.json") == Arrival()
    assert arrival.read(tmp_path / "none.json") == Arrival()


def test_a_file_of_an_earlier_release_is_read(tmp_path):
    old = {
        "state": "waiting",
        "kind": "sink_dead",
        "reason": "No answer.",
        "since": None,
        "lanes": LANES,
    }
    (tmp_path / "evidence.json").write_text(json.dumps(old))
    seen = arrival.read(tmp_path / "evidence.json")
    assert (seen.waiting, seen.status, seen.late) == (12, None, ())
    assert "No answer." in str(seen)


def test_archived_deployments_are_told_apart_from_todays():
    seen = Arrival("shipping", arrived=2, late=(Late("films-1", 3, "Run r was deleted."),))
    assert not seen.troubled
    assert str(seen).endswith("3 windows of films-1 wait (Run r was deleted.)")
    assert arrival.of(seen.to_dict()) == seen


def test_status_report_page_and_metrics_tell_it(waits):
    seen = arrival.read(waits.arrival)
    ledger = Ledger("d", "films", 3, Counts(), 0, (), arrival=seen)
    assert ledger.to_status()["evidence"]["waiting"] == 12
    report = {
        "model": "films", "champion": 3, "challenger": 4, "compared": 1, "requests": 1,
        "verdict": "continue", "findings": [], "divergence": {}, "features": [], "latency": {},
        "judgement": {"limits": []}, "evidence": seen.to_dict(),
    }  # fmt: skip
    screen = Console(width=400, record=True)
    print_report(report, screen)
    assert "Invalid Host header" in screen.export_text()
    page = render({**report, "ledger": ledger.to_dict()})
    assert "Invalid Host header" in page
    (waits.root / "run").mkdir()
    told = exposition(waits, waits.root / "run").decode()
    assert "shadowserve_evidence_waiting_windows 12.0" in told
    assert "shadowserve_evidence_arriving 0.0" in told
