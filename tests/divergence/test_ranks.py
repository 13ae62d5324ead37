"""Rank measures against the papers, against scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from shadowserve.divergence.codes import code_lists
from shadowserve.divergence.kinds.ranking import RankingDivergence
from shadowserve.divergence.ranks import (
    Matches,
    kendall_tau,
    matches,
    overlaps,
    rank_biased_overlap,
    top_overlap,
)

lists = st.lists(st.integers(0, 12), unique=True, max_size=9)


def _matches(champion: list, lane: list) -> Matches:
    return matches(*code_lists([champion], [lane]))


def _rbo(champion: list, lane: list, p: float = 0.9) -> float:
    return float(rank_biased_overlap(_matches(champion, lane), persistence=p)[0])


def _equation_32(a: list, b: list, p: float) -> float:
    """Write out the paper's sum, term by term, from sets."""
    short, long = sorted((a, b), key=len)
    s, el = len(short), len(long)

    def x(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    total = sum(x(d) / d * p**d for d in range(1, el + 1))
    total += sum(x(s) * (d - s) / (s * d) * p**d for d in range(s + 1, el + 1))
    return (1 - p) / p * total + ((x(el) - x(s)) / el + x(s) / s) * p**el


def test_overlap_by_depth_of_the_lists_in_webbers_figure() -> None:
    """Webber et al. 2010, section 3: <a b c d e f g> and <z c a v w x y>."""
    m = _matches(list("abcdefg"), list("zcavwxy"))
    assert overlaps(m)[0].tolist() == [0, 0, 2, 2, 2, 2, 2]


def test_rank_biased_overlap_by_hand() -> None:
    """Overlaps 0 1 2 4 5, so 0.1/0.9 (0.5 0.9² + 2/3 0.9³ + 0.9⁴ + 0.9⁵) + 0.9⁵ = 0.828."""
    assert _rbo([1, 2, 3, 4, 5], [2, 3, 4, 1, 5]) == pytest.approx(0.828, abs=1e-12)


def test_rank_biased_overlap_of_lists_of_different_length_by_hand() -> None:
    """Equation 32 with s = 1, l = 2, p = 0.5: S = <a>, L = <b a>.

    X = 0, 1. (1)(0/1 · 0.5 + 1/2 · 0.25) + 0 + ((1 - 0)/2 + 0/1) 0.25 = 0.125 + 0.125.
    """
    assert _rbo(["a"], ["b", "a"], p=0.5) == pytest.approx(0.25, abs=1e-15)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
def test_identical_lists_score_one_and_disjoint_ones_zero(p: float) -> None:
    assert _rbo([3, 1, 2], [3, 1, 2], p) == pytest.approx(1, abs=1e-15)
    assert _rbo([3, 1, 2], [4, 5, 6], p) == 0
    assert _rbo([3, 1, 2], [3, 1], p) == pytest.approx(1, abs=1e-15)


@settings(max_examples=100, deadline=None)
@given(lists.filter(bool), lists.filter(bool), st.sampled_from([0.3, 0.9, 0.99]))
def test_rank_biased_overlap_is_equation_32(a: list[int], b: list[int], p: float) -> None:
    assert _rbo(a, b, p) == pytest.approx(_equation_32(a, b, p), abs=1e-12)


def test_a_change_at_the_top_weighs_more_than_one_at_the_end() -> None:
    base = list(range(10))
    assert _rbo(base, [99, *base[1:]]) < _rbo(base, [*base[:-1], 99])


@settings(max_examples=100, deadline=None)
@given(lists, lists)
def test_tau_is_scipys_with_missing_items_tied_behind_the_end(a: list[int], b: list[int]) -> None:
    union = sorted({*a, *b})
    ranks_a = [a.index(i) + 1 if i in a else len(a) + 1 for i in union]
    ranks_b = [b.index(i) + 1 if i in b else len(b) + 1 for i in union]
    found = kendall_tau(_matches(a, b))[0]
    if len(union) < 2 or len(set(ranks_a)) < 2 or len(set(ranks_b)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(kendalltau(ranks_a, ranks_b).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("champion", "lane", "expected"),
    [
        (["a", "b", "c"], ["a", "b", "c"], 1),
        (["a", "b", "c"], ["c", "b", "a"], -1),
        # pairs ab ac bc: concordant, concordant, discordant
        (["a", "b", "c"], ["a", "c", "b"], 1 / 3),
        # over a b c the ranks are 1 2 3 and 1 3 2: one of three pairs is discordant
        (["a", "b"], ["a", "c"], 1 / 3),
        # over a b c the ranks are 1 2 2 and 1 2 3: 2 concordant, one tie, 2 / sqrt(2 · 3)
        (["a"], ["a", "b", "c"], 2 / 6**0.5),
    ],
)
def test_tau_by_hand(champion: list[str], lane: list[str], expected: float) -> None:
    found = kendall_tau(_matches(champion, lane))[0]
    assert found == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 0.5), (3, 1.0), (4, 0.75), (10, 0.75)])
def test_top_overlap_counts_places_in_any_order(k: int, expected: float) -> None:
    found = top_overlap(_matches(["a", "b", "c", "d"], ["b", "c", "a", "x"]), k)
    assert found[0] == pytest.approx(expected)


def test_an_item_named_twice_keeps_its_first_place() -> None:
    assert _rbo(["a", "b", "a"], ["a", "b"]) == pytest.approx(1)


def test_ids_are_told_apart_by_type_but_one_and_one_point_zero_are_one_id() -> None:
    champion, lane = code_lists([[1, True, "1", None]], [[1.0, "true", None, 1]])
    assert champion.tolist() == [[0, 1, 2, 3]]
    assert lane.tolist() == [[0, 4, 3, -1]]


def test_items_gained_and_lost_are_counted() -> None:
    found = RankingDivergence().compare([["a", "b", "c"]], [["a", "x", "y", "z"]])
    assert found.values["gained"].tolist() == [3]
    assert found.values["lost"].tolist() == [2]
    assert found.structure.tolist() == [True]
    assert found.kind_of_structure == {("list[3]", "list[4]"): 1}


def test_long_lists_are_compared_in_slices_with_the_same_result() -> None:
    rng = np.random.default_rng(7)
    champion = [rng.permutation(200)[:150].tolist() for _ in range(30)]
    lane = [rng.permutation(200)[:150].tolist() for _ in range(30)]
    together = RankingDivergence().compare(champion, lane)
    for i in (0, 29):
        alone = RankingDivergence().compare(champion[i : i + 1], lane[i : i + 1])
        for name, column in together.values.items():
            assert column[i] == alone.values[name][0]
