"""What lanes have committed, read again and again: as if it were read for the first time each time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, records, work
from rig.scoring import double, opaque
from shadowserve.comparison.bursts import BurstRecord
from shadowserve.errors import StateError
from shadowserve.judgement.lanes import Lanes
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.places import Places


@pytest.fixture
def places(tmp_path) -> Places:
    places = made(tmp_path, CHALLENGER, CONTROL)
    come(places, 30)
    return places


def come(places: Places, n: int, *, first: int = 0) -> None:
    """Let requests come, and both lanes score them."""
    answer(places, records(first + n)[first:])
    for name, version in ((CHALLENGER, 4), (CONTROL, 3)):
        work(places, opaque(double, number=version), name=name)


def own(places: Places) -> Path:
    return places.lane(CHALLENGER.role, CHALLENGER.version).state


def control(places: Places) -> Path:
    return places.lane(CONTROL.role, CONTROL.version).state


def again(lanes: Lanes, places: Places):
    """Read with what is remembered, which must be what a first reading says."""
    remembered = lanes.read(own(places), control(places))
    fresh = Lanes().read(own(places), control(places))
    assert remembered.pairs == fresh.pairs
    assert remembered.windows == fresh.windows
    for name in ("learned", "control"):
        assert getattr(remembered, name).state() == getattr(fresh, name).state()
    return remembered


def test_what_has_not_changed_is_not_decoded_again(places, monkeypatch):
    lanes = Lanes()
    first = again(lanes, places)
    decoded: list[bytes] = []
    monkeypatch.setattr(BurstRecord, "decode", decoded.append)
    second = lanes.read(own(places), control(places))
    assert decoded == []
    assert second.learned is first.learned
    assert second.pairs == first.pairs != ()


def test_what_has_come_since_is_read_as_well(places):
    lanes = Lanes()
    before = len(again(lanes, places).pairs)
    come(places, 400, first=30)
    assert len(again(lanes, places).pairs) > before


def test_what_has_made_room_is_forgotten(places):
    lanes = Lanes()
    first = again(lanes, places).pairs
    with closing(sqlite3.connect(own(places))) as file, file:
        file.execute("DELETE FROM burst WHERE position <= 5")
    assert len(again(lanes, places).pairs) == len(first) - 5


def test_a_file_that_began_anew_with_the_same_positions_is_read_anew(places):
    """Same requests, other times: nothing of the file before may stay."""
    lanes = Lanes()
    before = again(lanes, places)
    with closing(sqlite3.connect(own(places))) as file, file:
        for place, record in file.execute("SELECT position, record FROM burst").fetchall():
            other = replace(BurstRecord.decode(record), server_ms=7.5).encode()
            file.execute("UPDATE burst SET record = ? WHERE position = ?", (other, place))
    assert 7.5 not in {one.server_ms for one in before.pairs}
    assert {one.server_ms for one in again(lanes, places).pairs} == {7.5}


def test_a_file_that_is_gone_leaves_nothing_behind(places):
    lanes = Lanes()
    again(lanes, places)
    for file in own(places).parent.glob("state.db*"):
        file.unlink()
    found = lanes.read(own(places), control(places))
    assert found.learned is None
    assert found.pairs == ()


def test_what_cannot_be_read_is_told_of_each_time(places):
    """Told once alone, it would be a lane that has committed nothing, or what it had known before."""
    lanes = Lanes()
    with closing(sqlite3.connect(own(places))) as file, file:
        file.execute("DELETE FROM summary WHERE name = 'outputs'")
    for _ in range(2):
        with pytest.raises(StateError, match="another release"):
            lanes.read(own(places), control(places))


def test_without_a_control_nothing_is_paired(places):
    found = Lanes().read(own(places), None)
    assert found.control is None
    assert found.pairs == ()


def test_pairs_without_times_of_arrival_are_in_the_order_of_positions(tmp_path):
    """An earlier release kept none, and a set has no order."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    for file in (own(places), control(places)):
        state = LaneState(file)
        record = BurstRecord(1.0, (), None).encode()
        state.commit(Progress(bursts=[(place, 0, place, record) for place in (9, 3, 300, 17)]))
        state.close()
    found = Lanes().read(own(places), control(places))
    assert [one.position for one in found.pairs] == [3, 9, 17, 300]
