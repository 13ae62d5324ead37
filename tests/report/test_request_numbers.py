"""Requests bear a number that counts, whichever worker answered them."""

from __future__ import annotations

import json

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import answer, records, work
from rig.scoring import double, opaque
from shadowserve.judgement.facts import gather
from shadowserve.records import position
from shadowserve.report import build


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
