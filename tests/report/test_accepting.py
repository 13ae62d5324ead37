"""A finding of a real report is accepted: it stays, marked, and does not decide until it has outgrown that."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rig.deployment import CHALLENGER, CONTROL, OPTIONS, deployment, made
from rig.judging import FEW, shadowed
from rig.lane import answer, records, work
from rig.report_schema import SCHEMA, closed, faults
from rig.scoring import double, opaque, version
from shadowserve.errors import SettingsError
from shadowserve.report import accepting, build
from shadowserve.report.accepting import AmbiguousError, NotFoundError, Wanted
from shadowserve.report.page import render
from shadowserve.report.wording import mark
from shadowserve.schema.disclosure import Disclosure
from shadowserve.state import acceptances
from shadowserve.state import deployment as deployments

HOSTILE = "<script>alert('1')</script> \x1b[2J \u202e & \"it's\" | `so`"


def tripled(frame, params):
    return 3 * double(frame, params)


def sliced(frame, params):
    """A version that answers otherwise for one title, and raises for one age in a hundred."""
    if (frame["age"] % 50 == 49).any():
        raise ValueError
    return double(frame, params) + 50.0 * (frame["title"] == "gold").to_numpy()


TITLED = [{"age": float(n % 100), "title": "gold" if n % 4 == 0 else "red"} for n in range(900)]


@pytest.fixture
def state(tmp_path):
    return shadowed(tmp_path, opaque(tripled))


def reported(state, challenger=4):
    return build.build(*state, challenger=challenger)


def only(report, kind):
    (one,) = [found for found in report["findings"] if found["kind"] == kind]
    return one


def accept(state, name, **changes):
    given = {"challenger": 4, "reason": "Meant so.", "by": "ann@shop"}
    where = {part: changes.pop(part) for part in ("step", "columns") if part in changes}
    return accepting.accept(*state, Wanted(name, **where), **{**given, **changes})


def test_an_accepted_finding_stays_marked_and_no_longer_decides(state):
    before = reported(state)
    found = only(before, "prediction_divergence")
    assert (before["verdict"], found["severity"], found["accepted"]) == ("reject", "critical", None)
    said = accept(state, "prediction_divergence")
    after = reported(state)
    marked = only(after, "prediction_divergence")
    assert {**marked, "accepted": None} == found
    assert marked["accepted"] == {
        "holds": True, "ended": None, "by": "ann@shop", "at": said.at_utc, "until": None,
        "reason": "Meant so.", "severity": "critical", "value": found["effect"]["value"],
    }  # fmt: skip
    assert after["verdict"] == "continue"
    assert found["message"] not in after["judgement"]["reasons"]
    assert faults(after, closed(SCHEMA)) == []


def test_the_limit_that_tells_the_same_does_not_decide_either_and_says_so(state):
    said = accept(state, "prediction_divergence")
    limits = {one["name"]: one for one in reported(state)["judgement"]["limits"]}
    assert limits["disagreement"]["state"] == "broken"
    assert limits["disagreement"]["accepted"] == said.finding
    assert {name: one["accepted"] for name, one in limits.items() if name != "disagreement"} == {
        "coverage": None, "errors": None, "latency": None,
    }  # fmt: skip


def test_what_was_accepted_may_be_taken_back(state):
    before = reported(state)
    accept(state, "prediction_divergence")
    accepting.withdraw(*state, Wanted("prediction_divergence"), challenger=4, by="bob@shop")
    moments = dict.fromkeys(("at", "quiet"))  # when it is asked
    assert reported(state) | moments == before | moments
    with pytest.raises(NotFoundError, match="no accepted finding"):
        accepting.withdraw(*state, Wanted("prediction_divergence"), challenger=4, by="bob@shop")
    said = acceptances.read(state[0], state[1].id)
    assert [(one.by, one.withdrawn) for one in said] == [("ann@shop", False), ("bob@shop", True)]


def test_it_may_be_named_by_its_id(state):
    found = only(reported(state), "prediction_divergence")
    assert accept(state, found["id"]).finding == found["id"]


def test_a_finding_that_grows_returns_and_its_mark_says_why(tmp_path):
    """In one deployment: the same lanes go on with other traffic, in new processes."""
    few = [{"age": float(100 * n + (0 if n % 4 else 99)), "title": "red"} for n in range(600)]
    wrong_at_99 = opaque(lambda f, p: double(f, p) * np.where(f["age"] % 100 == 99, 3.0, 1.0))
    state = shadowed(tmp_path, wrong_at_99, sent=few)
    found = only(reported(state), "prediction_divergence")
    accept(state, "prediction_divergence")
    assert only(reported(state), "prediction_divergence")["accepted"]["holds"]
    places, _ = state
    answer(places, [{"age": float(100 * n + 99), "title": "red"} for n in range(2_400)])
    work(places, wrong_at_99, rescore=False)
    work(places, opaque(double, number=3), name=CONTROL, rescore=False)
    after = reported(state)
    grown = only(after, "prediction_divergence")
    assert grown["effect"]["low"] > 1.2 * found["effect"]["value"]
    assert grown["accepted"]["ended"] == "grown"
    assert "decides again: it has outgrown" in mark(grown)
    assert grown["message"] in after["judgement"]["reasons"]
    accept(state, "prediction_divergence", reason="That much is meant, too.")
    assert only(reported(state), "prediction_divergence")["accepted"]["holds"]


def test_a_lane_that_starts_anew_finds_what_was_accepted(state):
    """Its state begun anew: while nothing is found the acceptance waits, and holds once it is found again."""
    accept(state, "prediction_divergence")
    places, _ = state
    places.lane(CHALLENGER.role, CHALLENGER.version).state.unlink()
    told = reported(state)
    assert told["findings"] == [] or all(one["accepted"] is None for one in told["findings"])
    (waiting,) = told["acceptances"]
    assert (waiting["kind"], waiting["found"], waiting["holds"]) == (
        "prediction_divergence",
        False,
        True,
    )
    answer(places, records(420))
    work(places, opaque(tripled), rescore=False)
    assert only(reported(state), "prediction_divergence")["accepted"]["holds"]


def test_what_is_not_found_and_has_run_out_does_not_hold(state):
    said = accept(state, "prediction_divergence", lasts_s=3_600.0)
    places, served = state
    places.lane(CHALLENGER.role, CHALLENGER.version).state.unlink()
    long_ago = replace(said, at=replace(said.at, wall_s=said.at.wall_s - 7_200.0))
    acceptances.add(places, served.id, long_ago)
    (waiting,) = reported(state)["acceptances"]
    assert (waiting["found"], waiting["holds"], waiting["ended"]) == (False, False, "over")


def test_what_is_not_found_now_can_be_withdrawn_by_kind_and_by_id(state):
    accept(state, "prediction_divergence")
    state[0].lane(CHALLENGER.role, CHALLENGER.version).state.unlink()
    accepting.withdraw(*state, Wanted("prediction_divergence"), challenger=4, by="ann")
    assert reported(state)["acceptances"] == []


def test_of_several_that_are_meant_none_is_accepted_and_all_are_listed(tmp_path):
    sent = [{"age": float(n % 100), "title": "red"} for n in range(1_600)]
    at_both_ends = opaque(lambda f, p: double(f, p) + 50.0 * ~f["age"].between(15, 84).to_numpy())
    state = shadowed(tmp_path, at_both_ends, sent=sent)
    slices = [one for one in reported(state)["findings"] if one["kind"] == "slice_divergence"]
    assert len(slices) > 1
    assert len({one["id"] for one in slices}) == len(slices)
    with pytest.raises(AmbiguousError) as refused:
        accept(state, "slice_divergence")
    assert all(one["id"] in str(refused.value) for one in slices)
    assert acceptances.read(state[0], state[1].id) == ()
    accept(state, slices[0]["id"])
    marks = {one["id"]: one["accepted"] is not None for one in reported(state)["findings"]}
    assert [name for name, is_marked in marks.items() if is_marked] == [slices[0]["id"]]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("latency", "No such finding of v4. There are:"),
        ("predicton_divergence", "Did you mean prediction_divergence?"),
        ("0123abcd", "No such finding of v4."),
        ("all", "is no kind of finding"),
        ("x" * 5_000, "is no kind of finding"),
        ("\x1b[2J", "is no kind of finding"),
        ("", "is no kind of finding"),
    ],
)
def test_what_is_not_there_is_not_accepted_and_what_there_is_is_listed(state, name, told):
    with pytest.raises(NotFoundError) as refused:
        accept(state, name)
    assert told in str(refused.value)
    assert only(reported(state), "prediction_divergence")["id"] in str(refused.value)
    assert len(str(refused.value)) < 2_000
    assert "\x1b" not in str(refused.value)


def test_the_step_and_the_columns_have_to_be_its_own(state):
    for place in ({"step": "phrases"}, {"columns": ("title", "no such")}):
        with pytest.raises(NotFoundError):
            accept(state, "prediction_divergence", **place)


def test_before_anything_is_found_there_is_nothing_to_accept(tmp_path):
    state = shadowed(tmp_path, opaque(double), sent=[])
    with pytest.raises(NotFoundError, match="There is no finding of v4 now"):
        accept(state, "latency")


def test_one_challengers_acceptance_says_nothing_of_anothers(tmp_path):
    places, served = shadowed(tmp_path, opaque(tripled), challengers=(version(4), version(5)))
    five = places.lane(CHALLENGER.role, 5)
    five.make()
    work(
        places,
        opaque(tripled, number=5),
        name=deployments.LaneName(CHALLENGER.role, 5),
        rescore=False,
    )
    accept((places, served), "prediction_divergence")
    assert build.build(places, served, challenger=4)["verdict"] == "continue"
    other = build.build(places, served, challenger=5)
    assert other["verdict"] == "reject"
    assert other["acceptances"] == []


def test_a_version_that_is_not_served_has_nothing_to_accept(state):
    with pytest.raises(SettingsError, match="No such challenger"):
        build.number_of(state[1], "v9")


def test_of_two_failures_the_accepted_one_alone_is_silent(tmp_path):
    state = shadowed(tmp_path, opaque(sliced), sent=TITLED, rescore=True)
    assert {one["kind"] for one in reported(state)["findings"]} >= {
        "slice_divergence",
        "error_rate",
    }
    accept(state, "slice_divergence")
    told = reported(state)
    assert {one["kind"] for one in told["findings"] if one["accepted"]} == {"slice_divergence"}
    assert any("fails on" in reason for reason in told["judgement"]["reasons"])


def test_hostile_words_stand_in_report_and_page_as_text(state):
    said = accept(state, "prediction_divergence", reason=HOSTILE, by="<b>\x1b[2J")
    told = reported(state)
    json.dumps(told, allow_nan=False)
    page = render(told)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    for text in (page, mark(only(told, "prediction_divergence")), said.by):
        assert not {"\x1b", "\u202e"} & set(text)


def test_a_slice_that_was_accepted_while_its_values_could_be_shown_keeps_none_of_them(tmp_path):
    shown = Disclosure(b"salt", log="all")
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, TITLED)
    work(places, opaque(sliced), rescore=False, disclosure=shown)
    work(places, opaque(double, number=3), name=CONTROL, rescore=False, disclosure=shown)
    state = places, deployment(options={**OPTIONS, "log_inputs": "all", "verdict": FEW})
    found = only(reported(state), "slice_divergence")
    assert "gold" in found["where"]["slice"]
    accept(state, "slice_divergence")
    kept = places.accepted.read_text()
    assert found["id"] in kept
    assert "gold" not in kept
    hidden = places, deployment(options={**OPTIONS, "verdict": FEW})
    assert only(reported(hidden), "slice_divergence")["accepted"]["holds"]
