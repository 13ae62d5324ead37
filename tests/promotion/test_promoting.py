"""The alias moves on the grounds of a verdict, or for a reason that is given, and everybody can see who moved it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shadowserve.comparison.milestones import Milestones
from shadowserve.errors import PromotionError, RegistryError, ShadowserveError, UnreachableError
from shadowserve.promotion import grounds, moving
from shadowserve.promotion.promoting import Wanted, promote, roll_back
from shadowserve.report import build
from shadowserve.state import deployment as deployments
from shadowserve.state import switches
from shadowserve.state.switches import TAG, Switch
from shadowserve.versions import pins
from shadowserve.versions.calls import Calls

ANN, BOB = Wanted("champion", "ann@shop"), Wanted("champion", "bob@far")


def asked(here, version, wanted=ANN, **changes):
    registry = here.registry
    pin = registry.resolve(pins.parse(version), "films")
    return promote(registry, pin, here.places, replace(wanted, **changes))


def back(here, wanted=BOB, **changes):
    return roll_back(here.registry, "films", here.places, replace(wanted, **changes))


def codes(done):
    return sorted(one.code for one in done.objections)


def rewritten(here, **changes):
    served = deployments.read(here.places)
    deployments.write(here.places, replace(served, **changes))


def aged(here, seconds):
    """Let all that the lane has met have come so much earlier."""
    with closing(sqlite3.connect(_state(here))) as lane, lane:
        (told,) = lane.execute("SELECT state FROM summary WHERE name = 'milestones'").fetchone()
        met = Milestones.from_state(json.loads(told))
        met._latest -= int(seconds * 1e9)
        for own in met._notes.values():
            own[:] = [(at, number, when - int(seconds * 1e9)) for at, number, when in own]
        sql = "UPDATE summary SET state = ? WHERE name = 'milestones'"
        lane.execute(sql, (json.dumps(met.state()).encode(),))


def _state(here):
    return here.places.root / "lanes" / "challenger-v4" / "state.db"


def test_a_version_that_has_earned_it_gets_the_alias_and_both_say_who_when_and_why(here):
    before = datetime.now(UTC) - timedelta(seconds=1)
    done = asked(here, "v4")
    assert (done.objections, done.stands_for, here.champion()) == ((), 4, 4)
    for number, word, other in ((4, "promoted", "3"), (3, "replaced", "4")):
        tags = here.tags(number)
        assert (tags[TAG], tags[f"{TAG}.other"]) == (word, other)
        assert tags[f"{TAG}.by"] == "ann@shop"
        assert tags[f"{TAG}.verdict"] == "promote"
        assert tags[f"{TAG}.reason"] == "verdict promote on 420 compared requests"
        assert tags[f"{TAG}.deployment"] == deployments.read(here.places).id
        assert tags[f"{TAG}.overruled"] == "none"
        assert before <= datetime.fromisoformat(tags[f"{TAG}.at"]) <= datetime.now(UTC)
    assert here.names() == ["films"]


def test_the_report_tells_of_it(here):
    asked(here, "v4")
    report = build.build(here.places, deployments.read(here.places), challenger=4)
    assert report["switch"]["successor"] == 4
    assert report["notes"][-1].startswith(
        "v4 was promoted to @champion, in v3's place, by ann@shop"
    )


def test_promoting_what_is_the_champion_already_does_nothing(here):
    asked(here, "v4")
    tags = here.tags(4)
    again = asked(here, "v4", BOB)
    assert (again.switch, again.stands_for, again.objections) == (None, 4, ())
    assert here.tags(4) == tags


def test_a_rollback_is_the_way_back_and_is_gone_once_only(here):
    asked(here, "v4")
    done = back(here, reason="conversions fell")
    assert (done.stands_for, here.champion()) == (3, 3)
    assert (here.tags(3)[TAG], here.tags(4)[TAG]) == ("restored", "rolled back")
    assert here.tags(4)[f"{TAG}.reason"] == "conversions fell"
    with pytest.raises(PromotionError, match=r"since bob@far rolled back from v4.*further back"):
        back(here)
    assert here.champion() == 3


def test_there_is_no_way_back_from_what_was_not_promoted(here):
    with pytest.raises(PromotionError, match="did not put in another's place"):
        back(here)
    here.client.delete_registered_model_alias("films", "champion")
    with pytest.raises(RegistryError, match="no alias @champion, so nothing is to be rolled back"):
        back(here)


def test_there_is_no_way_back_to_a_version_that_is_not_the_one_replaced(here):
    asked(here, "v4")
    here.client.delete_model_version_tag("films", "3", TAG)
    with pytest.raises(PromotionError, match="registered anew, or its tags were changed"):
        back(here)
    here.client.delete_model_version("films", "3")
    with pytest.raises(RegistryError, match="has no version 3"):
        back(here)
    assert here.champion() == 4


def test_a_version_that_nobody_compared_needs_force(here):
    done = asked(here, "v5")
    assert (done.switch, codes(done), here.champion()) == (None, ["pair"], 3)
    forced = asked(here, "v5", force="the shop asked for it")
    assert here.champion() == forced.stands_for == 5
    tags = here.tags(5)
    assert (tags[f"{TAG}.reason"], tags[f"{TAG}.overruled"]) == ("the shop asked for it", "pair")


def test_a_verdict_of_too_few_requests_is_none(here):
    served = deployments.read(here.places)
    strict = {**served.options.verdict, "min_requests": 1_000}
    rewritten(here, options=replace(served.options, verdict=strict))
    done = asked(here, "v4")
    assert codes(done) == ["coverage", "verdict"]
    assert "420 of 1,000 requests compared" in " ".join(one.says for one in done.objections)
    assert here.champion() == 3


def test_a_verdict_on_old_traffic_is_stale_however_late_it_is_asked(here):
    aged(here, 8 * 86_400)
    done = asked(here, "v4")
    assert codes(done) == ["age"]
    assert "8.0 days ago" in done.objections[0].says
    assert here.champion() == 3
    assert asked(here, "v4", max_age_s=9 * 86_400.0).stands_for == 4


def test_traffic_of_tomorrow_is_told_as_a_wrong_clock(here):
    aged(here, -86_400)
    done = asked(here, "v4")
    assert codes(done) == ["age"]
    assert "lies ahead" in done.objections[0].says


def test_files_that_are_not_those_compared_are_told(here):
    served = deployments.read(here.places)
    other = replace(served.challengers[0], digest="0" * 64)
    rewritten(here, challengers=(other,))
    done = asked(here, "v4")
    assert codes(done) == ["digest"]
    assert (
        "films:4 is not what was compared: files' digest 0000000000000000000 then"
        in done.objections[0].says
    )


def test_a_champion_that_is_not_the_one_compared_is_told(here):
    served = deployments.read(here.places)
    rewritten(here, champion=replace(served.champion, created="2020-01-01T00:00:00+00:00"))
    done = asked(here, "v4")
    assert codes(done) == ["digest"]
    assert (
        "films:3 is not what was compared: registered at 2020-01-01T00:00:00 then"
        in done.objections[0].says
    )


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"isolate": ("films:4",)}, "isolated", "runs with the server's libraries"),
        ({"adapt_output": ("forms:euros",)}, "adapted", "as the model gives them"),
        ({"adapt_output": ("4=forms:euros",)}, "adapted", "compared as forms:euros puts"),
    ],
)
def test_a_version_that_was_compared_otherwise_than_a_champion_runs_needs_force(
    here, change, code, says
):
    served = deployments.read(here.places)
    rewritten(here, options=replace(served.options, **change))
    done = asked(here, "v4")
    assert codes(done) == [code]
    assert says in done.objections[0].says
    assert here.champion() == 3


@pytest.mark.parametrize(
    "change", [{"isolate": ("films:7",)}, {"adapt_output": ("7=forms:euros",)}]
)
def test_what_was_done_with_another_challenger_says_nothing_against_it(here, change):
    served = deployments.read(here.places)
    rewritten(here, options=replace(served.options, **change))
    assert codes(asked(here, "v4")) == []


def test_an_alias_that_was_moved_since_is_told(here):
    here.client.set_registered_model_alias("films", "champion", "2")
    done = asked(here, "v4")
    assert codes(done) == ["registry"]
    assert "@champion stands for v2, and the verdict is about v3" in done.objections[0].says
    assert here.champion() == 2


def test_a_missing_alias_is_told_with_how_to_set_it_and_can_be_set_with_force(here):
    here.client.delete_registered_model_alias("films", "champion")
    done = asked(here, "v4")
    assert codes(done) == ["alias"]
    assert "promote v3 --force" in done.objections[0].says
    assert here.champion() is None
    first = asked(here, "v3", force="is served")
    assert (first.switch.former, here.champion()) == (None, 3)
    with pytest.raises(PromotionError, match="did not put in another's place"):
        back(here)
    assert asked(here, "v4").stands_for == 4


def test_another_alias_is_moved_where_the_team_calls_it_so(here):
    here.client.set_registered_model_alias("films", "live", "3")
    assert asked(here, "v4", alias="live").stands_for == 4
    assert (here.champion("live"), here.champion()) == (4, 3)


def test_an_archived_deployments_verdict_does_not_count(here):
    served = deployments.read(here.places)
    deployments.archive(here.places, served)
    here.places.make()
    other = replace(
        served, id="films-later", challengers=(replace(served.challengers[0], number=2),)
    )
    deployments.write(here.places, other)
    done = asked(here, "v4")
    assert codes(done) == ["pair"]
    assert f"{served.id}, which is archived, compared it" in done.objections[0].says


def test_where_nothing_was_served_there_is_no_verdict(here):
    here.places.deployment.unlink()
    done = asked(here, "v4")
    assert codes(done) == ["deployment"]
    assert asked(here, "v4", force="first").stands_for == 4


def test_a_damaged_state_directory_is_no_permission(here):
    here.places.deployment.write_text("{")
    with pytest.raises(ShadowserveError, match="is damaged"):
        asked(here, "v4")
    assert here.champion() == 3


def test_failures_that_were_recorded_are_listed_and_need_force(here):
    with closing(sqlite3.connect(_state(here))) as lane, lane:
        lane.execute("UPDATE ledger SET n = n - 2 WHERE outcome = 'both_ok'")
        lane.execute(
            "INSERT OR REPLACE INTO ledger VALUES ('challenger_error', 1), ('timed_out', 1)"
        )
    done = asked(here, "v4")
    assert codes(done) == ["refused"]
    assert "1 challenger error, 1 timed out" in done.objections[0].says
    assert here.champion() == 3


def test_two_people_with_force_do_not_overwrite_each_other(here, monkeypatch):
    real, met = moving.SwitchLock.held, []

    def late(self, **options):
        if not met:  # the first one decides, and before it has the lock the second is through
            met.append(True)
            asked(here, "v5", BOB, force="mine")
        return real(self, **options)

    monkeypatch.setattr(moving.SwitchLock, "held", late)
    with pytest.raises(
        PromotionError, match=r"stands for v5 by now, and for v3 when.*by bob@far on"
    ):
        asked(here, "v4", force="mine")
    assert here.champion() == 5
    assert here.tags(3)[f"{TAG}.other"] == "5"
    assert TAG not in here.tags(4)


def test_a_version_whose_files_change_while_it_is_decided_is_not_promoted(here, monkeypatch):
    real = moving.SwitchLock.held
    path = here.places.root.parent / "seven"
    shutil.copytree(here.client.get_model_version("films", "6").source, path)
    assert here.client.create_model_version("films", str(path)).version == 7

    def late(self, **options):
        (path / "more.txt").write_text("more")
        return real(self, **options)

    monkeypatch.setattr(moving.SwitchLock, "held", late)
    with pytest.raises(PromotionError, match="films:7 was changed in the registry while"):
        asked(here, "v7", force="so")
    assert here.champion() == 3


def test_a_foreign_write_right_afterwards_is_reported(here, monkeypatch):
    real = moving.tell

    def told(*arguments, **options):
        here.client.set_registered_model_alias("films", "champion", "1")
        return real(*arguments, **options)

    monkeypatch.setattr(moving, "tell", told)
    with pytest.raises(PromotionError, match="set to v4, and moved by somebody who left no tag"):
        asked(here, "v4")
    assert here.champion() == 1
    assert here.names() == ["films"]


def test_a_registry_that_goes_away_in_the_middle_is_told_and_the_next_one_finishes(
    here, monkeypatch
):

    def away(self, *_arguments):
        with self.reaching():
            raise ConnectionError("gone")

    with monkeypatch.context() as broken:  # from the moment that the alias has been moved
        broken.setattr(Calls, "tag_version", away)
        broken.setattr(Calls, "unregister", away)
        with pytest.raises(UnreachableError, match=r"cannot be used.*gone"):
            asked(here, "v4")
    assert (here.champion(), TAG in here.tags(4)) == (4, False)
    # Whoever did that has ended since.
    lock = next(name for name in here.names() if name != "films")
    here.client.set_registered_model_tag(lock, "shadowserve.switching.began", "1")
    assert asked(here, "v4", BOB).switch is None
    assert here.tags(4)[f"{TAG}.by"] == "ann@shop"
    assert here.names() == ["films"]


def test_a_registry_that_goes_away_while_the_alias_is_moved_says_that_it_may_stand_for_either(
    here, monkeypatch
):
    def away(self, *_arguments):
        with self.reaching():
            raise ConnectionError("gone")

    monkeypatch.setattr(Calls, "set_alias", away)
    with pytest.raises(
        UnreachableError, match=r"moved from v3 to v4.*may stand for either.*run again"
    ):
        asked(here, "v4")
    assert here.champion() == 3


def test_an_acceptance_that_was_outgrown_stands_against_it(here, monkeypatch):
    real = build.build

    def grown(*arguments, **options):
        report = real(*arguments, **options)
        one = {
            "found": True,
            "ended": "grown",
            "finding": "abc",
            "kind": "slow_feature",
            "by": "ann@shop",
        }
        return {**report, "acceptances": [one]}

    monkeypatch.setattr(grounds.build, "build", grown)
    done = asked(here, "v4")
    assert codes(done) == ["accepted"]
    assert "was accepted by ann@shop and has grown since" in done.objections[0].says


def test_a_switch_survives_its_own_text():
    one = Switch("films", "champion", 3, 4, "ann@shop", "why", at="now", against=("age",))
    assert Switch.from_json(one.to_json()) == one
    assert Switch.from_json("{") is None
    assert Switch.from_json('{"model": "films"}') is None


@pytest.mark.parametrize("character", ["\N{GRINNING FACE}", "\x1b", "\u202e", "\\", "\U000e0001"])
def test_the_longest_reason_in_any_script_fits_into_a_registrys_tag(character):
    reason = switches.worded(character * 2_000)
    one = Switch("films", "champion", 3, 4, "ann@shop", reason, at="now", against=("age",))
    assert len(one.to_json()) < 5_000  # what MLflow's table holds; PostgreSQL refuses more
    assert Switch.from_json(one.to_json()) == one
