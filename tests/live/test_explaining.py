"""`explain` with real versions, each in a process of its own, on what a journal holds."""

from __future__ import annotations

import json
import os
import signal

import pytest
from click.testing import CliRunner

from rig.archived import archive, served
from rig.explained import asked as requests
from rig.explained import explainable
from rig.report_schema import SCHEMA, closed, faults
from shadowserve.cli import main
from shadowserve.errors import ModelError
from shadowserve.journal import reader
from shadowserve.journal.segment_file import segments
from shadowserve.records import Role
from shadowserve.report import build
from shadowserve.runs.apart_process import ApartProcess
from shadowserve.state import causes
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import LaneName

pytestmark = pytest.mark.live


def asked(places, *arguments):
    return CliRunner().invoke(main, ["explain", *arguments, "--state-dir", str(places.root)])


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return explainable(tmp_path_factory.mktemp("explain"), log_inputs=("age",))


@pytest.fixture(scope="module")
def missing(places):
    """The id of the first request without an age."""
    at = next(n for n, one in enumerate(requests()) if one["age"] is None)
    return f"r{sorted(reader.positions(places.journal))[at]}"


@pytest.fixture(scope="module")
def told(places, missing):
    found = asked(places, missing, "--json")
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)


def test_the_step_that_carries_the_difference_is_named(told):
    assert (told["kind"], told["proven"], told["requests"]) == ("features", True, 120)
    (carrier,) = told["carriers"]
    assert carrier["step"] == "features/age/impute"
    assert "filled with 0 by v4, with the median by v3" in carrier["what"]


def test_one_request_names_the_smallest_change_and_shows_what_may_be_seen(told):
    nearest = told["request"]["nearest"]
    assert (nearest["columns"], nearest["smallest"]) == (["age"], True)
    assert nearest["values"]["age"][1] == "missing"


def test_the_report_has_the_cause_and_nothing_of_the_request(told, places):
    report = build.build(places, deployments.read(places), challenger=4)
    assert report["cause"]["says"] == told["says"]
    assert faults(report, closed(SCHEMA)) == []
    kept = causes.read(places.lane(Role.CHALLENGER, 4))
    assert kept is not None
    assert "request" not in kept


def test_an_archive_is_enough_after_all(tmp_path):
    places = explainable(tmp_path, "weights")
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    told = json.loads(asked(places, "--json").stdout)
    assert (told["kind"], told["proven"], told["requests"]) == ("weights", True, 120)


def test_dropped_columns_are_named_where_only_they_are_kept(tmp_path):
    places = explainable(tmp_path, drop_inputs=("age",))
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    found = asked(places)
    assert found.exit_code == 4
    assert "Values of age are not kept." in found.stderr


def test_a_version_that_dies_is_one_line(places):
    served_now = deployments.read(places)
    with ApartProcess(LaneName(Role.CHALLENGER, 4), "v4") as own:
        os.kill(own.pid, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"^v4 ended its process \(.*SIGKILL.*\)\. Try"):
            own.load(served_now, [])


def test_people_read_the_cause_and_the_shares(places):
    said = asked(places).stdout
    assert "Both versions were asked about 120 rows of 120 recorded requests" in said
    assert "Cause: features" in said


@pytest.mark.parametrize("which", ["nobody", "999999"])
def test_a_request_that_is_not_here_is_one_line_with_a_next_step(places, which):
    found = asked(places, which)
    assert found.exit_code == 4
    assert found.stderr.startswith(f"No request {which} whose body is still here.")
    assert "--keep-journal 7d" in found.stderr


def test_too_few_requests_are_one_line_with_a_next_step(tmp_path):
    places, _ = served(tmp_path, segments=1)
    found = asked(places)
    assert found.exit_code == 4
    assert found.stderr.startswith("4 recorded requests are here, and fewer than 20 show nothing.")


def test_a_version_whose_files_have_gone_is_named(tmp_path):
    places, _ = served(tmp_path, segments=10)
    found = asked(places)
    assert found.exit_code == 4
    assert found.stderr.startswith("The files of films:3 are no longer in /models/3.")
