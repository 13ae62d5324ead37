"""What is new is seen once, across restarts, and told without a value."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.judging import shadowed
from rig.report import finding
from rig.scoring import double, opaque
from shadowserve.alerts import memory as memories
from shadowserve.alerts.looking import WRITER_S, Looker
from shadowserve.evidence.condition import Condition as Evidence
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.report import accepting, build
from shadowserve.report.accepting import Wanted
from shadowserve.settings.alerting import ABOUT
from shadowserve.state.handovers import Handing
from shadowserve.state.lane_condition import Condition

KINDS = ("prediction_divergence", "slice_divergence")


class Watcher:
    """Looks at a state directory, begun anew from the file at each look as after a death."""

    def __init__(self, places, served, *, on=ABOUT, evidence_after_s=300.0) -> None:
        self.places, self.served, self.on, self.evidence_after_s = (
            places,
            served,
            on,
            evidence_after_s,
        )

    def look(self, *, report: bool = False) -> list:
        """Return the events that are new."""
        memory = memories.read(self.places, self.served.id)
        looker = Looker(self.places, self.served, memory, self.on, self.evidence_after_s)
        before = len(memory.waiting)
        if report:
            looker.at_report(4, build.build(self.places, self.served, challenger=4))
        else:
            looker.at_files()
        memory.write(self.places)
        return memory.waiting[before:]


@pytest.fixture
def empty(tmp_path) -> Watcher:
    return Watcher(made(tmp_path / "state", CHALLENGER, CONTROL), deployment())


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    tripled = opaque(lambda frame, params: 3 * double(frame, params))
    return shadowed(tmp_path_factory.mktemp("scored"), tripled)


@pytest.fixture
def watcher(scored) -> Watcher:
    for path in (scored[0].alerts, scored[0].accepted):
        path.unlink(missing_ok=True)
    return Watcher(*scored)


def test_an_alarm_and_a_verdict_are_told_once(watcher):
    first = watcher.look(report=True)
    assert {event.about for event in first} == {"alarm", "verdict"}
    assert {event.facts["finding"]["kind"] for event in first if event.about == "alarm"} >= set(
        KINDS
    )
    (verdict,) = [event for event in first if event.about == "verdict"]
    assert (verdict.facts["verdict"], verdict.facts["was"]) == ("reject", "continue")
    assert watcher.look(report=True) == []


def test_what_is_accepted_is_no_alarm_and_the_change_of_verdict_is_told(watcher):
    accepting.accept(
        watcher.places, watcher.served, Wanted(KINDS[0]), challenger=4, reason="Meant so.", by="ann"
    )
    told = watcher.look(report=True)
    assert KINDS[0] not in {event.facts.get("finding", {}).get("kind") for event in told}
    accepting.withdraw(watcher.places, watcher.served, Wanted(KINDS[0]), challenger=4, by="ann")
    again = watcher.look(report=True)
    assert [event.about for event in again] == ["alarm", "verdict"]


def test_what_has_outgrown_its_acceptance_is_an_alarm_again_once(watcher):
    watcher.look(report=True)
    said = accepting.accept(
        watcher.places, watcher.served, Wanted(KINDS[0]), challenger=4, reason="Meant so.", by="ann"
    )
    watcher.look(report=True)
    kept = json.loads(watcher.places.accepted.read_text())
    kept["events"][0]["value"] = said.value / 10
    watcher.places.accepted.write_text(json.dumps(kept))
    assert [event.about for event in watcher.look(report=True)] == ["alarm", "verdict"]
    assert watcher.look(report=True) == []


def test_no_alert_holds_a_value_though_reports_may_show_it(empty):
    memory = memories.read(empty.places, empty.served.id)
    looker = Looker(empty.places, empty.served, memory, ABOUT, 300.0)
    shown = finding(
        id="0123abcd", accepted=None, message="Where title is s3cret, v4 answers s3cret.", examples=[7],
        where={
            "role": "challenger", "step": "phrases", "columns": ["title"], "slice": "title is s3cret",
            "items": ["s3cret"], "output": "probability of class s3cret",
        },
    )  # fmt: skip
    assert looker.at_report(4, {"findings": [shown], "verdict": "continue"})
    memory.write(empty.places)
    (event,) = memory.waiting
    assert "in step 'phrases', on title" in event.text
    assert "s3cret" not in empty.places.alerts.read_text()


def test_a_lane_whose_file_is_damaged_is_told_of(empty):
    lane_is(empty, "degraded")
    lane = empty.places.lane(CHALLENGER.role, CHALLENGER.version)
    lane.state.write_bytes(b"no database " * 1_000)
    assert [event.about for event in empty.look()] == ["lane"]
    assert empty.look() == []


def lane_is(watcher: Watcher, state: str) -> None:
    Condition(state, "s3cret reason").write(
        watcher.places.lane(CHALLENGER.role, CHALLENGER.version)
    )


@pytest.mark.parametrize("state", ["degraded", "incompatible"])
def test_a_lane_that_fails_is_told_once_however_often_it_is_started_again(empty, state):
    lane_is(empty, "running")
    assert empty.look() == []
    lane_is(empty, state)
    (event,) = empty.look()
    assert (event.about, event.facts) == ("lane", {"lane": "challenger v4", "state": state})
    assert "s3cret" not in event.text
    for again in ("starting", state, "starting", state):
        lane_is(empty, again)
        assert empty.look() == []
    lane_is(empty, "running")
    assert empty.look() == []
    lane_is(empty, state)
    assert len(empty.look()) == 1


def evidence_is(watcher: Watcher, *, arriving: bool, since_s: float = 0.0) -> None:
    condition = Evidence(watcher.places.arrival)
    if arriving:
        condition.good({})
        return
    condition.bad(UndeliveredError("No answer from s3cret.", kind="sink_dead"), {})
    told = json.loads(watcher.places.arrival.read_text())
    told["since"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - since_s))
    watcher.places.arrival.write_text(json.dumps(told))


def test_evidence_that_does_not_arrive_for_long_is_told_once_each_time(empty):
    assert empty.look() == []
    evidence_is(empty, arriving=False, since_s=200.0)
    assert empty.look() == []
    evidence_is(empty, arriving=False, since_s=400.0)
    (event,) = empty.look()
    assert event.about == "evidence"
    assert "s3cret" not in event.text
    assert empty.look() == []
    empty.places.arrival.unlink()  # a restart
    assert empty.look() == []
    evidence_is(empty, arriving=False, since_s=400.0)
    assert empty.look() == []
    evidence_is(empty, arriving=True)
    assert empty.look() == []
    evidence_is(empty, arriving=False, since_s=400.0)
    assert len(empty.look()) == 1


def test_windows_that_lie_though_nobody_complains_are_evidence_that_does_not_arrive(
    scored, watcher, monkeypatch
):
    """Its writer hangs or keeps ending, so that it says nothing."""
    assert [event for event in watcher.look() if event.about == "evidence"] == []
    later = time.time() + WRITER_S + 60.0
    monkeypatch.setattr(time, "time", lambda: later)
    assert [event.about for event in watcher.look()] == ["evidence"]
    assert watcher.look() == []


def test_what_nobody_asked_for_is_not_told(watcher):
    watcher.on = ("verdict",)
    assert [event.about for event in watcher.look(report=True)] == ["verdict"]


def test_a_version_that_did_not_take_over_is_told_once(empty):
    handed = Handing("loading", 3, 5, "films-2", "2999-01-01T00:00:00+00:00")
    handed.write(empty.places)
    assert empty.look() == []
    replace(handed, state="refused", reason="s3cret").write(empty.places)
    (event,) = empty.look()
    assert event.about == "handover"
    assert event.facts == {"version": 5}
    assert "v5 did not take over" in event.text
    assert "s3cret" not in event.text
    assert empty.look() == []
    replace(handed, state="refused", at="2000-01-01T00:00:00+00:00").write(empty.places)
    assert empty.look() == []  # before this deployment began
