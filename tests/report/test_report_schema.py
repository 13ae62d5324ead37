"""Real reports are what the published schema says, and hold nothing that it does not describe."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evidence_fixtures import CHALLENGER, close_windows, deployment, state_directory
from jsonschema import Draft202012Validator

from shadowserve.report import build

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/report.schema.json").read_text())
OPEN = {"disagreement", "divergence"}  # each kind of output adds figures of its own


def faults(told: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> list[str]:
    found = Draft202012Validator(schema).iter_errors(told)
    return [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in found]


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, but refusing keys that it does not describe."""
    strict = copy.deepcopy(schema)
    for name, part in _objects(strict, "report"):
        if name not in OPEN:
            part.setdefault("additionalProperties", False)
    return strict


def _objects(schema: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield name, schema
        for key, part in schema.items():
            yield from _objects(part, key)
    if isinstance(schema, list):
        for part in schema:
            yield from _objects(part, name)


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
