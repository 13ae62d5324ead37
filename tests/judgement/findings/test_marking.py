"""What makes two findings the same one, and for how long an acceptance of it holds."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from shadowserve.host.instant import Instant
from shadowserve.judgement.findings import Effect, Finding, Severity, Where, kinds
from shadowserve.judgement.findings.accepted import Ended
from shadowserve.judgement.findings.marking import marked
from shadowserve.schema.disclosure import Disclosure
from shadowserve.state.acceptances import Acceptance
from shadowserve.statistics.slices import Condition, SliceSearch

NOW = Instant(1_000_000.0, "this start", 500.0)
LOW = Condition("age", "range", low=1.0, high=2.0)
NOIR = Condition("genre", "value", label="#3f2a", value="noir")


def finding(*, low=0.08, value=0.1, high=0.12, **changes) -> Finding:
    fields = {
        "kind": "slice_divergence",
        "severity": Severity.WARNING,
        "message": "They differ.",
        "where": Where(columns=("age", "genre"), slice="age from 1 to 2 and genre is noir", conditions=(LOW.key, NOIR.key)),
        "effect": Effect("disagreement", value, low, high, "share", 0.01, "challenger"),
    }  # fmt: skip
    return Finding(**{**fields, **changes})


def accepted(one: Finding, **changes) -> Acceptance:
    value = one.effect.value if one.effect else None
    fields = {
        "challenger": 4, "finding": one.id, "kind": one.kind, "severity": one.severity.value,
        "where": {}, "measure": None, "value": value, "reason": "Meant so.", "by": "ann", "at": NOW,
    }  # fmt: skip
    return Acceptance(**{**fields, **changes})


def ended(then: Finding, now: Finding, *, at: Instant = NOW, **changes) -> Ended | None:
    """Accept a finding as it was then, and look at it as it is now."""
    said = accepted(then, **changes)
    (seen,) = marked([now], {said.finding: said}, now=at)
    assert seen.accepted is not None, "it is another finding"
    assert seen.decides is (seen.accepted.ended is not None)
    return seen.accepted.ended


# What makes two findings the same one.


def test_the_order_of_a_slices_conditions_and_of_columns_does_not_matter():
    orders = [
        replace(
            finding(), where=Where(columns=columns, conditions=conditions, slice=", ".join(columns))
        )
        for columns in permutations(("age", "genre"))
        for conditions in permutations((LOW.key, NOIR.key))
    ]
    assert len({one.id for one in orders}) == 1


def test_whether_a_value_may_be_shown_does_not_matter():
    hidden = Condition("genre", "value", label="#3f2a")
    assert hidden.key == NOIR.key
    assert "noir" not in NOIR.key


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.CRITICAL},
        {"message": "They differ more."},
        {"effect": Effect("disagreement", 0.9, 0.8, 1.0)},
        {"since": 12, "examples": (12, 13)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_how_bad_it_is_and_since_when_does_not_matter(change):
    assert finding(**change).id == finding().id


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "latency"},
        {"where": replace(finding().where, role="control")},
        {"where": replace(finding().where, step="phrases")},
        {"where": replace(finding().where, columns=("age",))},
        {"where": replace(finding().where, conditions=(LOW.key,))},
        {"where": replace(finding().where, conditions=(replace(LOW, high=3.0).key, NOIR.key))},
        {"where": replace(finding().where, conditions=(LOW.key, replace(NOIR, label="#0000").key))},
        {"where": replace(finding().where, conditions=(LOW.key, replace(NOIR, kind="member").key))},
        {"effect": Effect("reach_of_top_item", 0.1, 0.08, 0.12)},
        {"effect": None},
        {"aspect": "price"},
    ],
)
def test_another_kind_place_or_measure_is_another_finding(change):
    assert finding(**change).id != finding().id


def test_columns_that_merely_explain_a_finding_may_change():
    one = finding(explained=True)
    other = replace(one, where=Where(columns=("title",)))
    assert one.id == other.id != finding().id


@pytest.mark.parametrize("shown", [{"log": ("genre",)}, {}], ids=["shown", "hidden"])
def test_a_searched_slice_is_known_by_the_same_key_whatever_may_be_shown(shown):
    def search(**rules) -> str:
        found = SliceSearch({"genre": "string"}, disclosure=Disclosure(salt=b"salt", **rules))
        genres = np.array(["noir" if n % 4 == 0 else "other" for n in range(2_000)], dtype=object)
        found.add({"genre": genres}, (genres == "noir").astype(float))
        (named,) = found.findings(0.05, show=("genre",))
        return named.keys[0]

    assert search(**shown) == search()
    assert "noir" not in search(**shown)


# For how long an acceptance holds.


def test_what_was_not_accepted_decides():
    (seen,) = marked([finding()], {}, now=NOW)
    assert seen.accepted is None
    assert seen.decides


def test_as_it_was_it_is_accepted():
    assert ended(finding(), finding()) is None


def test_it_returns_where_its_lower_end_exceeds_what_was_accepted_by_a_fifth():
    assert ended(finding(value=0.1), finding(low=0.119, value=0.5, high=0.9)) is None
    assert ended(finding(value=0.1), finding(low=0.121, value=0.5, high=0.9)) is Ended.GROWN


def test_what_grows_disappears_and_comes_back_is_accepted_as_it_was():
    grown = finding(low=0.2, value=0.3, high=0.4)
    said = {finding().id: accepted(finding())}
    assert marked([grown], said, now=NOW)[0].decides
    assert marked([], said, now=NOW) == []
    assert not marked([finding()], said, now=NOW)[0].decides
    assert marked([grown], said, now=NOW)[0].decides


def test_without_an_interval_the_value_itself_is_looked_at():
    alone = finding(low=None, high=None, value=0.1)
    assert ended(alone, finding(low=None, high=None, value=0.12)) is None
    assert ended(alone, finding(low=None, high=None, value=0.13)) is Ended.GROWN


def test_nothing_accepted_is_outgrown_by_anything():
    none = finding(low=0.0, value=0.0, high=0.1)
    assert ended(none, none) is None
    assert ended(none, finding(low=0.001, value=0.002, high=0.003)) is Ended.GROWN


def test_a_shift_downwards_grows_downwards_and_may_turn_round():
    down = finding(low=-0.12, value=-0.1, high=-0.08)
    assert ended(down, finding(low=-0.5, value=-0.3, high=-0.11)) is None
    assert ended(down, finding(low=-0.5, value=-0.3, high=-0.13)) is Ended.GROWN
    assert ended(down, finding(low=0.01, value=0.05, high=0.09)) is Ended.TURNED
    assert ended(finding(), finding(low=-0.2, value=-0.1, high=-0.01)) is Ended.TURNED


def test_a_rate_that_falls_is_what_grows_where_less_is_worse():
    def rate(value: float) -> Finding:
        return finding(effect=Effect("sustainable_rate", value, less_is_worse=True))

    assert ended(rate(100.0), rate(200.0)) is None
    assert ended(rate(100.0), rate(85.0)) is None
    assert ended(rate(100.0), rate(80.0)) is Ended.GROWN


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_cannot_be_measured_now_is_accepted_as_it_was(value):
    assert ended(finding(), finding(low=value, value=value, high=value)) is None
    assert ended(finding(), finding(), value=value) is None


def test_a_suspicion_that_was_accepted_returns_as_an_alarm():
    note = finding(severity=Severity.NOTE)
    assert ended(note, finding(severity=Severity.INFO)) is None
    assert ended(note, finding(severity=Severity.WARNING)) is Ended.WORSE
    assert ended(note, finding(severity=Severity.CRITICAL)) is Ended.WORSE


def test_an_alarm_that_lies_where_it_lay_does_not_return_since_more_is_known_of_it():
    assert ended(finding(), finding(severity=Severity.CRITICAL)) is None


@pytest.mark.parametrize(
    "effect",
    [None, Effect("requests", 1.0), Effect("exponent", 1.8, 1.7, 1.9, tells_harm=False)],
    ids=["nothing", "a count", "a power"],
)
def test_an_alarm_whose_measure_does_not_tell_the_harm_returns_as_it_gets_critical(effect):
    then, now = finding(effect=effect), finding(effect=effect, severity=Severity.CRITICAL)
    assert ended(then, then) is None
    assert ended(then, now) is Ended.WORSE


def test_once_its_time_is_over_it_returns_though_the_clock_was_set_back():
    hour = {"lasts_s": 3_600.0}
    assert ended(finding(), finding(), at=NOW, **hour) is None
    assert ended(finding(), finding(), at=Instant(0.0, "this start", 4_101.0), **hour) is Ended.OVER
    assert ended(finding(), finding(), at=Instant(0.0, "next", 1.0), **hour) is Ended.OVER
    assert (
        ended(finding(), finding(), at=Instant(NOW.wall_s + 3_601.0, "next", 1.0), **hour)
        is Ended.OVER
    )


def test_every_kind_of_finding_has_a_name_that_can_be_accepted():
    assert all(kind.told for kind in kinds())
