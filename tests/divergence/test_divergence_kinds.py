"""Each kind's own numbers, by hand or against scipy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine, jensenshannon

from shadowserve.divergence import Kind, Options, Tolerance, divergence_of, tally
from shadowserve.divergence.kinds.label import LabelDivergence
from shadowserve.divergence.kinds.multi import MultiDivergence
from shadowserve.divergence.kinds.number import NumberDivergence
from shadowserve.divergence.kinds.probability import ProbabilityDivergence, jensen_shannon
from shadowserve.divergence.kinds.record import RecordDivergence
from shadowserve.divergence.kinds.sets import SetDivergence
from shadowserve.divergence.kinds.text import TextDivergence
from shadowserve.divergence.kinds.vector import VectorDivergence
from shadowserve.errors import SettingsError


@pytest.mark.parametrize(
    ("champion", "lane", "difference", "relative", "disagreement"),
    [
        (2, 2.0, 0, 0, 0),
        (4.0, 3.0, -1, 0.25, 1 / 7),
        (0, 5, 5, 1, 1),
        (-2, 2, 4, 2, 1),
        (0.0, -0.0, 0, 0, 0),
        (1e308, -1e308, -math.inf, 2, 1),
        (1e-300, 3e-300, 0, 2 / 3, 0),
    ],
)
def test_numbers_by_hand(
    champion: float, lane: float, difference: float, relative: float, disagreement: float
) -> None:
    found = NumberDivergence().compare([champion], [lane]).values
    expected = max(difference, -np.finfo(np.float64).max)
    assert found["difference"][0] == pytest.approx(expected, abs=1e-12)
    assert found["absolute"][0] == abs(found["difference"][0])
    assert found["relative"][0] == pytest.approx(relative)
    assert found["disagreement"][0] == pytest.approx(disagreement)


def test_tolerance_is_relative_plus_absolute_and_the_edge_is_inside() -> None:
    divergence = NumberDivergence(Tolerance(relative=0.25, absolute=1.0))
    found = divergence.compare([0.0, 0.0, 8.0, 8.0], [1.25, 1.5, 12.0, 13.0])
    # limits are 1 + 0.25 of the larger: 1.3125, 1.375, 4 and 4.25
    assert found.tolerant.tolist() == [True, False, True, False]
    assert found.values["beyond_tolerance"].tolist() == [0, 1, 0, 1]
    assert not found.exact.any()


def test_nan_is_nan_whatever_it_is_called() -> None:
    """SS-104: None, NaN of any width, pd.NA and NaT are one."""
    nulls = [None, math.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT")]
    for a in nulls:
        for b in nulls:
            assert NumberDivergence().compare([a], [b]).exact.all()
    same = NumberDivergence().compare([math.nan, 1], np.array([np.nan, 1], dtype=np.float32))
    assert not same.disagreement().any()
    differs = NumberDivergence().compare([math.nan], [1])
    assert differs.nan_mismatch.sum() == 1
    remembered = tally(NumberDivergence())
    remembered.add([math.nan], [1], differs)
    assert remembered.summary()["measures"]["difference"]["mean"] is None


def test_integers_beyond_float_precision_are_told_apart() -> None:
    found = NumberDivergence().compare([2**60, 2**60], [2**60, 2**60 + 1])
    assert found.exact.tolist() == [True, False]
    assert found.tolerant.tolist() == [True, False]


@pytest.mark.parametrize(
    ("champion", "lane", "types"),
    [
        (1, "1", ("integer", "string")),
        (1.5, "1.5", ("number", "string")),
        (True, 1, ("boolean", "integer")),
        ("yes", 1, ("string", "integer")),
        ([1], 1, ("list[1]", "integer")),
        ({"a": 1}, [1], ("object", "list[1]")),
    ],
)
def test_another_type_is_a_difference_of_structure(
    champion: object, lane: object, types: tuple[str, str]
) -> None:
    found = LabelDivergence().compare([champion, 1], [lane, 1])
    assert found.structure.tolist() == [True, False]
    assert found.exact.tolist() == [False, True]
    assert found.kind_of_structure == {types: 1}


def test_items_of_another_type_in_a_list_are_a_difference_of_structure() -> None:
    """Python holds [1] and [True] for equal; JSON does not."""
    found = divergence_of(Kind.RANKING).compare([[1], [7, 8], [7]], [[True], ["7", "8"], [7.0]])
    assert found.structure.tolist() == [True, True, False]
    assert found.exact.tolist() == [False, False, True]
    assert found.kind_of_structure == {
        ("list of integer", "list of boolean"): 1,
        ("list of integer", "list of string"): 1,
    }
    assert np.isnan(found.values["rbo_divergence"][:2]).all()


def test_a_thousand_pairs_of_types_are_bounded() -> None:
    divergence = LabelDivergence()
    remembered = tally(divergence)
    champion, lane = [[0] * n for n in range(1_000)], ["x"] * 1_000
    remembered.add(champion, lane, divergence.compare(champion, lane))
    types = remembered.summary()["agreement"]["types"]
    assert len(types) <= 65
    assert sum(row["n"] for row in types) == 1_000


def test_one_and_one_point_zero_are_one_label() -> None:
    assert LabelDivergence().compare([1, 0], [1.0, 0.0]).exact.all()


# Of the smallest numbers SciPy's quotients overflow.
shares = st.floats(0, 1).map(lambda share: share if share > 1e-100 else 0.0)
distributions = st.lists(shares, min_size=4, max_size=4).filter(lambda w: sum(w) > 0.01)


@settings(max_examples=60, deadline=None)
@given(distributions, distributions)
def test_jensen_shannon_is_scipys(p: list[float], q: list[float]) -> None:
    found = jensen_shannon(np.array([p]), np.array([q]))[0]
    expected = jensenshannon(p, q, base=2)
    assert found == pytest.approx(0 if math.isnan(expected) else expected, abs=1e-6)


def test_jensen_shannon_by_hand() -> None:
    """p = (1, 0), q = (1/2, 1/2): m = (3/4, 1/4); (log2(4/3) + (log2(2/3) + log2 2)/2) / 2."""
    divergence = (math.log2(4 / 3) + (math.log2(2 / 3) + 1) / 2) / 2
    found = jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]))[0]
    assert found == pytest.approx(math.sqrt(divergence), abs=1e-15)


def test_the_smallest_probability_does_not_divide_by_zero() -> None:
    found = jensen_shannon(np.array([[1.0, 5e-324]]), np.array([[1.0, 0.0]]))
    assert found[0] == 0


def test_probabilities_of_a_certain_label_can_move_without_a_flip() -> None:
    """SS-107: 0.51 and 0.99 give one label and a score divergence of 0.48."""
    found = ProbabilityDivergence().compare([[0.49, 0.51]], [[0.01, 0.99]]).values
    assert found["total_variation"][0] == pytest.approx(0.48)
    assert found["shift"][0] == pytest.approx(0.48)
    assert found["flip"][0] == 0


def test_a_single_probability_is_that_of_the_positive_class() -> None:
    found = ProbabilityDivergence(threshold=0.6).compare([0.55, 0.2], [0.65, 0.2]).values
    assert found["total_variation"] == pytest.approx([0.1, 0])
    assert found["shift"] == pytest.approx([0.1, 0])
    assert found["flip"].tolist() == [1, 0]


def test_classes_are_aligned_by_label_and_a_missing_one_is_zero() -> None:
    """SS-106: champion knows b and c, the challenger a, b and c."""
    divergence = ProbabilityDivergence(champion_classes=("b", "c"), lane_classes=("a", "c", "b"))
    found = divergence.compare([[0.25, 0.75], [0.5, 0.5]], [[0.0, 0.75, 0.25], [0.5, 0.25, 0.25]])
    assert found.values["total_variation"] == pytest.approx([0, 0.5])
    assert not found.structure.any()
    assert divergence.missing == {"champion": ("a",), "lane": ()}


def test_probabilities_by_name_are_aligned_by_name() -> None:
    found = ProbabilityDivergence().compare([{"x": 0.3, "y": 0.7}], [{"y": 0.7, "x": 0.3}])
    assert found.values["total_variation"].tolist() == [0]
    assert found.exact.all()


def test_another_number_of_classes_without_names_is_structure() -> None:
    found = ProbabilityDivergence().compare([[0.5, 0.5]], [[0.2, 0.3, 0.5]])
    assert found.structure.all()
    assert np.isnan(found.values["total_variation"]).all()


def test_arrays_of_probabilities_are_taken_as_they_are() -> None:
    p = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    q = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    found = ProbabilityDivergence().compare(p, q).values
    assert found["total_variation"] == pytest.approx([0.3, 1])
    assert found["shift"] == pytest.approx([-0.3, -1])
    assert found["flip"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("champion", "lane", "edit", "token"),
    [
        ("kitten", "sitting", 3 / 7, 1),  # the textbook pair: 3 edits
        ("a red fox", "A RED FOX", 7 / 9, 0),
        ("a b c", "a b d", 1 / 5, 0.5),
        ("", "ab", 1, 1),
        ("  ", " ", 0.5, 0),
    ],
)
def test_texts_by_hand(champion: str, lane: str, edit: float, token: float) -> None:
    found = TextDivergence().compare([champion], [lane]).values
    assert found["edit_distance"][0] == pytest.approx(edit)
    assert found["token_distance"][0] == pytest.approx(token)


def test_texts_are_measured_up_to_a_length_but_judged_whole() -> None:
    found = TextDivergence(max_characters=3).compare(["abcd"], ["abcx"])
    assert found.values["edit_distance"][0] == 0
    assert not found.exact[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_cosine_distance_is_scipys(seed: int, n: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, n))
    found = VectorDivergence().compare([a.tolist()], [b.tolist()]).values
    assert found["cosine_distance"][0] == pytest.approx(cosine(a, b), abs=1e-9)
    norms = np.linalg.norm([a, b], axis=1)
    apart = np.linalg.norm(a - b)
    assert found["disagreement"][0] == pytest.approx(apart / norms.sum())
    assert found["norm_shift"][0] == pytest.approx((norms[1] - norms[0]) / norms.max())


def test_vectors_of_opposite_zero_and_other_length() -> None:
    found = VectorDivergence().compare(
        [[1.0, 0.0], [0.0, 0.0], [1.0, 2.0]], [[-1.0, 0.0], [3.0, 4.0], [1.0]]
    )
    assert found.values["cosine_distance"][:2].tolist() == [2, 1]
    assert found.values["disagreement"][:2].tolist() == [1, 1]
    assert found.structure.tolist() == [False, False, True]
    assert found.kind_of_structure == {("list[2]", "list[1]"): 1}


def test_nulls_inside_vectors_are_compared_by_place() -> None:
    found = VectorDivergence().compare(
        [[None, 1.0], [None, 1.0], [None, 1.0]], [[math.nan, 1.0], [1.0, None], [None, 2.0]]
    )
    assert found.exact.tolist() == [True, False, False]
    assert found.nan_mismatch.tolist() == [False, True, False]
    assert found.values["disagreement"][2] == pytest.approx(1 / 3)


def test_sets_are_equal_in_any_order_and_number_of_times() -> None:
    """SS-103."""
    found = SetDivergence().compare([["a", "b"], ["a"], [1]], [["b", "a"], ["a", "a", "b"], [2]])
    assert found.exact.tolist() == [True, False, False]
    assert found.values["jaccard_distance"].tolist() == [0, 0.5, 1]
    assert not found.structure.any()


def test_a_random_field_is_ignored_and_the_rest_compared() -> None:
    """SS-102: a fresh id in every answer says nothing about the score."""
    sample = [{"id": "5f1e", "score": 0.3}]
    divergence = divergence_of(
        Kind.RECORD, options=Options(ignore=frozenset({"id"})), sample=sample
    )
    found = divergence.compare(sample, [{"id": "77aa", "score": 0.3}])
    assert found.exact.all()
    assert not found.disagreement().any()
    assert "id/disagreement" not in found.values


def test_records_are_compared_field_by_field() -> None:
    sample = [{"price": 1.5, "grade": "a"}]
    divergence = divergence_of(Kind.RECORD, sample=sample)
    found = divergence.compare(
        [{"price": 1.5, "grade": "a"}, {"price": 1.0, "grade": "a"}, {"price": 1.0}],
        [{"grade": "a", "price": 1.5}, {"price": 3.0, "grade": "b"}, {"price": 1.0, "grade": "a"}],
    )
    assert found.values["price/difference"].tolist() == [0, 2, 0]
    assert found.values["grade/disagreement"][:2].tolist() == [0, 1]
    assert found.values["disagreement"][:2].tolist() == [0, 0.75]
    assert found.structure.tolist() == [False, False, True]
    assert found.kind_of_structure == {("grade: absent", "grade: present"): 1}
    remembered = tally(divergence)
    remembered.add(
        [{"price": 1.0, "grade": "a"}],
        [{"price": 3.0, "grade": "b"}],
        divergence.compare([{"price": 1.0, "grade": "a"}], [{"price": 3.0, "grade": "b"}]),
    )
    assert remembered.summary()["fields"]["price"]["bias"] == 2


def test_a_field_nobody_announced_is_structure_only_if_it_differs() -> None:
    divergence = RecordDivergence({"a": NumberDivergence()})
    found = divergence.compare(
        [{"a": 1, "b": 2}, {"a": 1, "b": 2}], [{"a": 1, "b": 2}, {"a": 1, "b": 3}]
    )
    assert found.structure.tolist() == [False, True]
    assert found.exact.tolist() == [True, False]


def test_several_outputs_are_compared_one_by_one() -> None:
    divergence = MultiDivergence({"0": NumberDivergence(), "1": LabelDivergence()})
    found = divergence.compare([[1.0, "a"], [1.0, "a"]], [[3.0, "b"], [1.0, "a", 2]])
    assert found.values["disagreement"][0] == 0.75
    assert found.values["0/difference"][0] == 2
    assert found.structure.tolist() == [False, True]
    assert found.kind_of_structure == {("list[2]", "list[3]"): 1}


def test_several_outputs_of_probabilities_may_have_different_widths() -> None:
    """SS-106: a multi-output classifier with two and with three classes."""
    rows = [[[0.5, 0.5], [0.2, 0.3, 0.5]]]
    divergence = divergence_of(Kind.MULTI, sample=rows)
    found = divergence.compare(rows, [[[0.25, 0.75], [0.2, 0.3, 0.5]]])
    assert found.values["0/total_variation"][0] == 0.25
    assert found.values["1/total_variation"][0] == 0


def test_a_record_without_any_named_field_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs fields"):
        divergence_of(Kind.RECORD)
