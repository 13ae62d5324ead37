"""The champion's recorded answer and the lane's own, side by side."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from rig.evidence import comparison
from rig.journal import request
from rig.lane import TABLE
from shadowserve.comparison.comparing import Comparer, Scoring
from shadowserve.comparison.outputs import Outputs
from shadowserve.divergence import Kind, KindTally, names, tally
from shadowserve.records import Fault, Observation, Outcome
from shadowserve.schema.disclosure import Disclosure

FAULT = Fault("ValueError", None, "x.py:1 f", "abc")


def scoring(champion, lane, *, n_rows=1, status=200, fault=None, place=1):
    answers = [orjson.dumps({"predictions": values}) for values in (champion, lane)]
    return Scoring(
        request=request(place, status=status, answer=answers[0], n_rows=n_rows),
        observation=Observation(answer=None if fault else answers[1], fault=fault),
        rows=None,
        sizes={},
        alone=True,
        warmup=False,
        inclusion=1.0,
    )


@pytest.mark.parametrize(
    ("status", "fault", "outcome"),
    [
        (200, None, Outcome.BOTH_OK),
        (200, FAULT, Outcome.CHALLENGER_ERROR),
        (500, None, Outcome.CHAMPION_ERROR),
        (500, FAULT, Outcome.BOTH_ERROR),
    ],
)
def test_every_pair_of_ends_has_an_outcome(status, fault, outcome):
    assert scoring([1], [1], status=status, fault=fault).outcome is outcome


def test_ignored_fields_are_never_compared():
    """SS-102: a random id differs in every answer and says nothing."""
    rows = [[{"id": f"{side}{n}", "score": 0.3}] for n in range(30) for side in "ab"]
    asked = [scoring(one, two, place=n) for n, (one, two) in enumerate(zip(rows[::2], rows[1::2], strict=True), 1)]  # fmt: skip
    plain, ignoring = Comparer(TABLE), Comparer(TABLE, ignore=["id"])
    assert plain.compare(asked).compared.disagreement().min() > 0
    side = ignoring.compare(asked)
    assert ignoring.divergence.kind is Kind.RECORD
    assert not side.compared.disagreement().any()
    assert side.compared.exact.all()
    assert not side.compared.structure.any()


def test_only_what_both_answered_is_compared():
    comparer = Comparer(TABLE)
    assert comparer.compare([]) is None
    assert comparer.compare([scoring([1.5], [2.5], fault=FAULT)]) is None
    side = comparer.compare([scoring([1.5], [1.5]), scoring([1.5], [2.5], status=500)])
    assert len(side.scorings) == 1
    assert comparer.divergence.kind is Kind.NUMBER


def test_rows_are_averaged_within_each_request():
    comparer = Comparer(TABLE, output_kind="label")
    side = comparer.compare(
        [
            scoring(["a", "b"], ["a", "c"], n_rows=2),
            scoring(["a"], ["a"]),
            scoring(["a", "b", "c"], ["x", "y", "z"], n_rows=3),
        ]
    )
    disagreement = side.compared.disagreement()
    np.testing.assert_allclose(side.mean(disagreement), [0.5, 0.0, 1.0])
    assert side.any(disagreement > 0).tolist() == [True, False, True]
    assert side.champion == ["a", "b", "a", "a", "b", "c"]


def test_rows_without_a_number_enter_no_mean():
    side = Comparer(TABLE).compare(
        [scoring([1.0, 2.0], [1.0, 2.0], n_rows=2), scoring([1.0], [1.0])]
    )
    np.testing.assert_allclose(side.mean(np.array([np.nan, 3.0, np.nan])), [3.0, np.nan])


def test_an_answer_of_another_length_is_one_whole_difference():
    side = Comparer(TABLE, output_kind="number").compare(
        [scoring([1.0, 2.0], [1.0], n_rows=2), scoring([1.0], [1.0])]
    )
    np.testing.assert_allclose(side.mean(side.compared.disagreement()), [1.0, 0.0])


def test_the_kind_is_settled_by_the_first_answers_and_kept():
    comparer = Comparer(TABLE)
    comparer.compare([scoring([float(n)], [float(n)]) for n in range(20)])
    first = comparer.divergence
    comparer.compare([scoring(["a"], ["b"])])
    assert comparer.divergence is first


WORDS = "a description that goes on for more than forty letters"


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        ([1], [7.5, 0, 12, 3], Kind.NUMBER),
        (["ok"], [WORDS], Kind.TEXT),
        ([[]], [["a", "b"], ["c"]], Kind.RANKING),
        ([{}], [{"score": 0.5}], Kind.RECORD),
        ([None], [0.5, 1.5], Kind.NUMBER),
    ],
)
def test_a_first_answer_that_looks_like_another_kind_settles_nothing(first, later, kind):
    comparer = Comparer(TABLE)
    comparer.compare([scoring(first, first)])
    for value in later * 20:
        comparer.compare([scoring([value], [value])])
    assert comparer.divergence.kind is kind


def test_answers_of_another_length_say_nothing_of_the_kind():
    comparer = Comparer(TABLE)
    comparer.compare([scoring([1.5], [1.5, 2.5])] * 30)
    assert comparer.divergence.kind is Kind.NUMBER


@pytest.mark.parametrize(
    "value", [1.5, "a", [1.0, 2.0], ["a", "b"], {"a": 1.5, "b": {"c": "x", "d": [0.5] * 9}}]
)
def test_after_a_restart_answers_are_compared_as_before(value):
    """Without an output signature nothing but what was remembered tells the fields of an answer."""
    first, second = Comparer(TABLE), Comparer(TABLE)
    side = first.compare([scoring([value], [value])] * 30)
    remembered = tally(first.divergence)
    remembered.add(side.champion, side.lane, side.compared)
    second.resume(KindTally.from_state(orjson.loads(orjson.dumps(remembered.state()))))
    assert names(second.divergence) == names(first.divergence)
    again = second.compare([scoring([value], [value])])
    assert not again.compared.disagreement().any()
    remembered.add(again.champion, again.lane, again.compared)


def test_probabilities_are_laid_side_by_side_by_the_classes_of_each_version():
    """SS-106: the challenger has them in another order, and one more."""
    comparer = Comparer(
        TABLE, proba=True, classes=["c", "b", "a"], champion_classes=lambda: ["b", "c"]
    )
    side = comparer.compare([scoring([[0.25, 0.75]], [[0.75, 0.25, 0.0]])])
    assert comparer.divergence.kind is Kind.PROBABILITY
    assert side.compared.disagreement().tolist() == [0.0]
    assert not side.compared.structure.any()


def test_two_answers_to_one_request_are_laid_side_by_side_row_by_row():
    comparer = Comparer(TABLE, output_kind="label")
    asked = request(1, n_rows=3)
    one, two, short = (
        orjson.dumps({"predictions": rows}) for rows in (["a", "b", "c"], ["a", "x", "c"], ["a"])
    )
    assert comparer.apart(asked, one, two).tolist() == [0.0, 1.0, 0.0]  # whatever they are
    comparer.compare([scoring(["a"], ["a"])])
    assert comparer.apart(asked, one, two).tolist() == [0.0, 1.0, 0.0]
    assert comparer.apart(asked, one, short).tolist() == [1.0]


def test_a_named_kind_is_taken():
    comparer = Comparer(TABLE, output_kind="set")
    side = comparer.compare([scoring([["a", "b"]], [["b", "a"]])])
    assert comparer.divergence.kind is Kind.SET
    assert side.compared.disagreement().tolist() == [0.0]


def counts(n, seed):
    """Whole numbers of a version trained again, a little off now and then."""
    rng = np.random.default_rng(seed)
    champion = rng.integers(0, 90, n).tolist()
    off = np.where(rng.random(n) < 0.4, rng.integers(1, 4, n) * rng.choice([-1, 1], n), 0)
    return [scoring([c], [int(c + o)], place=i) for i, (c, o) in enumerate(zip(champion, off, strict=True), 1)]  # fmt: skip


def remembering(outputs, comparer, asked):
    """Learn a flush as a lane does."""
    side = comparer.compare(asked)
    apart = side.mean(side.compared.disagreement())
    made = [
        comparison(one.request.position, 1, disagreement=float(d), tolerant=bool(d == 0))
        for one, d in zip(asked, apart, strict=True)
    ]
    outputs.add(side, made, comparer.divergence, disclosure=Disclosure(b"salt"))


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_remembered_of_a_kind_that_was_revised_begins_anew_and_is_said(restarted):
    """Counts are taken for classes until forty of them differ; what is known then is of numbers alone."""
    outputs, comparer = Outputs(), Comparer(TABLE, signature=[{"type": "long"}])
    first, later = counts(40, 0), counts(300, 1)
    remembering(outputs, comparer, first)
    assert outputs.kind is Kind.LABEL
    if restarted:
        outputs = Outputs.from_state(
            orjson.loads(orjson.dumps(outputs.state(), option=orjson.OPT_SERIALIZE_NUMPY))
        )
        comparer = Comparer(TABLE, signature=[{"type": "long"}])
        comparer.resume(outputs.tally)
    remembering(outputs, comparer, later)
    assert outputs.kind is Kind.NUMBER
    assert outputs.disagreement.n == 300
    assert outputs.disagreement.mean < 0.1
    (said,) = outputs.revised
    assert "compared as label for 40 requests and proved to be number" in said


def test_a_kind_that_the_team_names_is_never_revised():
    comparer = Comparer(TABLE, output_kind="label")
    comparer.compare(counts(300, 1))
    assert comparer.divergence.kind is Kind.LABEL
