"""What befell the champion itself is told, and requests are named as people count them."""

from __future__ import annotations

import dataclasses
import json

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.judging import known_of, policy
from rig.lane import answer, records, work
from rig.scoring import double, opaque
from shadowserve.comparison.milestones import Milestones
from shadowserve.judgement.facts import gather
from shadowserve.judgement.findings import Severity, look
from shadowserve.records import position
from shadowserve.report import build


def failing_on(part):
    def score(frame, params):
        if part(int(frame["age"].iloc[0])):
            raise ValueError
        return double(frame, params)

    return opaque(score, number=3)


def of_champion(known):
    return [one for one in look(known, policy()) if one.where.role == "champion"]


def test_a_champion_that_fails_on_most_requests_is_named(tmp_path):
    (one,) = of_champion(known_of(tmp_path, opaque(double), champion=failing_on(lambda a: a % 5), n=200))  # fmt: skip
    assert (one.kind, one.severity) == ("error_rate", Severity.WARNING)
    assert "v3 itself fails on 80 %" in one.message


def test_a_champion_that_fails_now_and_then_is_a_note(tmp_path):
    known = known_of(tmp_path, opaque(double), champion=failing_on(lambda a: a % 10 == 0), n=200)
    assert [one.severity for one in of_champion(known)] == [Severity.NOTE]


def test_requests_that_the_champion_refused_are_told_with_their_number(tmp_path):
    known = known_of(tmp_path, opaque(double), n=100)
    assert of_champion(known) == []
    counts = dataclasses.replace(known.ledger.champion, rejected=100)
    known = dataclasses.replace(known, ledger=dataclasses.replace(known.ledger, champion=counts))
    (one,) = of_champion(known)
    assert (one.kind, one.severity) == ("coverage", Severity.NOTE)
    assert "refused 100 of 200 requests" in one.message


def test_with_two_workers_people_see_a_number_that_counts(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    champion = opaque(double, number=3)
    for worker in (0, 1):
        answer(places, records(40), champion=champion, worker=worker)
    work(places, opaque(lambda f, p: -double(f, p)))
    work(places, champion, name=CONTROL)
    served = deployment()
    told = build.build(places, served, challenger=4)
    one = next(f for f in told["findings"] if f["kind"] == "prediction_divergence")
    assert one["since"] in (2, position(1, 2))
    assert 1 <= one["since_request"] <= 80
    assert one["since_time"].endswith("+00:00")
    assert all(1 <= number <= 80 for number in one["example_requests"])
    texts = json.dumps([f["message"] for f in told["findings"]])
    assert str(position(1, 1))[:6] not in texts
    assert gather(places, served, challenger=4).moment(position(1, 40)).number <= 80


def test_milestones_are_near_and_bounded_however_long_the_traffic():
    seen = Milestones()
    for at in range(0, 60_000, 2):
        pair = [position(0, at // 2 + 1), position(1, at // 2 + 1)]
        seen.add(pair, [at * 10**9, (at + 1) * 10**9])
    assert max(len(notes) for notes in seen._notes.values()) <= 257
    for sequence in (1, 777, 12_345, 30_000):
        found = seen.locate(position(1, sequence))
        assert abs(found.number - 2 * sequence) < 600
        assert abs(found.arrived_wall_ns / 1e9 - 2 * sequence) < 600
    again = Milestones.from_state(json.loads(json.dumps(seen.state())))
    assert again.locate(position(1, 777)) == seen.locate(position(1, 777))


def test_one_worker_counts_exactly():
    seen = Milestones()
    seen.add(list(range(1, 1_000)), list(range(1, 1_000)))
    assert (seen.locate(537).number, seen.locate(537).is_exact) == (537, True)
    assert Milestones().locate(5) is None
