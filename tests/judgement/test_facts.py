"""What is known of a challenger: both lanes, paired request by request."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rig.judging import known_of, shadowed, timed
from rig.scoring import double, native, opaque, pipeline
from shadowserve.comparison.bursts import burst_of
from shadowserve.judgement.facts import gather
from shadowserve.judgement.pairs import Pair, bursts
from shadowserve.records import position


def pair(place, challenger, control, **scores):
    fields = {"challenger_scores": None, "control_scores": None, **scores}
    return Pair(place, challenger, control, (), (), **fields)


def test_requests_that_both_lanes_scored_in_a_burst_are_paired(tmp_path):
    known = known_of(tmp_path, opaque(double), n=400)
    assert [one.position for one in known.pairs] == [*range(1, 21), *range(321, 341)]
    counted = [one for one in known.pairs if one.challenger_ms and one.control_ms]
    assert [one.position for one in counted] == list(range(325, 341))  # past both warm-ups


def test_without_a_control_nothing_is_paired(tmp_path):
    known = gather(*shadowed(tmp_path, opaque(double), n=30, control=False), challenger=4)
    assert known.control is None
    assert known.pairs == ()
    assert known.paired.n_pairs == 0


def test_a_pair_that_one_side_did_not_time_is_in_no_burst():
    pairs = [pair(1, 2.0, 1.0), pair(2, None, 1.0), pair(3, 2.0, None), pair(21, 2.0, 1.0)]
    assert [[one.position for one in burst] for burst in bursts(pairs)] == [[1]]


def test_bursts_of_several_workers_are_in_the_order_in_which_they_came():
    """By position all of one worker's bursts would come before the other's."""
    later = [next(n for n in range(201, 401) if burst_of(position(w, n))) for w in (0, 1)]
    when = {(0, 1): 10, (1, 1): 20, (0, later[0]): 30, (1, later[1]): 40}
    pairs = [
        dataclasses.replace(pair(position(*place), 2.0, 1.0), arrived_ns=at)
        for place, at in sorted(when.items())
    ]
    assert [burst[0].arrived_ns for burst in bursts(pairs)] == [10, 20, 30, 40]


def test_the_ratio_is_what_callers_wait_with_the_challenger_over_the_control(tmp_path):
    known = timed(known_of(tmp_path, opaque(double), n=30), times=3.0)
    assert known.in_turn
    assert abs(known.paired.interval(0.05).ratio - 3.0) < 0.05


def test_what_each_scored_in_its_own_time_is_paired_where_they_took_no_turns(tmp_path):
    known = timed(known_of(tmp_path, opaque(double), n=30), times=3.0, in_turn=False)
    assert not known.in_turn
    assert abs(known.paired.interval(0.05).ratio - 3.0) < 0.05


def test_probabilities_of_both_lanes_are_laid_side_by_side(tmp_path):
    own = native(pipeline(labels=True))
    known = known_of(tmp_path, own, champion=own, n=60)
    same = known.scores()
    assert same.classes == (False, True)
    assert same.challenger.shape == (20, 2)
    assert np.array_equal(same.challenger, same.control)
    apart = (
        pair(1, 1.0, 1.0, challenger_scores=[0.25, 0.75], control_scores=[0.5, 0.5]),
        pair(2, 1.0, 1.0),
    )
    known = dataclasses.replace(known, pairs=apart)
    np.testing.assert_allclose(known.scores().challenger, [[0.25, 0.75]])
    np.testing.assert_allclose(known.scores().control, [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("own", "theirs", "classes", "challenger"),
    [
        (["b", "a", "c"], ["a", "b", "c"], ("a", "b", "c"), [0.3, 0.2, 0.5]),
        (["a", "b", "c"], ["b", "c"], ("b", "c", "a"), [0.3, 0.5, 0.2]),
        ([0, 1, 2], [0, 1], (0, 1, 2), [0.2, 0.3, 0.5]),
        (["x", "y", "z"], ["a", "b", "c"], None, None),
        (None, None, None, None),
    ],
)
def test_scores_are_laid_out_by_class_and_never_by_position(
    tmp_path, own, theirs, classes, challenger
):
    known = known_of(tmp_path, opaque(double), n=30)
    known.learned.classes, known.control.classes = own, theirs
    n = len(theirs or "ab")
    both = {"challenger_scores": [0.2, 0.3, 0.5], "control_scores": [1 / n] * n}
    scores = dataclasses.replace(known, pairs=(pair(1, 1.0, 1.0, **both),)).scores()
    if classes is None:
        assert scores is None
        return
    assert scores.classes == classes
    np.testing.assert_allclose(scores.challenger, [challenger])
    np.testing.assert_allclose(scores.control.sum(), 1.0)
