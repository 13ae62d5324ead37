"""Refusals by code: counted beyond a death, bounded whatever comes, and complete."""

from __future__ import annotations

import re
from pathlib import Path

import shadowserve
from shadowserve.state import refusal_counts
from shadowserve.state.counters import Counters
from shadowserve.state.refusal_counts import CODES, OTHER, RefusalCounts

SOURCES = Path(shadowserve.__file__).parent
ROOMS = ("wire", "schema", "http", "serving", "supervisor")


def test_counts_outlive_their_worker_and_add_up(tmp_path):
    paths = [tmp_path / f"{worker}.codes" for worker in range(2)]
    for path in (*paths, paths[0]):
        counts = RefusalCounts(path)
        counts.add("bad_json")
        counts.close()
    found = refusal_counts.read([*paths, tmp_path / "never.codes"])
    assert found["bad_json"] == 3
    assert sum(found.values()) == 3


def test_a_code_that_nobody_knows_is_one_of_the_others(tmp_path):
    path = tmp_path / "0.codes"
    counts = RefusalCounts(path)
    for code in ("made_up", "", "bad json\n"):
        counts.add(code)
    found = refusal_counts.read([path])
    assert found[OTHER] == 3
    assert tuple(found) == CODES


def test_half_a_file_counts_nothing(tmp_path):
    (tmp_path / "0.codes").write_bytes(b"\1" * 100)
    assert sum(refusal_counts.read([tmp_path / "0.codes"]).values()) == 0


def test_a_worker_without_room_for_them_goes_on(tmp_path):
    (tmp_path / "0.codes").mkdir()  # cannot be mapped, as on a full disk
    counters = Counters(tmp_path / "0.bin")
    counters.refuse("bad_json")
    counters.add("rejected")
    assert counters.counts().rejected == 1
    counters.close()


def test_every_code_that_a_caller_can_get_has_a_cell():
    told = set()
    for room in ROOMS:
        for path in (SOURCES / room).rglob("*.py"):
            told |= set(re.findall(r'\bcode(?:: str)? ?= ?"(\w+)"', path.read_text()))
    assert len(told) > 25
    assert told - set(CODES) == set()
    assert len(set(CODES)) == len(CODES)
