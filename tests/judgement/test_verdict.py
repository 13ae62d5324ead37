"""The verdict: promote what is proven to keep every limit, reject what is proven to break one."""

from __future__ import annotations

import copy
import dataclasses
import re

import numpy as np
import pytest

from rig.deployment import deployment
from rig.judging import known_of, policy, timed, untimed
from rig.scoring import double, opaque
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import Severity, look
from shadowserve.judgement.verdict import Judgement, Verdict, judge
from shadowserve.settings.policy import Policy
from shadowserve.state.acceptances import Acceptance
from shadowserve.statistics.sequential import paired_mean

EASY = {"max_error_rate": 0.05}
"""What 420 requests without an error can prove."""


def judged(known: Facts, **limits) -> Judgement:
    own = policy(**{**EASY, **limits})
    return judge(known, look(known, own), own)


def states(judgement: Judgement) -> dict[str, str]:
    return {limit.name: limit.state for limit in judgement.limits}


@pytest.fixture(scope="module")
def same(tmp_path_factory) -> Facts:
    return timed(known_of(tmp_path_factory.mktemp("same"), opaque(double)))


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Facts:
    tripled = opaque(lambda f, p: 3 * double(f, p))
    return timed(known_of(tmp_path_factory.mktemp("other"), tripled))


def test_what_keeps_every_limit_is_promoted(same):
    judgement = judged(same)
    assert judgement.verdict is Verdict.PROMOTE
    assert set(states(judgement).values()) == {"kept"}
    assert len(judgement.reasons) == 4


def test_too_few_requests_are_no_verdict(same):
    judgement = judged(same, min_requests=1_000)
    assert judgement.verdict is Verdict.CONTINUE
    (coverage, *_) = judgement.limits
    assert (coverage.state, coverage.more) == ("undecided", 580)
    assert "420 of 1,000" in judgement.reasons[0]


def test_nothing_compared_is_not_agreement(tmp_path):
    """No data, no verdict (law 3)."""
    judgement = judged(known_of(tmp_path, opaque(double), sent=[]))
    assert judgement.verdict is Verdict.CONTINUE
    assert set(states(judgement).values()) == {"undecided"}


def test_disagreement_beyond_the_limit_is_rejected(other):
    judgement = judged(other)
    assert judgement.verdict is Verdict.REJECT
    assert states(judgement)["disagreement"] == "broken"
    assert any("v4" in reason for reason in judgement.reasons)


def test_disagreement_that_is_allowed_is_no_reason_to_reject(other):
    judgement = judged(other, max_disagreement=0.9)
    assert states(judgement)["disagreement"] == "kept"
    assert judgement.verdict is Verdict.CONTINUE  # an alarm is left to look at


def test_a_slower_version_is_not_promoted(same):
    judgement = judged(timed(same, times=1.5))
    assert states(judgement)["latency"] == "broken"
    assert judgement.verdict is Verdict.REJECT


def test_a_process_that_was_slow_by_itself_rejects_nobody(same):
    """Where the two took no turns, a slow spell of one process looks like a slow version."""
    judgement = judged(timed(same, times=1.5, in_turn=False))
    assert states(judgement)["latency"] == "undecided"
    [limit] = [one for one in judgement.limits if one.name == "latency"]
    assert "its process was slower" in limit.says.lower()
    assert judgement.verdict is Verdict.CONTINUE


def test_a_model_of_a_tenth_of_a_millisecond_is_promoted_though_it_takes_twice_as_long(same):
    assert judged(timed(same, times=2.0, ms=0.1, n=9)).verdict is Verdict.PROMOTE


def test_a_model_that_takes_two_milliseconds_longer_is_not_promoted(same):
    assert states(judged(timed(same, times=21.0, ms=0.1)))["latency"] == "broken"


def test_what_is_said_of_latency_never_contradicts_its_state(same):
    for n in (2, 9, 20, 40, 100):
        for times in (0.5, 1.0, 1.09, 1.1, 1.2, 2.0):
            known = timed(same, times=times, n=n)
            [limit] = [one for one in judged(known).limits if one.name == "latency"]
            found = known.paired.interval(0.05, alpha_low=0.0125)
            assert (limit.state == "kept") == (found.high < 1.1)
            assert (limit.state == "broken") == (found.low > 1.1)


def test_a_version_slower_by_less_than_the_margin_is_promoted(same):
    assert judged(timed(same, times=1.04)).verdict is Verdict.PROMOTE


def test_without_times_nothing_is_said_of_latency(same):
    judgement = judged(untimed(same))
    assert states(judgement)["latency"] == "undecided"
    assert judgement.verdict is Verdict.CONTINUE


def test_without_a_control_there_is_no_fair_comparison_of_times(same):
    alone = dataclasses.replace(same, deployment=deployment(control=False))
    judgement = judged(alone)
    assert "control" in dict(zip(states(judgement), judgement.limits, strict=True))["latency"].says
    assert judgement.verdict is Verdict.CONTINUE


