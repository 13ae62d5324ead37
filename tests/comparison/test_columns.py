"""A flush compared, recorded and kept by columns is what each of its requests is by itself."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from rig.journal import request
from shadowserve.comparison.comparing import Comparer, Scoring
from shadowserve.lane.recording import Recorder
from shadowserve.lane.tables import joined, pack, table
from shadowserve.lane.windows import encode
from shadowserve.records import Fault, Observation, Times
from shadowserve.state.classes import by_class
from shadowserve.statistics.units import Units
from shadowserve.wire.protocols import protocols

TABLE = dict(protocols("films", 3))
STEPS = (("features", ()), ("model", ()))
BIG = 2**53 + 1
ODD = (
    None,
    0.5,
    "a",
    True,
    1,
    1.0,
    -0.0,
    0.0,
    BIG,
    BIG + 1,
    float(2**53),
    10**30,
    [1],
    {"a": 1},
    "",
)
KINDS = {
    "number": [1.5, 2.5, 2.5000000001, 1e300, -1e300, 5e-324, *ODD],
    "label": ["yes", "no", 3, 4, False, *ODD],
    "ranking": [[1, 2, 3], [3, 2, 1], [1, 2], [], ["1", 2], [None, 1], [1, 1, 2], *ODD],
    "vector": [[0.5, 0.25], [0.5, None], [0.5], [0.25, 0.5, 0.1], [[1.0], [2.0]], *ODD],
    "probability": [[0.2, 0.8], [0.8, 0.2], [1.0, 0.0], [None, 1.0], [0.5], *ODD],
    "text": ["one two", "one three", "ONE two", "\u00fc\U0001f600", *ODD],
    "record": [
        {"score": 0.5, "grade": 1}, {"score": None, "grade": 2}, {"score": 0.5},
        {"score": "x", "grade": [1], "more": {"deep": [1, {"b": None}]}}, {}, *ODD,
    ],
}  # fmt: skip


def scorings(values):
    """Pair each answer with each, alone, in twos and unevenly; some of either side failed."""
    made, n = [], len(values)
    for place in range(n * n):
        ours, theirs = values[place % n], values[place // n]
        rows = [[theirs], [ours]] if place % 3 else [[theirs, ours], [ours, theirs]]
        if place % 7 == 0:
            rows[1] = rows[1] * 2  # another number of rows
        body = [b'{"predictions":%b}' % json.dumps(side).encode() for side in rows]
        status = 500 if place % 11 == 0 else 200
        fault = Fault("ValueError", "model", "x.py:1 f", "abc") if place % 13 == 0 else None
        times = Times((5, 6, 7, 8, 9, 0), (8, 9), (7, 8), 1 + place % 2, 2)
        made.append(
            Scoring(
                request=request(
                    place + 1, answer=body[0], status=status, n_rows=len(rows[0]), arrived_wall_ns=place
                ),
                observation=Observation(
                    answer=None if fault else body[1], fault=fault, times=None if fault else times,
                    scores=np.array([[0.25, 0.75]]) if place % 2 else None, nonfinite=place % 4,
                ),
                rows=None, sizes={"text": place}, alone=place % 2 == 0, warmup=place < 3,
                inclusion=1.0 if place % 5 else 0.1,
            )
        )  # fmt: skip
    return made


def recorder():
    scorer = SimpleNamespace(loaded=SimpleNamespace(classes=[0, 1]), step_names=STEPS)
    return Recorder(scorer, SimpleNamespace(steps=lambda _: STEPS), 4)


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or one != one
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_comparison_is_what_it_is_one_by_one(kind):
    given = scorings(KINDS[kind])
    whole, single = Comparer(TABLE), Comparer(TABLE)
    side = whole.compare(given)
    together = recorder().comparisons(given, side, Units())
    single.divergence, single._sample, single._revision = whole.divergence, None, None
    units, alone = Units(), []
    for one in given:
        alone += recorder().comparisons([one], single.compare([one]), units)
    assert len(together) == len(given) > 150
    for one, other in zip(together, alone, strict=True):
        wanted = asdict(other)
        for name, value in asdict(one).items():
            assert same(value, wanted[name]), (kind, one.position, name)
    assert sum(one.disagreement is not None for one in together) > 100
    writable = [one for one in together if _is_writable(one)]
    assert len(writable) > 100
    by_columns = joined([], [pack(table(writable))])
    assert by_columns.equals(joined([encode(one) for one in writable], []))


def told_plainly(one, served):
    """Tell times, sizes and probabilities of one request, field by field, from what was seen of it."""
    request, seen, times = one.request, one.observation, Times.unpack(one.request.times)
    alone = times.batch_requests == 1 and request.status == 200
    found = {
        "response_ms": times.total_ns / 1e6,
        "champion_work_ms": times.work_ns / 1e6 if request.status == 200 else None,
        "champion_ms": times.work_ns / 1e6 if alone else None,
        "champion_steps": {},
        "lag_ms": seen.times.phases_ns[0] / 1e6 if seen.times else 0.0,
        "lane_ms": None, "lane_steps": {}, "lane_cpu": {},
        "sizes": one.sizes, "starved_ms": seen.starved_ns / 1e6,
        "lane_scores": by_class(seen.scores, served, [0, 1]),
    }  # fmt: skip
    if alone and len(times.wall_ns) == len(STEPS):
        names = [name for name, _ in STEPS]
        found["champion_steps"] = {n: ns / 1e6 for n, ns in zip(names, times.wall_ns, strict=True)}
    if one.alone and seen.times:
        inner = {name: wall / 1e6 for name, _, wall, _ in seen.inner}
        found["lane_ms"] = seen.times.work_ns / 1e6
        found["lane_steps"] = {"features": 8 / 1e6, "model": 9 / 1e6, **inner}
        found["lane_cpu"] = {"features": 7 / 1e6, "model": 8 / 1e6}
    return found


SCORES = (None, np.array([[0.25, 0.75]]), np.array([[np.nan, 0.5]]), np.array([[0.1, 0.9]] * 2),
          np.array([[0.5]]), np.array([[0.25, 0.75]], dtype=np.float32))  # fmt: skip


@pytest.mark.parametrize("many", SCORES, ids=str)
def test_times_sizes_and_probabilities_are_what_each_request_says(many):
    given, champion = scorings(KINDS["number"]), (Times((1, 2, 3, 4, 5, 6), (4, 5), (1, 1)),
        Times((10**12, 2, 3, 4, 5, 6), (4, 5), (1, 1), 3, 9), Times((1, 2, 3, 4, 5, 6)), Times((0,) * 6, (1, 2, 3), (1, 1, 1)))  # fmt: skip
    changed = []
    for place, one in enumerate(given):
        inner = (("model/look up", ("a",), 3, 2),) if place % 6 == 0 else ()
        scores = many if place % 4 or many is None else None
        scores = many if place < 200 else scores
        seen = one.observation._replace(scores=scores, inner=inner, starved_ns=place)
        packed = champion[place % len(champion) if place >= 20 else 0].pack()
        changed.append(one._replace(request=one.request._replace(times=packed), observation=seen))
    for part in (changed[:20], changed[:200], changed):  # all alike, then less and less
        side = Comparer(TABLE).compare(part)
        found = recorder().comparisons(part, side, Units())
        assert len(found) == len(part)
        for one, told in zip(part, found, strict=True):
            for name, value in told_plainly(one, told.lane).items():
                assert same(value, getattr(told, name)), (told.position, name)


def test_times_that_hold_no_phases_are_refused_whole():
    for broken in (b"", b"x" * 12, b"x" * 56):
        given = scorings([1.5, 2.5])
        given[1] = given[1]._replace(request=given[1].request._replace(times=broken))
        with pytest.raises(ValueError, match=f"{len(broken)} bytes came"):
            recorder().comparisons(given, None, Units())


def _is_writable(one):
    try:
        encode(one)
    except TypeError:  # a whole number beyond 64 bits; the lane records such a request as failed
        return False
    return True
