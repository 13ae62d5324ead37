"""A log has a size, and who writes it goes on."""

from __future__ import annotations

import os
import stat

from shadowserve.supervisor import logs


def test_a_log_that_has_grown_is_begun_anew_with_the_one_before_beside_it(tmp_path):
    log = tmp_path / "champion-0.log"
    writer = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for turn in range(5):
        for _ in range(10):
            os.write(writer, b"%d. what it says\n" % turn)
        logs.bound(tmp_path, most=100)
    os.write(writer, b"and goes on\n")
    logs.bound(tmp_path, most=100)
    os.close(writer)
    assert log.read_text() == "and goes on\n"
    earlier = tmp_path / "champion-0.log.1"
    assert earlier.read_text() == "4. what it says\n" * 10
    assert stat.S_IMODE(earlier.stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def test_without_room_for_the_one_before_it_is_emptied_all_the_same(tmp_path):
    log = tmp_path / "console.log"
    log.write_bytes(b"x" * 200)
    (tmp_path / "console.log.1").mkdir()
    logs.bound(tmp_path, most=100)
    assert log.read_bytes() == b""
