"""The state directory is one's own: no other user writes there, and no planted link is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shadowserve.errors import JournalError
from shadowserve.host.ownership import OWN, refuse_foreign
from shadowserve.records import Role
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places


def test_a_directory_of_ones_own_or_none_yet_is_fine(tmp_path):
    refuse_foreign(tmp_path / "none")
    (tmp_path / "mine").mkdir(mode=0o755)
    refuse_foreign(tmp_path / "mine")
    Places(tmp_path / "made").make()
    refuse_foreign(tmp_path / "made")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722, 0o702])
def test_one_that_others_may_write_is_refused_with_its_mode(tmp_path, mode):
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(JournalError, match=f"{mode:04o}.*chmod go-w"):
        refuse_foreign(state)


def test_a_link_is_refused_wherever_it_leads(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    for target in ("real", "nowhere"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(tmp_path / target)
        with pytest.raises(JournalError, match="symbolic link"):
            refuse_foreign(link)


@pytest.mark.parametrize("name", OWN)
def test_a_planted_directory_inside_is_refused(tmp_path, name):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    (state / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match=f"{name} is a symbolic link"):
        refuse_foreign(state)


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="no directory"):
        refuse_foreign(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 12_345, -1)
    with pytest.raises(JournalError, match="another user"):
        refuse_foreign(state)


def test_all_directories_are_the_owners_alone_whatever_the_umask_and_the_release_before(tmp_path):
    (tmp_path / "state" / "lanes").mkdir(parents=True, mode=0o755)
    before = os.umask(0)
    try:
        places = Places(tmp_path / "state")
        places.make()
        lane = places.lane(Role.CHALLENGER, 4)
        lane.make()
    finally:
        os.umask(before)
    made = [path for path in places.root.rglob("*") if path.is_dir()]
    assert {"lanes", "journal", "challenger-v4", "comparisons"} <= {path.name for path in made}
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in made} == {"0o700"}


def test_a_planted_link_is_not_written_through(tmp_path):
    """Neither at the file's own name nor at the draft's."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "state.json"
    path.symlink_to(victim)
    write_whole(path, "one")
    assert (victim.read_text(), path.read_text()) == ("precious", "one")
    assert not path.is_symlink()


def test_a_draft_that_lies_there_already_is_put_aside(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "state.json"
    planted = []
    real_open = os.open

    def planting(name, flags, mode=0o777, **more):
        if not planted and flags & os.O_CREAT:
            planted.append(name)
            Path(name).symlink_to(victim)
        return real_open(name, flags, mode, **more)

    monkeypatch.setattr(os, "open", planting)
    write_whole(path, "one")
    assert planted
    assert (victim.read_text(), path.read_text()) == ("precious", "one")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["state.json", "victim"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
