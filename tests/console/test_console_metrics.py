"""The console's metrics where something is missing, broken or late."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rig.asgi import called
from rig.evidence import CHALLENGER, close_windows, deployment, state_directory
from shadowserve.console.app import Console
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.places import Places

NOWHERE = "sqlite:///none.db"


def told(places: Places) -> dict[tuple[str, ...], float]:
    answer = called(Console(places).app(), "GET", "/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (one.name, *sorted(one.labels.values())): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


@pytest.fixture
def places(tmp_path) -> Places:
    return state_directory(tmp_path, deployment(NOWHERE, control=True))


def test_before_anything_is_served_there_is_little_and_no_error(tmp_path):
    found = told(Places(tmp_path))
    assert found["shadowserve_evidence_waiting_windows",] == 0.0
    assert ("shadowserve_ledger_balanced",) not in found


def test_evidence_grows_old_though_its_writer_says_nothing(places):
    assert told(places)["shadowserve_evidence_age_seconds",] == 0.0
    (first, _) = close_windows(places, CHALLENGER, 2)
    age = told(places)["shadowserve_evidence_age_seconds",]
    assert age > 0.0
    lanes = {str(CHALLENGER): {"arrived": 1, "waiting": 1}}
    places.arrival.write_text(json.dumps({"state": "shipping", "lanes": lanes}))
    assert told(places)["shadowserve_evidence_age_seconds",] < age + 60.0
    lanes[str(CHALLENGER)]["arrived"] = 2
    places.arrival.write_text(json.dumps({"state": "shipping", "lanes": lanes}))
    assert told(places)["shadowserve_evidence_age_seconds",] == 0.0
    assert first.number == 0


def test_a_report_that_cannot_be_built_is_told_as_that_and_hides_no_lane(places):
    close_windows(places, CHALLENGER, 1)
    state = LaneState(places.lane(CHALLENGER.role, CHALLENGER.version).state)
    state.commit(Progress(summaries={"outputs": b"[1, 2"}))
    state.close()
    found = told(places)
    assert found["shadowserve_report_readable", "4"] == 0.0
    assert not any(name.startswith("shadowserve_verdict") for name, *_ in found)
    assert found["shadowserve_lane_state", "4", "challenger", "starting"] == 1.0


def test_every_state_and_severity_has_a_series_from_the_start(places):
    found = told(places)
    states = [key for key in found if key[0] == "shadowserve_lane_state" and "challenger" in key]
    assert len(states) == 5
    assert sum(found[key] for key in states) == 1.0
    assert len([key for key in found if key[0] == "shadowserve_findings"]) == 5
    assert found["shadowserve_process_ends_total", "challenger-v4", "crash"] == 0.0


def test_scrapers_share_one_reading(places):
    close_windows(places, CHALLENGER, 1)
    app = Console(places).app()
    first, second = (called(app, "GET", "/metrics").text for _ in range(2))
    assert first == second  # the age of evidence is another at each reading
    assert called(Console(places).app(), "GET", "/metrics").text != first
