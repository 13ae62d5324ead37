"""What came while the team had paused is skipped, whenever a lane gets to read it."""

from __future__ import annotations

import pytest

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, records, told, work
from shadowserve.state import pauses
from shadowserve.state.pauses import Pauses


@pytest.fixture
def places(tmp_path):
    return made(tmp_path, CHALLENGER, CONTROL)


def test_a_pause_that_is_over_before_the_lane_has_loaded_is_kept(places):
    answer(places, records(3))
    pauses.begin(places)
    answer(places, records(4))
    pauses.end(places)
    answer(places, records(2))
    work(places)  # only now is the lane there
    assert told(places) == {"both_ok": 5, "skipped_paused": 4}


def test_while_a_pause_lasts_everything_that_is_read_is_skipped(places):
    answer(places, records(3))
    pauses.begin(places)
    answer(places, records(2))
    work(places)
    assert told(places) == {"skipped_paused": 5}


def test_several_pauses_are_remembered_and_a_second_wish_prolongs_none(places):
    for _ in range(3):
        pauses.begin(places)
        pauses.begin(places)
        pauses.end(places)
        pauses.end(places)
    found = Pauses(places).over()
    assert len(found) == 3
    assert all(a <= b for a, b in found)
    assert found == sorted(found)
    assert not Pauses(places).lasting


def test_a_file_that_is_damaged_pauses_nothing(places):
    places.pauses.write_bytes(b"\xff 3\n1\n5 x\n7 9\n")
    assert Pauses(places).over() == []
    places.pauses.write_text("1\n5 x\n7 9\n")
    assert Pauses(places).over() == [(7, 9)]
    assert not Pauses(places).cover(6)
    assert Pauses(places).cover(8)


def test_they_stay_few(places):
    places.pauses.write_text("\n".join(f"{n} {n}" for n in range(5_000)))
    pauses.begin(places)
    pauses.end(places)
    assert len(Pauses(places).over()) == pauses.KEPT
