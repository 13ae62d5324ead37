"""Versions of two models with one number: each has a lane, files, stays and a name of its own, whoever comes and leaves."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from rig.deployment import deployment, made
from rig.lane import answer, records, work
from rig.scoring import version
from shadowserve.evidence import identity
from shadowserve.promotion.grounds import grounds_of
from shadowserve.records import Role
from shadowserve.report import build
from shadowserve.state import deployment as deployments
from shadowserve.state import joining, ledger
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_numbers import assigned
from shadowserve.state.places import Places
from shadowserve.versions import pins
from shadowserve.versions.pins import Pin

AT = "2026-01-02T00:00:00+00:00"


def of(model: str, number: int):
    return replace(version(number), model=model)


def join(served: Deployment, model: str, number: int) -> Deployment:
    return joining.joined(served, of(model, number), path=f"/{model}/{number}", at=AT)


def served_beside(model: str = "other") -> Deployment:
    """films:3 and films:4, and the other model's 3 and 4."""
    return join(join(deployment(), model, 3), model, 4)


def test_each_has_a_lane_and_files_of_its_own():
    served = served_beside()
    assert served.numbers == (4, 1003, 1004)
    assert len(set(served.lanes)) == 4
    assert served.files == {
        3: "/models/3", 4: "/models/4", 1003: "/other/3", 1004: "/other/4"
    }  # fmt: skip
    assert [str(served.version(n).pin) for n in (3, 4, 1003, 1004)] == [
        "films:3", "films:4", "other:3", "other:4"
    ]  # fmt: skip
    assert served.name_of(1003) == "other:3"
    assert Deployment.from_json(served.to_json()) == served


def test_the_file_of_a_deployment_without_such_versions_says_nothing_of_it():
    assert "lane_numbers" not in join(deployment(), "other", 7).to_json()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("other:3", 1003), ("v1003", 1003), ("4", 4), ("films:4", 4), ("other:4", 1004),
        ("v3", None), ("films:3", None), ("films:1003", None), ("other:1003", None), ("books:4", None),
    ],
)  # fmt: skip
def test_a_person_names_one_by_its_pin_or_by_its_lane(text, number):
    assert served_beside().number_named(pins.parse(text)) == number


def test_whoever_joins_and_leaves_nobody_gets_what_is_anothers():
    """At any moment each version has one number, that never changes, and no two have the same."""
    chance = random.Random(1)
    models, seen = ("films", "other", "third"), {}
    for _ in range(30):
        served, there = deployment(), {("films", 4)}
        for _ in range(25):
            one = (chance.choice(models), chance.randint(3, 6))
            if one in there and len(there) > 1:
                pin = Pin(*one)
                number = served.number_named(pins.parse(str(pin)))
                served = joining.without(Places(Path("/nowhere")), served, number, at=AT)
                there.discard(one)
            elif one not in there and one != ("films", 3):
                served = join(served, *one)
                there.add(one)
            numbers = {str(v.pin): served.number_of(v) for v in served.challengers}
            assert len({3, *numbers.values()}) == len(numbers) + 1
            assert len(set(served.lanes)) == len(served.lanes)
            assert len({*served.lanes, *served.left_lanes}) == len(served.lanes) + len(served.left)
            for name in served.lanes[:-1]:
                assert (
                    served.files[name.version]
                    == served.files[served.number_of(served.version_of(name))]
                )
            for pin, number in numbers.items():
                assert seen.setdefault((served.id, pin), number) == number
            assert Deployment.from_json(served.to_json()) == served
        seen.clear()


def test_a_later_start_gives_the_same_numbers():
    served = served_beside()
    again = assigned(served.champion.pin, [one.pin for one in served.challengers])
    assert again == served.lane_numbers
    left = joining.without(Places(Path("/nowhere")), served, 4, at=AT)
    came = [*(one.version.pin for one in left.left), *(one.pin for one in left.challengers)]
    assert assigned(left.champion.pin, came, known=left.lane_numbers) == served.lane_numbers


def test_its_run_is_named_by_its_pin_and_an_ordinary_ones_as_ever():
    served = served_beside()
    names = [identity.run_name(served, lane) for lane in served.lanes]
    assert names == ["v3 vs v4", "v3 vs other:3", "v3 vs other:4", "v3 vs v3 control"]
    lane = LaneName(Role.CHALLENGER, 1003)
    assert identity.params(served, lane)["challenger"] == "other:3"
    assert identity.tags(served, lane)["shadowserve.challenger.version"] == "3"


def test_ledger_and_report_count_each_by_itself(tmp_path):
    served = served_beside()
    places = made(tmp_path, *served.lanes)
    deployments.write(places, served)
    answer(places, records(10))
    work(places, name=LaneName(Role.CHALLENGER, 4))
    work(places, name=LaneName(Role.CHALLENGER, 1003))
    answer(places, records(5))
    known = ledger.read(places, served)
    assert known.balanced
    assert [one.pending for one in known.lanes[:3]] == [5, 5, 15]
    assert known.to_status()["lane_numbers"] == {"other:3": 1003, "other:4": 1004}
    report = build.build(places, served, challenger=build.number_of(served, "other:3"))
    told = ("challenger", "challenger_model", "challenger_version")
    assert [report[name] for name in told] == [1003, "other", 3]


def test_a_promotion_rests_on_the_pair_that_it_names(tmp_path):
    """films:4 came after other:4, whose lane has its number."""
    served = join(join(deployment(challengers=(version(5),)), "other", 4), "films", 4)
    assert served.lane_numbers == {"films:4": 1004}
    places = made(tmp_path, *served.lanes)
    deployments.write(places, served)
    grounds = grounds_of(
        places, Pin("films", 4), alias="champion", stands_for=3, known={}, max_age_s=1e9
    )
    assert grounds.report["challenger"] == 1004
