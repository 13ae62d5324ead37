"""What follows upon a deployment: who is scored on, what it remembers, and what is drawn anew."""

from __future__ import annotations

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.scoring import version
from shadowserve.state.joining import joined
from shadowserve.state.places import Places
from shadowserve.supervisor.succession import MOST_FORMER, promoted, succeeding


@pytest.fixture(autouse=True)
def directory(tmp_path):
    return made(tmp_path, CHALLENGER, CONTROL)


def followed(tmp_path, present, number: int, *, keep_former: bool = False):
    places = Places(tmp_path)
    files = {number: f"/files/{number}"}
    return promoted(
        places, present, version(number), files=files, keep_former=keep_former, salt="new"
    )


def numbers(found) -> list[int]:
    return [one.number for one in found.challengers]


@pytest.mark.parametrize(("keep", "expected"), [(False, []), (True, [3])])
def test_a_promoted_challenger_leaves_its_place_to_the_former_champion_if_asked(
    tmp_path, keep, expected
):
    present = deployment()
    found = followed(tmp_path, present, 4, keep_former=keep)
    assert (found.champion.number, numbers(found)) == (4, expected)
    assert set(found.files) == {4, *expected}
    assert found.former == (3,)
    assert found.id != present.id
    assert found.salt == "new"
    assert found.options.policy == present.options.policy


def test_who_had_joined_stays_and_begins_anew(tmp_path):
    present = joined(deployment(), version(5), path="/5", at="2026-11-30T00:00:00+00:00")
    found = followed(tmp_path, present, 4, keep_former=True)
    assert numbers(found) == [3, 5]
    assert (found.stays, found.left, found.asked) == ({}, (), None)


def test_the_way_back_remembers_where_it_came_from_and_not_itself(tmp_path):
    there = followed(tmp_path, deployment(), 4, keep_former=True)
    back = followed(tmp_path, there, 3, keep_former=True)
    assert (back.champion.number, numbers(back), back.former) == (3, [4], (4,))


def test_former_ones_are_bounded(tmp_path):
    found = deployment()
    for number in range(10, 10 + 2 * MOST_FORMER):
        found = followed(tmp_path, found, number)
    assert len(succeeding(Places(tmp_path), found, found).former) <= MOST_FORMER
    assert found.former[0] == 10 + 2 * MOST_FORMER - 2