def test_errors_beyond_the_limit_are_rejected(tmp_path):
    def fail(frame, params):
        if (frame["age"] % 3 == 0).any():
            raise ValueError
        return double(frame, params)

    judgement = judged(timed(known_of(tmp_path, opaque(fail), rescore=True)))
    assert states(judgement)["errors"] == "broken"
    assert judgement.verdict is Verdict.REJECT


def test_errors_that_cannot_be_told_yet_say_how_many_more(same):
    judgement = judged(same, max_error_rate=0.001)
    errors = next(limit for limit in judgement.limits if limit.name == "errors")
    assert errors.state == "undecided"
    assert errors.more is None or errors.more > 300


def test_a_critical_finding_rejects_though_every_limit_is_kept(tmp_path):
    """A few NaN do not break a mean, but somebody's caller."""

    def holes(frame, params):
        return np.where(frame["age"].to_numpy() % 40 == 0, np.nan, double(frame, params))

    judgement = judged(timed(known_of(tmp_path, opaque(holes), n=420, rescore=True)))
    assert "broken" not in states(judgement).values()
    assert judgement.verdict is Verdict.REJECT


def test_failures_whose_cause_is_not_known_yet_keep_from_promoting(tmp_path):
    def holes(frame, params):
        return np.where(frame["age"].to_numpy() % 15 == 0, np.nan, double(frame, params))

    known = timed(known_of(tmp_path, opaque(holes), n=240))
    one = next(f for f in look(known, policy()) if f.kind == "nonfinite_output")
    assert one.severity is Severity.NOTE
    judgement = judged(known)
    assert judgement.verdict is Verdict.CONTINUE
    assert one.message in judgement.reasons


def test_a_judgement_tells_its_policy(same):
    told = judged(same).to_dict()
    assert told["policy"]["min_requests"] == 100
    assert [limit["name"] for limit in told["limits"]] == [
        "coverage",
        "disagreement",
        "errors",
        "latency",
    ]
    assert "log_inputs" not in told["policy"]
    assert isinstance(policy(), Policy)


@pytest.mark.parametrize("n", [30, 300, 3_000])
def test_what_is_shown_of_errors_is_what_was_judged(same, n):
    """Without one failure: "at most" so many more, and kept exactly where that is below the limit."""
    learned = copy.copy(same.learned)
    learned.failures = copy.copy(learned.failures)
    learned.failures.more = paired_mean(1.0)
    learned.failures.more.add(np.zeros(n))
    judgement = judged(dataclasses.replace(same, learned=learned), max_error_rate=0.02)
    (errors,) = [limit for limit in judgement.limits if limit.name == "errors"]
    shown = float(re.search(r"at most ([\d.e-]+) %", errors.says)[1]) / 100
    assert "-" not in errors.says
    assert (errors.state == "kept") is (shown < 0.02)


def accepted(known: Facts, *which: str, **limits) -> Facts:
    """The same facts where the team has accepted some kinds of finding as they are."""
    said = {
        one.id: Acceptance(
            4, one.id, one.kind, one.severity.value, {}, None,
            one.effect.value if one.effect else None, "Meant so.", "ann",
        )
        for one in look(known, policy(**{**EASY, **limits}))
        if one.kind in which
    }  # fmt: skip
    assert {one.kind for one in said.values()} == set(which)
    return dataclasses.replace(known, acceptances=said)


def test_what_is_accepted_is_promoted_and_the_reasons_tell_it(other):
    known = accepted(other, "prediction_divergence", "slice_divergence")
    judgement = judged(known)
    assert states(judgement)["disagreement"] == "broken"
    assert judgement.verdict is Verdict.PROMOTE
    assert any(reason.startswith("Accepted all the same: ") for reason in judgement.reasons)


def test_accepting_one_thing_excuses_no_other(other):
    known = accepted(timed(other, times=1.5), "prediction_divergence")
    judgement = judged(known)
    assert judgement.verdict is Verdict.REJECT
    assert [limit.name for limit in judgement.limits if limit.accepted] == ["disagreement"]
    all_of_them = ("prediction_divergence", "slice_divergence", "latency")
    assert judged(accepted(timed(other, times=1.5), *all_of_them)).verdict is Verdict.PROMOTE


def test_where_a_lane_has_thinned_no_limit_is_excused(other):
    """What was left out is weighed by the limit, and not by the finding that was accepted."""
    learned = copy.copy(other.learned)
    learned.weighed = copy.copy(learned.weighed)
    learned.weighed.left_out = 40.0
    known = accepted(dataclasses.replace(other, learned=learned), "prediction_divergence")
    judgement = judged(known)
    assert not any(limit.accepted for limit in judgement.limits)
    assert judgement.verdict is Verdict.REJECT


def test_what_is_accepted_is_no_coverage(other):
    judgement = judged(accepted(other, "prediction_divergence"), min_requests=1_000)
    assert judgement.verdict is Verdict.CONTINUE


def test_what_has_outgrown_its_acceptance_rejects_again(other):
    known = accepted(other, "prediction_divergence")
    small = {name: dataclasses.replace(one, value=0.1) for name, one in known.acceptances.items()}
    judgement = judged(dataclasses.replace(known, acceptances=small))
    assert judgement.verdict is Verdict.REJECT
    assert not any(limit.accepted for limit in judgement.limits)
