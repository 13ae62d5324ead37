"""Where a moment lies in the journal: found by arrival, across segments, as far as it is still held."""

from __future__ import annotations

import pytest

from rig.journal import request
from shadowserve.journal import segment_file
from shadowserve.journal.beginning import first_since
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer

SECOND = 10**9


@pytest.fixture
def journal(tmp_path):
    """Twenty requests, one a second from second 100 on, over several segments."""
    writer = Writer(tmp_path, worker=2, segment_bytes=6_000)
    for n in range(20):
        writer._spare.exception()
        writer.append([request(writer.position(0), arrived_wall_ns=(100 + n) * SECOND)])
    writer.close()
    assert len(segments(tmp_path)) > 3
    return tmp_path


@pytest.mark.parametrize(
    ("second", "first"), [(0, 1), (100, 1), (101, 2), (107, 8), (112, 13), (119, 20)]
)
def test_a_moment_is_found_by_arrival(journal, second, first):
    assert first_since(journal, 2, arrived_wall_ns=second * SECOND) == first
    if second > 100:  # just after the one before it
        assert first_since(journal, 2, arrived_wall_ns=second * SECOND - 1) == first


def test_nothing_is_as_young_as_the_future(journal):
    assert first_since(journal, 2, arrived_wall_ns=120 * SECOND) is None


def test_what_is_deleted_cannot_be_begun_with(journal):
    segment_file.remove(segments(journal)[0])
    begin = first_since(journal, 2, arrived_wall_ns=0)
    assert begin is not None
    assert begin > 1
    assert first_since(journal, 2, arrived_wall_ns=100 * SECOND) == begin


def test_of_a_worker_that_wrote_nothing_there_is_nothing(journal):
    assert first_since(journal, 0, arrived_wall_ns=0) is None
