"""Real reports are what the published schema says, and hold nothing that it does not describe."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rig.evidence import CHALLENGER, close_windows, deployment, state_directory
from rig.report_schema import SCHEMA, closed, faults
from shadowserve.report import build


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, Any]:
    """A report on lanes that have worked through some windows."""
    served = deployment("sqlite:///none.db", control=True)
    places = state_directory(tmp_path_factory.mktemp("report"), served)
    for lane in served.lanes:
        close_windows(places, lane, 3, n=50)
    return build.build(places, served, challenger=CHALLENGER.version)


def test_the_schema_is_a_schema_and_bears_the_reports_version():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == SCHEMA["properties"]["schema"]["const"] == build.SCHEMA


def test_a_report_on_working_lanes_is_what_the_schema_says(told):
    assert told["features"]
    assert faults(told) == []


def test_a_report_holds_nothing_that_the_schema_does_not_describe(told):
    assert faults(told, closed(SCHEMA)) == []


def test_a_report_before_the_first_request_is_what_the_schema_says(tmp_path):
    served = deployment("sqlite:///none.db")
    told = build.build(state_directory(tmp_path, served), served, challenger=4)
    assert told["compared"] == 0
    assert faults(told, closed(SCHEMA)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "shadowserve/report/2"},
        {"verdict": "perhaps"},
        {"compared": -1},
        {"findings": [{"kind": "bad_mood"}]},
        {"features": [{"role": "challenger"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_schema_refuses_what_is_no_report(told, change):
    assert faults({**told, **change}) != []


@pytest.mark.parametrize("name", SCHEMA["required"])
def test_no_part_of_a_report_may_be_missing(told, name):
    assert faults({key: value for key, value in told.items() if key != name}) != []
