"""One, two and four processes find the same: outcomes, labels and structure, and numbers to the bit."""

from __future__ import annotations

import pytest

from rig.equality import CASES, likeness, record, scheduled


@pytest.mark.parametrize(
    ("name", "fixed"),
    [("dense ridge", True), ("dense ridge", False), ("films", False)],
    ids=["fixed calls-dense ridge", "free calls-dense ridge", "free calls-films"],
)
def test_a_lane_finds_the_same_with_one_two_and_four_processes(tmp_path, name, fixed):
    case = CASES[name](150)
    with scheduled(calls=fixed):
        found = {n: record(case, tmp_path / str(n), processes=n) for n in (1, 2, 4)}
    assert found[1]["alone"].mean() < 0.5
    for n in (2, 4):
        seen = likeness(found[n], found[1])
        assert seen.unlike == ()
        if fixed:
            assert seen.bits == seen.rows


def test_what_differs_is_seen(tmp_path):
    """A battery that finds everything equal would hold nothing."""
    case = CASES["dense ridge"](60)
    with scheduled(calls=True):
        one = record(case, tmp_path, processes=1)
    other = one.copy()
    other.loc[3, "outcome"] = "crashed"
    other.loc[4, "lane_prediction"] = "[1.5]"
    assert likeness(other, one).unlike == ("outcome", "lane_prediction")
    near = one.copy()
    value = float(near.loc[5, "lane_prediction"].strip("[]"))
    near.loc[5, "lane_prediction"] = f"[{value * (1 + 1e-12)!r}]"
    seen = likeness(near, one)
    assert seen.unlike == ()
    assert seen.bits == seen.rows - 1
