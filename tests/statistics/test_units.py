"""The unit: an entity counts once, whatever it sends."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.fed_lane import ANSWERS, CHALLENGER, CONTROL, FedLane, known_of
from rig.journal import request
from shadowserve.comparison.comparing import Scoring
from shadowserve.judgement.findings import look
from shadowserve.judgement.verdict import Verdict, judge
from shadowserve.records import Observation
from shadowserve.schema.rows import Rows
from shadowserve.settings.policy import Policy
from shadowserve.statistics.sequential import MeanSequence
from shadowserve.statistics.units import LATELY, PLACES, Units, unit_of


def rows(*users):
    return Rows({"user": np.array(users, dtype=object)}, len(users))


def test_an_entity_has_one_number_whatever_its_request():
    found = [unit_of(rows(*users), entity="user", salt=b"s") for users in (("a",), ("a", "b"))]
    assert found[0] == found[1]
    assert 0 <= found[0] < PLACES
    assert unit_of(rows("a"), entity="user", salt=b"other") != found[0]


@pytest.mark.parametrize(
    ("given_rows", "entity"),
    [(rows("a"), None), (rows("a"), "shop"), (rows(None), "user"), (rows(np.nan), "user"), (rows(), "user"), (None, "user")],
)  # fmt: skip
def test_a_request_without_an_entity_is_a_unit_of_its_own(given_rows, entity):
    assert unit_of(given_rows, entity=entity, salt=b"s") is None
    units = Units()
    assert units.first([None, None])[0].all()
    assert (units.n, units.without) == (0, 2)


@given(st.lists(st.integers(0, 30)), st.integers(1, 9))
def test_each_entity_is_first_once_however_requests_are_cut(asked, size):
    units, first = Units(), []
    for at in range(0, len(asked), size):
        first += units.first(asked[at : at + size])[0].tolist()
        units = Units.from_state(json.loads(json.dumps(units.state())))
    assert [unit for unit, own in zip(asked, first, strict=True) if own] == list(
        dict.fromkeys(asked)
    )
    assert units.n == len(set(asked))


def test_what_watches_for_a_change_sees_an_entity_again_after_a_thousand_requests():
    units = Units()
    lately = units.first([1] * (3 * LATELY))[1]
    assert np.flatnonzero(lately).tolist() == [0, LATELY, 2 * LATELY]


def test_its_state_stays_small():
    units = Units()
    units.first(np.random.default_rng(0).integers(0, PLACES, 300_000).tolist())
    assert len(json.dumps(units.state())) < 200_000


def judged(units, differs):
    """Feed lanes with one request a unit, of which some get another label; return findings and verdict."""
    challenger, control = (FedLane(name, Policy()) for name in (CHALLENGER, CONTROL))
    for at in range(0, len(units), 100):
        part = range(at, min(at + 100, len(units)))
        for lane, wrong in ((challenger, True), (control, False)):
            lane.take([_scoring(i + 1, units[i], wrong and differs[i]) for i in part])
    known = known_of(challenger, control, entity="user")
    found = look(known, Policy())
    return [one for one in found if one.severity.is_alarm], judge(known, found, Policy())


def _scoring(place, unit, wrong):
    asked = request(place, answer=ANSWERS[0])
    columns = {"user": np.array([str(unit)], dtype=object)}
    seen = Observation(answer=ANSWERS[int(wrong)])
    return Scoring(asked, seen, Rows(columns, 1), {}, False, False, 1.0, unit=unit)


def test_one_entity_that_sends_a_third_of_all_requests_is_one_observation():
    """A bot that always disagrees says of one entity that it disagrees."""
    chance = np.random.default_rng(0)
    bot = chance.random(2_000) < 0.3
    users = np.where(bot, 0, chance.integers(1, 700, 2_000)).tolist()
    alarms, judgement = judged(users, bot)
    assert alarms == []
    assert judgement.verdict is not Verdict.REJECT
    assert (judgement.unit.name, judgement.unit.n) == ("user", len(set(users)))
    assert f"{len(set(users))} different 'user'" in judgement.limits[0].says
    each = list(range(2_000))  # the same requests, each from somebody else
    alarms, judgement = judged(each, bot)
    assert "prediction_divergence" in {one.kind for one in alarms}
    assert judgement.verdict is Verdict.REJECT


def test_the_interval_holds_however_much_an_entity_sends():
    """Entities differ in rate and traffic; one in ten disagrees always. By request it goes wrong."""
    missed = {"unit": 0, "request": 0}
    for seed in range(60):
        chance = np.random.default_rng(seed)
        always = chance.random(400) < 0.1
        weight = chance.pareto(1.2, 400) + 0.05
        users = chance.choice(400, 3_000, p=weight / weight.sum())
        units, by = Units(), {"unit": MeanSequence(), "request": MeanSequence()}
        wrong = dict.fromkeys(by, False)
        for part in np.split(users, 30):
            first, _ = units.first(part.tolist())
            by["unit"].add(always[part][first])
            by["request"].add(always[part])
            for name, seen in by.items():
                low, high = seen.interval(0.05)
                wrong[name] |= not low <= 0.1 <= high
        for name, ever in wrong.items():
            missed[name] += ever
    assert missed["unit"] <= 6
    assert missed["request"] > 15
