"""A number far from the champion's is a failure, whether a label came for it or not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from rig.evidence import CHALLENGER
from rig.judging import known_of, timed
from rig.labels import Kind, serve, work
from rig.scoring import double, opaque
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import look
from shadowserve.judgement.limit import Limit
from shadowserve.judgement.verdict import Verdict, judge
from shadowserve.labels import Losses, learn, take
from shadowserve.labels.far import Answers, FarOff
from shadowserve.labels.pairs import Pair
from shadowserve.settings.policy import Policy
from shadowserve.state.acceptances import Acceptance

N, LABELLED = 2_000, 1_400


@pytest.fixture(scope="module")
def alike(tmp_path_factory) -> Facts:
    """A challenger whose answers, failures and times are beyond reproach."""
    known = timed(known_of(tmp_path_factory.mktemp("alike"), opaque(double)))
    more = known.learned.failures.more
    more.add(np.zeros(N - more.n))
    return known


def learned(folder, off, *, side="lane", value=1e6) -> Losses:
    """Let a lane compare numbers, some of one side far off; labels come for the first ones alone."""
    places, served = serve(folder)
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 10, N)
    answers = {name: truth + rng.normal(0, 5, N) for name in ("champion", "lane")}
    answers[side][list(off)] = value
    rows = [
        {"position": i + 1, **{name: [float(own[i])] for name, own in answers.items()}}
        for i in range(N)
    ]
    work(places, CHALLENGER, rows, part=True)
    take(places, served, [(i + 1, f"request-{i + 1}", float(truth[i])) for i in range(LABELLED)])
    found = learn(places, served, challenger=CHALLENGER, kind=Kind.NUMBER)
    again = learn(places, served, challenger=CHALLENGER, kind=Kind.NUMBER)
    assert again.far.state() == found.far.state()  # each answer counts once
    return again


def limits(known: Facts, losses: Losses) -> tuple[Verdict, dict[str, Limit]]:
    policy = Policy.of({"min_requests": 100, "max_error_rate": 0.02, "max_loss_increase": 0.1})
    found = dataclasses.replace(known, losses=losses)
    judgement = judge(found, look(found, policy), policy)
    return judgement.verdict, {limit.name: limit for limit in judgement.limits}


def test_absurd_answers_where_no_labels_come_break_the_limit_on_errors(alike, tmp_path):
    verdict, found = limits(alike, learned(tmp_path, range(LABELLED, N, 5)))
    assert found["loss"].state == "kept"  # labels saw none of them
    assert found["errors"].state == "broken"
    assert verdict is Verdict.REJECT
    n_far = len(range(LABELLED, N, 5))
    assert f"Among them are {n_far} answers further than" in found["errors"].says


def test_without_them_the_same_challenger_keeps_the_limit(alike, tmp_path):
    verdict, found = limits(alike, learned(tmp_path, ()))
    assert found["errors"].state == found["loss"].state == "kept"
    assert verdict is Verdict.PROMOTE
    assert "Among them" not in found["errors"].says


def test_absurd_answers_of_the_champion_are_not_held_against_the_challenger(alike, tmp_path):
    losses = learned(tmp_path, range(LABELLED, N, 5), side="champion")
    assert limits(alike, losses)[1]["errors"].state == "kept"
    assert (losses.far.own, losses.far.theirs) == (0, len(range(LABELLED, N, 5)))


def test_who_accepts_failures_has_accepted_no_answers_that_are_far_off(tmp_path):
    """The limit counts both, the finding failures alone."""

    def fail(frame, params):
        if (frame["age"] % 10 == 0).any():
            raise ValueError
        return double(frame, params)

    known = timed(known_of(tmp_path / "failing", opaque(fail), rescore=True))
    policy = Policy.of({"min_requests": 100, "max_error_rate": 0.02})
    (found,) = [one for one in look(known, policy) if one.kind == "error_rate"]
    said = Acceptance(
        4, found.id, found.kind, found.severity.value, {}, None, found.effect.value, "Meant.", "ann"
    )
    known = dataclasses.replace(known, acceptances={found.id: said})
    assert limits(known, learned(tmp_path / "near", ()))[1]["errors"].accepted == found.id
    far = limits(known, learned(tmp_path / "far", range(LABELLED, N, 5)))[1]["errors"]
    assert (far.state, far.accepted) == ("broken", None)


@pytest.mark.parametrize(
    ("champion", "challenger", "own", "theirs"),
    [
        ([1.0], [99.0], 1, 0),
        ([99.0], [1.0], 0, 1),
        ([1.0], [9.0], 0, 0),
        ([1.0], [None], 0, 0),
        ([None], [99.0], 0, 0),
        ([1.0, 2.0], [1.0, -99], 1, 0),
        ([99.0, 2.0], [1.0, 99.0], 0, 0),
        ([60.0], [-60.0], 0, 0),
        ([True], [99.0], 0, 0),
        ([], [], 0, 0),
        ("text", [99.0], 0, 0),
    ],
)
def test_who_is_off_is_whoever_lies_further_from_the_median_label(
    champion, challenger, own, theirs
):
    far = FarOff()
    row = Answers(7, json.dumps(champion), json.dumps(challenger))
    far.add([row], reach=10.0, middle=0.0)
    assert (far.own, far.theirs, far.mark, far.more.n) == (own, theirs, 7, 1)


def test_failures_and_far_answers_are_one_share():
    far, failures = FarOff(), FarOff().more
    rows = [Answers(i, "[0.0]", "[99.0]" if i < 3 else "[0.0]") for i in range(100)]
    far.add(rows, reach=10.0, middle=0.0)
    failures.add(np.repeat([1.0, 0.0], [2, 98]))
    both = far.with_failures(failures)
    assert (both.n, both.mean) == (100, pytest.approx(0.05))
    assert failures.mean == pytest.approx(0.02)


def test_nothing_is_far_before_labels_have_said_what_is():
    losses = Losses(Kind.NUMBER)
    assert losses.far_off is None
    losses.add([_pair(float(i), i) for i in range(50)])
    assert losses.to_dict(alpha=0.05)["far_off"] is None
    losses.add([_pair(float(i), i) for i in range(60)])
    assert losses.far_off is not None
    losses.add([_pair(float(i) * 1e6, 0.0) for i in range(200)])  # the first labels were no measure
    assert losses.to_dict(alpha=0.05)["far_off"] is None


def test_it_goes_on_after_a_restart_and_a_state_of_before_looks_at_all_answers():
    far = FarOff()
    far.add([Answers(i, "[0.0]", "[99.0]") for i in range(5)], reach=10.0, middle=0.0)
    assert FarOff.from_state(json.loads(json.dumps(far.state()))).state() == far.state()
    losses = Losses(Kind.NUMBER)
    losses.add([_pair(1.0, 1.0)])
    before = {name: part for name, part in losses.state().items() if name != "far"}
    again = Losses.from_state(json.loads(json.dumps(before)))
    assert (again.joined, again.far.mark) == (1, 0)


def _pair(label: float, answer: float) -> Pair:
    told = json.dumps([answer])
    return Pair(json.dumps(label), 2, 1, told, told, None, True, None, True, 1)
