"""Files that a command leaves: whole or not there, with the rights that the user's files have."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from rig.disk import small_disk
from shadowserve.cli.writing import write
from shadowserve.errors import SettingsError, UnreachableError


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_has_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write(str(tmp_path / "new"), "täxt\n")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_text(encoding="utf-8") == "täxt\n"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert names(tmp_path) == ["new"]


def test_one_that_was_there_is_replaced_and_keeps_its_rights(tmp_path):
    old = tmp_path / "old"
    old.write_text("a much longer text than the next one")
    old.chmod(0o604)
    inode = old.stat().st_ino
    write(str(old), "short")
    assert old.read_text() == "short"
    assert stat.S_IMODE(old.stat().st_mode) == 0o604
    assert old.stat().st_ino != inode  # whoever reads the old one reads it to its end


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write(str(tmp_path / "link"), "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(str(pipe), "text")
    reader.join(30)
    assert read == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_name_as_long_as_names_may_be(tmp_path):
    write(str(tmp_path / ("ä" * 127)), "text")
    assert names(tmp_path) == ["ä" * 127]


def test_a_directory_or_one_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match="is a directory"):
        write(str(tmp_path), "text")
    with pytest.raises(SettingsError, match="there is no directory"):
        write(str(tmp_path / "no" / "such"), "text")


def test_on_a_full_disk_what_was_there_stays_and_nothing_is_left_beside_it(tmp_path):
    with small_disk(tmp_path / "disk", mib=1) as disk:
        if disk is None:
            pytest.skip("this user may mount no disk")
        target = disk.path / "report"
        target.write_text("old")
        disk.fill()
        with pytest.raises(UnreachableError, match="No space left"):
            write(str(target), "x" * 100_000)
        disk.empty()
        assert target.read_text() == "old"
        assert names(disk.path) == ["report"]


def test_minus_is_stdout(capsys):
    write("-", "text\n")
    assert capsys.readouterr().out == "text\n"
