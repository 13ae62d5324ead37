"""Answers are read as they come in, wherever they are cut."""

from __future__ import annotations

import pytest

from shadowserve.replay.incoming import Incoming


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_answers_in_chunks_are_put_together(size: int) -> None:
    sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1, \r\n2\r\n2]\r\n0\r\n\r\n"
    answer = Incoming()
    whole = [answer.take(sent[at : at + size]) for at in range(0, len(sent), size)]
    assert whole[-1] is True
    assert True not in whole[:-1]
    assert answer.body() == b"[1, 2]"
