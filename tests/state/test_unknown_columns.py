"""Names of unknown columns: few, short and legible, whatever callers send, and told by `status` alone."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.deployment import deployment, made
from shadowserve.state import ledger, unknown_columns
from shadowserve.state.counters import Counters
from shadowserve.state.unknown_columns import MAX_LENGTH, MAX_NAMES, Met, UnknownColumns


def met(path, *requests):
    opened = UnknownColumns(path)
    for names in requests:
        opened.meet(names)
    opened.close()
    return unknown_columns.read([path])


def test_names_are_told_once_in_order_of_appearance(tmp_path):
    assert met(tmp_path / "0", ["b", "a"], ["a", "", "c"]) == Met(("b", "a", "", "c"), more=False)


def test_names_outlive_the_worker_and_the_next_one_goes_on(tmp_path):
    unclosed = UnknownColumns(tmp_path / "0")
    unclosed.meet(["a"])
    assert unknown_columns.read([tmp_path / "0"]).names == ("a",)
    assert met(tmp_path / "0", ["a", "b"]).names == ("a", "b")


def test_all_workers_names_are_told_together(tmp_path):
    met(tmp_path / "0", ["a", "b"])
    met(tmp_path / "1", ["b", "c"])
    paths = [tmp_path / name for name in ("0", "1", "none")]
    assert unknown_columns.read(paths) == Met(("a", "b", "c"), more=False)
    met(tmp_path / "1", [f"x{n}" for n in range(MAX_NAMES - 2)])
    together = unknown_columns.read(paths)
    assert (len(together.names), together.more) == (MAX_NAMES, True)


def test_any_number_of_names_takes_the_same_room(tmp_path):
    """SS-115: what callers make up must not grow memory or disk."""
    opened = UnknownColumns(tmp_path / "0")
    size = (tmp_path / "0").stat().st_size
    for n in range(MAX_NAMES):
        opened.meet([f"{n} {'é🎬' * 500}"])
    assert not unknown_columns.read([tmp_path / "0"]).more
    for n in range(20_000):
        opened.meet([f"new {n}"])
    found = unknown_columns.read([tmp_path / "0"])
    assert len(found.names) == MAX_NAMES
    assert all(len(name) == MAX_LENGTH and name.endswith("…") for name in found.names)
    assert found.more
    assert len(opened._names) == MAX_NAMES
    assert (tmp_path / "0").stat().st_size == size < 32_768
    assert met(tmp_path / "0", ["one more"]) == found


def test_a_very_wide_request_costs_little_and_says_that_there_is_more(tmp_path):
    found = met(tmp_path / "0", ["same"] * 5_000, ["later"])
    assert found == Met(("same", "later"), more=True)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a\x1b[31mb\n", "a\ufffd[31mb\ufffd"),
        ("\u202etxt", "\ufffdtxt"),
        ("\ud800", "\ufffd"),
        ("é 🎬", "é 🎬"),
        ("x" * 101, "x" * 99 + "…"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_told(tmp_path, name, told):
    assert met(tmp_path / "0", [name]).names == (told,)


@given(st.lists(st.text(max_size=120), max_size=80))
def test_whatever_is_met_is_readable_again(tmp_path_factory, names):
    found = met(tmp_path_factory.mktemp("names") / "0", names)
    assert len(set(found.names)) == len(found.names) <= MAX_NAMES
    assert all(name.isprintable() and len(name) <= MAX_LENGTH for name in found.names)
    columns = [name for name in names if not name.startswith("params.")]
    assert bool(found.names) == bool(columns)


def test_unknown_parameters_are_no_columns(tmp_path):
    assert met(tmp_path / "0", ["params.tempo"]) == Met()


def test_only_the_owner_may_read(tmp_path):
    met(tmp_path / "0", ["a"])
    assert stat.S_IMODE((tmp_path / "0").stat().st_mode) == 0o600


def test_without_room_for_the_file_a_worker_goes_on(tmp_path, caplog):
    opened = UnknownColumns(tmp_path / "no" / "such" / "directory")
    opened.meet(["secret"])
    opened.close()
    assert "not kept" in caplog.text
    assert "secret" not in caplog.text


def test_the_status_tells_names_and_the_reports_ledger_does_not(tmp_path):
    places = made(tmp_path)
    counted = Counters(places.counters(0))
    counted.add("extra_columns", 3)
    counted.close()
    met(places.unknown_columns(0), ["tenure"])
    found = ledger.read(places, deployment())
    assert found.to_status()["extra_columns"] == {"count": 3, "names": ["tenure"], "more": False}
    more = {
        "extra_columns": 0,
        "cost_to_callers": [],
        "lane_time": [],
        "batching": [],
        "evidence": {},
        "served": True,
        "switch": None,
        "isolated": [],
        "lane_numbers": {},
        "lanes_stand_still": False,
        "handover": None,
    }
    assert found.to_status() | more == found.to_dict() | more
    assert "tenure" not in str(found.to_dict())
