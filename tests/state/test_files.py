"""Small files are replaced whole; mapped ones have all their blocks before they are written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shadowserve.state.files import bytes_of, mapped, write_whole


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "lane.json"
    for text in ("a long text", "short"):
        write_whole(path, text)
        assert path.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == ["lane.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_what_does_not_fit_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "lane.json"
    write_whole(path, "old")
    opened = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *rest: (opened(name, *rest), opened("/dev/full", os.O_WRONLY))[1]
    )
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_mapped_file_is_the_owners_has_its_size_and_keeps_what_lies_in_it(tmp_path):
    path = tmp_path / "0.bin"
    for before in (bytes(8), b"abcd" + bytes(4)):
        opened = mapped(path, 8)
        assert opened[:] == before
        opened[:4] = b"abcd"
        opened.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bytes_of(path) == b"abcd" + bytes(4)


def test_a_missing_file_holds_nothing(tmp_path):
    assert bytes_of(tmp_path / "0.bin") == b""


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="a system without fallocate")
def test_where_there_is_no_room_nothing_is_mapped(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        mapped(tmp_path / "0.bin", 8)
