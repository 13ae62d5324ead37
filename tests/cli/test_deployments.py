"""What was served from a directory is listed, and each of it can still be read."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from rig.deployment import deployment
from rig.judging import shadowed
from rig.scoring import double, opaque, version
from shadowserve.cli import main
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places
from shadowserve.state.shelves import find

NEW = "films-20260102T000000Z-def"


@pytest.fixture(scope="module")
def archived(tmp_path_factory):
    """The state directory of a deployment that came after another one."""
    root = tmp_path_factory.mktemp("served")
    places, first = shadowed(root, opaque(lambda f, p: 3 * double(f, p)))
    deployments.write(places, first)
    deployments.archive(places, first)
    later = {"id": NEW, "champion": version(4), "challengers": (version(5),), "control": False}
    deployments.write(places, deployment(**later, started="2026-01-02T00:00:00+00:00"))
    places.make()
    return places, first.id


def run(places, *words):
    return CliRunner().invoke(main, [*words, "--state-dir", str(places.root)])


def test_the_present_one_comes_first_and_then_what_is_archived(archived):
    places, old = archived
    told = json.loads(run(places, "deployments", "--json").stdout)
    assert [(one["deployment"], one["state"]) for one in told] == [
        (NEW, "stopped"),
        (old, "archived"),
    ]
    assert told[1]["requests"] == {"v4": 420}
    assert told[0]["until"] is None
    assert told[1]["until"] > told[1]["started"]
    table = run(places, "deployments").stdout
    assert old in table
    assert "v4: 420" in table


def test_an_archived_one_is_read_like_the_present_one(archived):
    places, old = archived
    report = json.loads(run(places, "report", "--deployment", old, "--json").stdout)
    assert (report["deployment"], report["champion"], report["challenger"]) == (old, 3, 4)
    assert report["compared"] == 420
    assert run(places, "verdict", "--deployment", old).exit_code == 3
    assert "prediction_divergence" in run(places, "findings", "--deployment", old).stdout
    status = json.loads(run(places, "status", "--deployment", old, "--json").stdout)
    assert (status["deployment"], status["served"]) == (old, False)
    assert (
        json.loads(run(places, "report", "--deployment", NEW, "--json").stdout)["challenger"] == 5
    )


@pytest.mark.parametrize("wrong", ["films", "../archive", "", "/etc"])
def test_one_that_is_not_there_is_told_with_what_to_do(archived, wrong):
    told = run(archived[0], "report", "--deployment", wrong)
    assert told.exit_code == 4
    assert "'shadowserve deployments' lists those that are kept" in told.stderr


def test_where_nothing_was_served_there_is_nothing_to_list(tmp_path):
    told = run(Places(tmp_path / "none"), "deployments")
    assert (told.exit_code, told.stdout) == (0, "")
    assert "Nothing has been served" in told.stderr
    assert json.loads(run(Places(tmp_path / "none"), "deployments", "--json").stdout) == []


def test_one_that_is_damaged_is_listed_as_that_and_hides_no_other(archived, tmp_path):
    places = Places(tmp_path / "copy")
    shutil.copytree(archived[0].root, places.root)
    (places.archive / archived[1] / "deployment.json").write_text("{")
    (places.archive / "empty").mkdir()
    told = json.loads(run(places, "deployments", "--json").stdout)
    assert sorted(one["state"] for one in told) == ["stopped", "unreadable", "unreadable"]
    assert find(places, NEW).state == "stopped"
    told = run(places, "report", "--deployment", archived[1])
    assert told.exit_code == 4
    assert "is damaged" in told.stderr
