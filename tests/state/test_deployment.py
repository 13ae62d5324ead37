"""The deployment file: written whole, resumed for the same files, archived for others."""

from __future__ import annotations

import dataclasses
import json
import os
import stat

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.scoring import version
from shadowserve.records import Role
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import Places


def test_a_deployment_is_read_back_as_it_was_written(tmp_path):
    places = made(tmp_path / "state")
    wanted = deployment(options={"method": "predict", "deadline": 10.0, "verdict": {"alpha": 0.1}})
    deployments.write(places, wanted)
    assert deployments.read(places) == wanted
    assert stat.S_IMODE(places.deployment.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("state/.*")] == []


def test_a_state_directory_without_deployment_has_none(tmp_path):
    assert deployments.read(Places(tmp_path)) is None


def test_lanes_are_the_challengers_in_order_then_the_control():
    wanted = deployment(challengers=(version(5), version(4)))
    assert wanted.lanes == (LaneName(Role.CHALLENGER, 5), CHALLENGER, CONTROL)
    assert dataclasses.replace(wanted, control=False).lanes[-1] == CHALLENGER
    assert str(CONTROL) == "control v3"
    assert wanted.model == "films"


def test_a_version_is_found_by_number():
    assert deployment().version(4).number == 4
    assert deployment().version(3).number == 3
    with pytest.raises(LookupError, match="Version 9"):
        deployment().version(9)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"id": "other", "start": "later", "salt": "x", "files": {}}, True),
        ({"tracking_uri": "http://elsewhere"}, True),
        ({"champion": version(2)}, False),
        ({"challengers": (version(4), version(5))}, False),
        ({"challengers": ()}, False),
        ({"control": False}, False),
        ({"challengers": (dataclasses.replace(version(4), digest="f" * 64),)}, False),
        ({"options": {"method": "predict_proba"}}, False),
        ({"options": {"method": "predict", "verdict": {"alpha": 0.1}}}, False),
        ({"options": {"method": "predict", "entity": "user"}}, False),
        ({"options": {"method": "predict", "ignore_outputs": ["id"]}}, False),
        ({"options": {"method": "predict", "sample_rate": 0.5}}, False),
        (
            {"options": {"method": "predict", "sample_rate": 1.0, "verdict": {}, "entity": None}},
            True,
        ),
        ({"options": {"method": "predict", "deadline": 3.0, "challengers_before": 4}}, True),
    ],
)
def test_only_the_same_files_served_alike_resume(changes, same):
    present = deployment(options={"method": "predict"})
    assert present.same_as(deployment(**{"options": present.options, **changes})) is same


def test_ids_are_never_the_same():
    found = {deployments.new_id("films") for _ in range(100)}
    assert len(found) == 100
    assert all(one.startswith("films-2") for one in found)


def test_another_deployment_is_archived_whole(tmp_path):
    """Nothing of it may be taken for the new one's: not even a database's half-written journal."""
    places = made(tmp_path, CHALLENGER)
    present = deployment()
    deployments.write(places, present)
    left = ["journal/0-1.db", "counters/0.bin", "evidence.db", "evidence.db-journal"]
    for name in left:
        (tmp_path / name).write_bytes(b"x")
    (places.models / "digest").mkdir()
    shelf = deployments.archive(places, present)
    assert shelf == tmp_path / "archive" / present.id
    assert all((shelf / name).exists() for name in [*left, "lanes", "deployment.json"])
    assert not any((tmp_path / name).exists() for name in [*left, "lanes", "deployment.json"])
    assert (places.models / "digest").exists()
    assert json.loads((shelf / "deployment.json").read_text())["id"] == present.id


def test_the_archive_is_kept_for_its_time_and_then_deleted_whole(tmp_path):
    """What others left there may be a link to their own files: nothing behind it is touched."""
    places = made(tmp_path / "state", CHALLENGER)
    shelves = []
    for name in ("old", "young"):
        present = deployment(id=name)
        deployments.write(places, present)
        (places.journal / "0-1.db").write_bytes(b"x")
        shelves.append(deployments.archive(places, present))
        places.make()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "state" / "archive" / "link").symlink_to(elsewhere)
    for path in (shelves[0], elsewhere):
        os.utime(path, (1e9, 1e9))
    assert deployments.forget(places, older_than_s=86_400.0) == ["old"]
    assert [shelf.exists() for shelf in shelves] == [False, True]
    assert elsewhere.exists()
    assert deployments.forget(places, older_than_s=86_400.0) == []


def test_what_was_written_by_to_json_is_json():
    assert Deployment.from_json(deployment().to_json()) == deployment()
