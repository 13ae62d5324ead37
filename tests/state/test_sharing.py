"""Whether callers' requests may share a call: decided at load, begun and ended by one shared byte."""

from __future__ import annotations

import dataclasses

import pytest

from shadowserve.records import Role
from shadowserve.state import batching, sharing
from shadowserve.state.places import Places
from shadowserve.state.sharing import EARNED, STOPPED, UNDECIDED, Mark, Sharing, Shown

CODE = "its code (mlflow.pyfunc.model)"


@pytest.mark.parametrize(
    ("mode", "unknown", "undecided", "earned"),
    [
        ("auto", None, 64, 64),
        ("auto", CODE, 0, 0),
        ("earned", None, 64, 64),
        ("earned", CODE, 0, 64),
        ("on", CODE, 64, 64),
        ("off", None, 0, 0),
        ("off", CODE, 0, 0),
    ],
)
def test_what_may_share_a_call_by_mode_structure_and_mark(mode, unknown, undecided, earned):
    """After a stop nothing may, whoever asked for it."""
    assert Sharing(mode, unknown=unknown).rows(64) == (undecided, earned, 0)


@pytest.mark.parametrize("changes", [{"able": False}, {"differs": True}])
@pytest.mark.parametrize("mode", ["auto", "earned", "on"])
def test_what_cannot_be_laid_end_to_end_or_was_seen_to_differ_is_never_batched(mode, changes):
    assert Sharing(mode, **changes).rows(64) == (0, 0, 0)


def test_a_mark_is_seen_at_once_by_all_who_have_mapped_it(tmp_path):
    lane, worker = Mark(tmp_path / "sharing" / "mark.bin"), Mark(tmp_path / "sharing" / "mark.bin")
    assert worker.cell[0] == UNDECIDED
    lane.earn()
    assert worker.cell[0] == EARNED
    lane.doubt()
    assert worker.cell[0] == UNDECIDED
    lane.stop()
    assert worker.cell[0] == STOPPED
    worker.close()
    lane.earn()
    lane.close()
    assert Mark(tmp_path / "sharing" / "mark.bin").value == STOPPED


def test_what_another_release_marked_is_undecided(tmp_path):
    (tmp_path / "mark.bin").write_bytes(b"\x09")
    mark = Mark(tmp_path / "mark.bin")
    assert mark.value == UNDECIDED
    assert mark.cell[0] == UNDECIDED


def test_what_was_shown_is_remembered_and_a_damaged_memory_is_none(tmp_path):
    path = tmp_path / "sharing" / "shown.json"
    shown = Shown(rows=12_400, alone_ns=60, company_ns=10)
    sharing.remember(path, shown)
    assert sharing.remembered(path) == shown
    assert shown.story() == "12,400 real rows alike in company; about 6.0 times the throughput"
    path.write_text('{"rows": 3, "of another release": 1}')
    assert sharing.remembered(path) == Shown(rows=3)
    path.write_text("[")
    assert sharing.remembered(path) == Shown()


@pytest.mark.parametrize(
    ("decided", "shown", "marked", "says"),
    [
        (Sharing(), Shown(), UNDECIDED, "in batches: by its structure"),
        (Sharing(unknown=CODE), Shown(rows=50), UNDECIDED, "row by row: its code (mlflow.pyfunc.model) may look"),
        (Sharing(unknown=CODE), Shown(rows=50), UNDECIDED, "50 real rows alike in company (--batch earned)"),
        (Sharing("earned", unknown=CODE), Shown(rows=50), UNDECIDED, "to be earned by 1,000 real rows: 50 real"),
        (Sharing("earned", unknown=CODE), Shown(rows=1000, earned="noon"), EARNED, "in batches since noon, earned"),
        (Sharing("on", unknown=CODE), Shown(), UNDECIDED, "as --batch on says"),
        (Sharing("on", unknown=CODE), Shown(dependent=1, stopped="noon"), STOPPED, "row by row: 1 real rows depend"),
        (Sharing("off"), Shown(), UNDECIDED, "row by row, as --batch off says"),
    ],
)  # fmt: skip
def test_what_holds_is_said_with_its_reason(decided, shown, marked, says):
    told = batching.Batching("champion", 3, decided, shown, marked)
    assert says in str(told)
    assert told.to_dict()["shared"] == (not str(told).startswith("row by row"))


def test_what_was_decided_is_told_to_those_who_load_nothing(tmp_path):
    places = Places(tmp_path)
    places.make()
    known = {"digest": "ab" * 32, "method": "predict"}
    assert batching.batching(places, Role.CHAMPION, 3, **known) is None
    decided = Sharing("earned", unknown=CODE, tries=2, warmed=(64, 32))
    sharing.tell(places.sharing(Role.CHAMPION, 3), decided)
    Mark(places.mark(**known)).earn()
    found = batching.batching(places, Role.CHAMPION, 3, **known)
    assert dataclasses.replace(found.decided) == decided
    assert found.shared
    assert found.to_dict()["calls_at_start"] == 4
