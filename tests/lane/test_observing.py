"""Scoring journaled requests: each fault is its own request's, and starvation is no slowness."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import orjson
import pandas as pd
import pytest

from rig.journal import request
from rig.lane import TABLE
from rig.scoring import body, double, native, opaque, pipeline, predictions, record
from shadowserve import wire
from shadowserve.comparison.comparing import Comparer
from shadowserve.comparison.failures import Noise
from shadowserve.divergence import tally
from shadowserve.divergence.kinds.number import NumberDivergence
from shadowserve.lane.observing import Observer
from shadowserve.lane.rescoring import BATCH, EVERY, Rescorer


def observer(scorer):
    return Observer(scorer, TABLE, mark=[-1])


def asked(place, *records, sent=None, **changes):
    fields = {"content_type": "application/json", "n_rows": len(records), **changes}
    return request(place, body=body(*records) if sent is None else sent, **fields)


def test_a_request_is_answered_as_the_champion_would():
    own = observer(native(pipeline()))
    seen = own.alone(own.typed(asked(1, record(1), record(2))))
    assert len(predictions(seen.answer)) == 2
    assert seen.fault is None
    assert seen.times.batch_requests == 1
    assert len(seen.times.wall_ns) == 3
    assert seen.times.total_ns > 0


def test_requests_scored_together_are_answered_as_alone():
    own = observer(native(pipeline()))
    typed = [own.typed(asked(n, record(n))) for n in range(1, 10)]
    together = [predictions(one.answer)[0] for one in own.together(typed)]
    alone = [predictions(own.alone(one).answer)[0] for one in typed]
    assert together == pytest.approx(alone, rel=1e-9)


def test_probabilities_are_scored_beside_labels():
    own = observer(native(pipeline(labels=True)))
    first, second = own.together([own.typed(asked(1, record(1))), own.typed(asked(2, record(2), record(3)))])  # fmt: skip
    assert (first.scores.shape, second.scores.shape) == ((1, 2), (2, 2))
    np.testing.assert_allclose(second.scores.sum(axis=1), 1.0)


def test_what_cannot_be_typed_is_a_fault_that_names_the_column():
    own = observer(opaque(double))
    typed = own.typed(asked(1, {"age": 1.0}))
    seen = own.alone(typed)
    assert typed.rows is None
    assert seen.fault.column == "title"
    assert seen.fault.type.endswith(":missing_column")
    assert seen.fault.step == "schema"


def test_a_fault_in_a_batch_is_its_own_requests_only():
    def fail(frame, params):
        if (frame["age"] == 2).any():
            raise ValueError
        return double(frame, params)

    own = observer(opaque(fail))
    seen = own.together([own.typed(asked(n, record(n))) for n in range(1, 5)])
    assert [one.fault is None for one in seen] == [True, False, True, True]


@pytest.mark.parametrize("bad", [{3}, {511}, {0, 1}, {5, 200, 201, 450}, set(range(512))])
def test_requests_that_raise_among_many_are_found_by_halves(bad):
    calls = []

    def fail(frame, params):
        calls.append(len(frame))
        if frame["age"].isin(bad).any():
            raise ValueError
        return double(frame, params)

    own, held = observer(opaque(fail)), []
    typed = [own.typed(asked(n + 1, record(n))) for n in range(512)]
    seen = own.together(typed, hold=lambda places: held.append(len(places)))
    assert {n for n, one in enumerate(seen) if one.fault is not None} == bad
    good = [(n, predictions(one.answer)) for n, one in enumerate(seen) if one.fault is None]
    assert good == [(n, [n * 2.0]) for n in range(512) if n not in bad]
    assert held == calls  # each call has a deadline of its own
    if len(bad) < 10:
        assert len(calls) <= 2 * 10 * len(bad)


def test_a_batch_that_fails_while_its_halves_do_not_costs_no_answer():
    def fail(frame, params):
        if len(frame) > 3:
            raise MemoryError
        return double(frame, params)

    own = observer(opaque(fail))
    seen = own.together([own.typed(asked(n, record(n))) for n in range(1, 12)])
    assert [predictions(one.answer) for one in seen] == [[n * 2.0] for n in range(1, 12)]


ODD = [
    np.array([0.1, -0.0, np.nan, np.inf, 5e-324, 1e16, 2.0**53, 1e300, 1.0]),
    np.array([2**53 + 1, -(2**63), 2**63 - 1]),
    np.array([2**64 - 1, 0], dtype=np.uint64),
    np.array([True, False]),
    np.array([1.5, 0.1], dtype=np.float32),
    np.array([[0.25, np.nan], [1.0, 2.0]]),
    np.array([[1, 2], [3, 4]], dtype=np.int8),
    np.array([[True], [False]]),
    np.array([[], []]),
    np.array([[[1]], [[2]]]),
    np.array(["a,b", "c],[d"]),
    np.array([1, "a", None, 2.5, True, [1, 2]], dtype=object),
    np.array(["2026-01-01", "NaT"], dtype="datetime64[ns]"),
]


@pytest.mark.parametrize("output", ODD, ids=lambda one: f"{one.dtype}-{one.ndim}")
def test_answers_that_are_encoded_at_once_are_those_that_callers_get(output):
    own = observer(opaque(lambda frame, _: output[: len(frame)]))
    seen = own.together([own.typed(asked(n, record(n))) for n in range(1, len(output) + 1)])
    alone = [wire.answer(output[n : n + 1]) for n in range(len(output))]
    assert [one.answer for one in seen] == alone
    assert [one.nonfinite for one in seen] == [
        wire.nonfinite(output[n : n + 1]) for n in range(len(output))
    ]


def test_a_request_that_was_refused_sends_nobody_through_the_model_twice():
    calls = []

    def noted(frame, params):
        calls.append(len(frame))
        return double(frame, params)

    own = observer(opaque(noted))
    seen = own.together([own.typed(asked(1, record(1))), own.typed(asked(2, {"age": 1.0})), own.typed(asked(3, record(3)))])  # fmt: skip
    assert calls == [2]
    assert [one.fault is None for one in seen] == [True, False, True]


@pytest.mark.parametrize("error", [ValueError("s3cret"), SystemExit("s3cret"), MemoryError()])
def test_whatever_a_model_raises_is_a_fault_without_its_text(error):
    def fail(frame, params):
        raise error

    own = observer(opaque(fail))
    seen = own.alone(own.typed(asked(1, record(1))))
    assert seen.fault.type == type(error).__name__
    assert "s3cret" not in str(seen)


def test_values_that_are_not_finite_are_counted():
    own = observer(opaque(lambda f, p: np.where(f["age"] > 1, np.nan, 1.0)))
    assert own.alone(own.typed(asked(1, record(1), record(2), record(3)))).nonfinite == 2


def offered(scorer, n=EVERY, *, ignore=()):
    own, noise = observer(scorer), Noise()
    again = Rescorer(own, TABLE, ignore=ignore)
    for place in range(1, n + 1):
        typed = own.typed(asked(place, record(place)))
        again.offer(typed, own.alone(typed), noise)
    return noise


def test_a_share_is_scored_again_alone_and_in_a_batch():
    noise = offered(native(pipeline()), 2 * EVERY)
    assert (noise.again.n, noise.together.n) == (2 * BATCH, 2 * BATCH)
    assert noise.again.mean == noise.together.mean == 0.0
    assert offered(native(pipeline()), EVERY - 1).again.n == 0


def test_a_version_that_depends_on_its_neighbours_differs_in_a_batch_only():
    noise = offered(opaque(lambda f, p: double(f, p) - f["age"].mean()))
    assert noise.again.mean == 0.0
    assert noise.together.mean == 1.0
    first = EVERY - BATCH + 1
    assert noise.examples == list(range(first, first + 5))


@pytest.mark.parametrize(("ignore", "noisy"), [((), 1.0), (("id",), 0.0)])
def test_a_field_that_is_ignored_is_no_noise(ignore, noisy):
    """SS-102: a random id in the answer."""
    ids = iter(range(10**6))

    def answered(frame, params):
        return pd.DataFrame(
            {"id": [next(ids) for _ in frame.index], "age": frame["age"].to_numpy()}
        )

    noise = offered(opaque(answered), ignore=ignore)
    assert (noise.again.mean, noise.together.mean) == (noisy, noisy)


def doubted(scorer, n=200, **options):
    """Offer requests whose champion said twice the age; return the noise and what was doubted."""
    own, noise, comparer = observer(scorer), Noise(), Comparer(TABLE, **options)
    comparer.resume(tally(NumberDivergence()))
    again = Rescorer(own, TABLE, comparer=comparer)
    for place in range(1, n + 1):
        said = orjson.dumps({"predictions": [2.0 * place]})
        typed = own.typed(asked(place, record(place), answer=said))
        again.offer(typed, own.alone(typed), noise)
    return noise, [one.position for one in noise.new_doubts()]


def test_what_differs_from_the_champion_is_doubted_and_stays_as_it_is_where_it_is_wrong():
    noise, places = doubted(
        opaque(lambda f, p: double(f, p) + 10 * (f["age"].to_numpy() % 50 == 49))
    )
    assert places == [49, 99, 149, 199]
    assert (noise.wandering.mean, noise.persisting.mean) == (0.0, 1.0)
    assert noise.new_doubts() == []


def test_noise_comes_back_towards_the_champion_at_least_every_other_time():
    chance = np.random.default_rng(0)
    noise, places = doubted(opaque(lambda f, p: double(f, p) + chance.normal(0, 1, len(f))), 1_000)
    assert noise.wandering.mean == 1.0
    assert noise.persisting.mean < 0.5
    assert 80 <= len(places) <= 101  # one request in ten, whatever differs


def test_a_bias_persists_though_noise_lies_upon_it():
    chance = np.random.default_rng(0)
    noise, _ = doubted(opaque(lambda f, p: double(f, p) + 10 + chance.normal(0, 1, len(f))))
    assert noise.persisting.mean == 1.0


def test_an_answer_of_another_length_persists():
    noise, _ = doubted(opaque(lambda f, p: [*double(f, p).tolist(), 1.0]))
    assert noise.persisting.mean == 1.0


def test_answers_from_a_batch_are_doubted_too_but_say_nothing_of_wandering():
    """A lane that is behind scores in batches: what its neighbours did to a row is not noise."""
    own, noise, comparer = observer(opaque(lambda f, p: double(f, p) - f["age"].mean())), Noise(), Comparer(TABLE)  # fmt: skip
    again = Rescorer(own, TABLE, comparer=comparer)
    for start in range(21, 121, 10):
        said = [orjson.dumps({"predictions": [1.0 * n]}) for n in range(start, start + 10)]
        batch = [own.typed(asked(n, record(n), answer=a)) for n, a in enumerate(said, start)]
        for typed, seen in zip(batch, own.together(batch), strict=True):
            again.offer(typed, seen, noise)
    assert 1 <= noise.persisting.n <= 4
    assert noise.persisting.mean == 0.0
    assert (noise.wandering.n, noise.again.n) == (0, 0)


def test_what_is_slow_is_not_scored_again():
    """Its deadline runs on, alone and in a batch."""
    calls = []

    def slow(frame, params):
        calls.append(len(frame))
        time.sleep(0.06)
        return double(frame, params) + 1

    own, noise = observer(opaque(slow)), Noise()
    again = Rescorer(own, TABLE, comparer=Comparer(TABLE))
    said = orjson.dumps({"predictions": [0.0]})
    batch = [own.typed(asked(n, record(n), answer=said)) for n in (21, 22)]
    for typed, seen in zip(batch, own.together(batch), strict=True):
        again.offer(typed, seen, noise)
    again.offer(batch[0], own.alone(batch[0]), noise)
    assert calls == [2, 1]
    assert noise.persisting.n == 0


def test_nothing_is_doubted_within_bursts_or_where_both_agree():
    assert doubted(opaque(lambda f, p: double(f, p) + 1), 20)[1] == []
    assert doubted(opaque(double))[1] == []


def test_a_version_that_is_served_row_by_row_is_tried_in_a_batch_where_its_signature_allows():
    """Lanes gather that evidence in any mode; rows that cannot be laid end to end are never tried."""
    scorer = opaque(lambda f, p: double(f, p) - f["age"].mean(), batched=False)
    noise = offered(scorer)
    assert (noise.again.n, noise.together.mean) == (BATCH, 1.0)
    unlike = replace(scorer, sharing=replace(scorer.sharing, able=False))
    assert offered(unlike).together.n == 0


def test_noise_is_read_back_as_it_was():
    noise = offered(opaque(lambda f, p: double(f, p) - f["age"].mean()))
    assert Noise.from_state(noise.state()).state() == noise.state()
