"""Which deployment is the present one is told by one small file; what a handover leaves behind is found."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from shadowserve.state import deployment as deployments
from shadowserve.state import homes
from shadowserve.state.counters import Counters
from shadowserve.state.places import HOME_VARIABLE, Places


def prepared(root, stamp: str = "20261130T120000Z-0a1b2c") -> Places:
    return homes.prepare(root, replace(deployment(), id=f"films-{stamp}"))


def answer(places: Places) -> None:
    with closing(Counters(places.counters(0))) as counted:
        counted.journal_step(answered=1, failed=0, appended=1, append_failed=0, sequence=1)


def test_what_is_prepared_is_nothing_until_it_is_committed(tmp_path):
    first = made(tmp_path, CHALLENGER, CONTROL)
    deployments.write(first, deployment())
    second = prepared(tmp_path)
    assert Places(tmp_path).home == tmp_path
    assert list(homes.left_behind(tmp_path)) == [second]
    homes.commit(second)
    assert Places(tmp_path) == Places(tmp_path)
    assert Places(tmp_path).home == second.home
    assert [one.home for one in homes.left_behind(tmp_path)] == [tmp_path]
    third = prepared(tmp_path, "20261130T130000Z-0a1b2c")
    homes.commit(third)
    assert {one.home for one in homes.left_behind(tmp_path)} == {tmp_path, second.home}


def test_own_files_lie_in_its_folder_and_shared_ones_do_not(tmp_path):
    second = prepared(tmp_path)
    own = (second.journal, second.lanes, second.counting, second.labels, second.evidence)
    assert all(path.is_relative_to(second.home) for path in own)
    shared = (second.desk, second.models, second.archive, second.lock, second.paused)
    assert not any(path.is_relative_to(second.home) for path in shared)
    assert second.home.stat().st_mode & 0o077 == 0


def test_a_process_keeps_the_deployment_that_it_was_started_for(tmp_path, monkeypatch):
    second = prepared(tmp_path)
    homes.commit(second)
    monkeypatch.setenv(HOME_VARIABLE, "")
    assert Places.of_process(tmp_path).home == tmp_path
    monkeypatch.setenv(HOME_VARIABLE, second.folder)
    assert Places.of_process(tmp_path).home == second.home


@pytest.mark.parametrize("told", ["../elsewhere", "/etc", "deployments/../x", "deployments/", "\0"])
def test_a_file_that_names_another_place_names_none(tmp_path, told):
    (tmp_path / "present").write_text(told)
    assert Places(tmp_path).home == tmp_path
    with pytest.raises(ValueError, match="no folder"):
        Places(tmp_path, told)


def test_who_has_answered_is_archived_and_who_has_not_is_cleared_away(tmp_path):
    second, third = prepared(tmp_path), prepared(tmp_path, "20261130T130000Z-0a1b2c")
    answer(second)
    shelf = homes.shelve(second)
    assert deployments.read(Places(shelf)).id == "films-20261130T120000Z-0a1b2c"
    assert Places(shelf).counters(0).exists()
    assert homes.shelve(third) is None
    assert list((tmp_path / "deployments").iterdir()) == []


def test_the_first_one_is_archived_from_the_directory_itself(tmp_path):
    first = made(tmp_path, CHALLENGER, CONTROL)
    deployments.write(first, deployment())
    answer(first)
    second = prepared(tmp_path)
    homes.commit(second)
    shelf = homes.shelve(Places(tmp_path, ""))
    assert deployments.read(Places(shelf)) == deployment()
    assert not first.journal.exists()
    assert deployments.read(Places(tmp_path)).id == deployments.read(second).id
    assert list(homes.left_behind(tmp_path)) == []
