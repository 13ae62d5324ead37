"""What is done with each of many requests is what is decided of it alone; and each is typed as if alone."""

from __future__ import annotations

import random

import pytest

from rig.journal import request
from rig.scoring import native, pipeline
from shadowserve.comparison.bursts import block_of
from shadowserve.lane.intake import turn
from shadowserve.lane.looking import turns
from shadowserve.lane.observing import Observer
from shadowserve.records import Role, position
from shadowserve.statistics.measuring import Plan
from shadowserve.wire.protocols import protocols

SHARES = (0.0, 0.001, 0.05, 0.5, 1.0)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("role", [Role.CHALLENGER, Role.CONTROL])
@pytest.mark.parametrize("seed", range(4))
def test_many_are_decided_as_each_alone(role, batched, seed):
    chance = random.Random(seed)
    places = [
        position(worker, n) for worker in (0, 3) for n in range(1 + 700 * seed, 700 * (seed + 1))
    ]
    large = [chance.random() < 0.1 for _ in places]
    plans = {
        each: Plan(chance.choice(SHARES), chance.choice(SHARES), chance.choice(SHARES))
        for each in dict.fromkeys(map(block_of, places))
    }
    found = turns(places, large, role=role, plans=plans, batched=batched)
    assert found == [
        turn(place, role=role, large=big, plan=plans[block_of(place)], batched=batched)
        for place, big in zip(places, large, strict=True)
    ]
    assert turns([], [], role=role, plans={}, batched=batched) == []


def test_requests_of_several_protocols_are_typed_in_their_order():
    scorer = native(pipeline())
    observer = Observer(scorer, dict(protocols("films", 3)), mark=[0])
    names = [column.key for column in scorer.schema.columns]
    record = ",".join(f'"{name}": null' for name in names)
    bodies = {
        "invocations": b'{"dataframe_records": [{%b}]}' % record.encode(),
        "predict": b'{"rows": [{%b}]}' % record.encode(),
        "infer": b"{}",
    }
    sent = [request(n + 1, protocol=(p := list(bodies)[n % 3]), body=bodies[p]) for n in range(30)]
    found, alone = observer.typed_all(sent), [observer.typed(one) for one in sent]
    assert [one.request for one in found] == sent
    for one, other in zip(found, alone, strict=True):
        assert (one.rows is None) == (other.rows is None)
        assert one.refusal == other.refusal
    assert any(one.rows is None for one in found)
