"""Whether the tapped server is the champion that it is said to be."""

from __future__ import annotations

import dataclasses

from rig.deployment import CHALLENGER, CONTROL, OPTIONS, deployment, made
from rig.judging import policy
from rig.lane import answer, records, work
from rig.scoring import double, opaque
from shadowserve.judgement.facts import gather
from shadowserve.judgement.findings import Severity, look
from shadowserve.judgement.verdict import Verdict, judge


def known(tmp_path, *, server=double, challenger=double, control=double, tap=True):
    """Requests answered by one function, scored here by challenger and control."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(600), champion=opaque(server, number=3))
    work(places, opaque(challenger), rescore=True)
    work(places, opaque(control, number=3), name=CONTROL, rescore=True)
    return gather(places, deployment(options={**OPTIONS, "tap": tap}), challenger=4)


def about_server(seen):
    return [one for one in look(seen, policy()) if one.where.role != "challenger"]


def other(frame, params):
    return 3 * double(frame, params) + 1


def test_a_server_that_answers_as_the_champion_is_not_mentioned(tmp_path):
    assert about_server(known(tmp_path, challenger=other)) == []


def test_a_server_that_answers_otherwise_is_named_before_anything_is_promoted_or_rejected(tmp_path):
    seen = known(tmp_path, server=other)
    (finding,) = about_server(seen)
    assert (finding.kind, finding.severity) == ("prediction_divergence", Severity.WARNING)
    assert finding.where.role == "control"
    assert "does not answer as v3 does" in finding.message
    assert finding.effect.low > 0.5
    assert len(finding.examples) == 5
    assert judge(seen, look(seen, policy()), policy()).verdict is Verdict.CONTINUE


def test_a_challenger_is_not_rejected_for_what_the_server_is(tmp_path):
    """Text instead of numbers would be critical beside a real champion."""

    def words(frame, params):
        return double(frame, params).astype(str)

    seen = known(tmp_path, server=words)
    found = look(seen, policy())
    assert "structure_change" in {one.kind for one in found}
    assert Severity.CRITICAL not in {one.severity for one in found}
    assert judge(seen, found, policy()).verdict is Verdict.CONTINUE


def test_beside_a_true_server_a_wrong_challenger_is_still_critical(tmp_path):
    seen = known(tmp_path, challenger=other)
    assert Severity.CRITICAL in {one.severity for one in look(seen, policy())}


def test_without_a_tap_the_control_is_noise_and_no_stranger(tmp_path):
    assert about_server(known(tmp_path, server=other, tap=False)) == []


def test_requests_that_cannot_be_read_are_said_to_be_missing(tmp_path):
    seen = known(tmp_path)
    counted = dataclasses.replace(seen.ledger.champion, rejected=5_000)
    seen = dataclasses.replace(seen, ledger=dataclasses.replace(seen.ledger, champion=counted))
    (finding,) = (one for one in about_server(seen) if "to_records" in one.message)
    assert finding.kind == "coverage"
