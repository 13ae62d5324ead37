"""Faults that a dark launch must show, at the level of one comparison and its tally.

The names are those of the failure catalogue's rows; the detection benchmark plays them through a
server, here it is seen that the numbers they rest on are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shadowserve.divergence import (
    Compared,
    Divergence,
    Kind,
    Options,
    detect,
    divergence_of,
    tally,
)

rng = np.random.default_rng(42)
prices = rng.lognormal(8, 1, size=1_000).tolist()
labels = rng.integers(0, 2, size=1_000).tolist()
catalogue = rng.permutation(np.arange(1, 2_001))


def _run(divergence: Divergence, champion: Any, lane: Any) -> tuple[Compared, dict[str, Any]]:
    remembered = tally(divergence)
    found = divergence.compare(champion, lane)
    remembered.add(champion, lane, found)
    return found, remembered.summary()


def test_one_holiday_fills_every_list() -> None:
    """F01: a few items now dominate; their share before and after is named."""
    champion = [rng.choice(catalogue, 10, replace=False).tolist() for _ in range(500)]
    eggs = [9_001, 9_002, 9_003]
    lane = [eggs + row[:7] for row in champion]
    kind = detect(None, champion)
    assert kind is Kind.RANKING
    _, said = _run(divergence_of(kind), champion, lane)
    assert {row["item"] for row in said["movers"][:3]} == set(eggs)
    assert said["movers"][0] == {"item": 9_001, "before": 0.0, "after": 1.0}
    assert said["lane"]["top_share"] == pytest.approx(0.1)
    assert said["champion"]["top_share"] < 0.01
    assert said["lane"]["gini"] > said["champion"]["gini"] + 0.2
    assert said["lane"]["distinct"] < said["champion"]["distinct"]
    assert said["measures"]["gained"]["mean"] == 3
    assert said["disagreement"]["mean"] > 0.3


def test_nan_on_one_side_is_counted_apart_from_wrong_numbers() -> None:
    """F06: rows with a missing depth come back as NaN, which JSON writes as null."""
    missing = rng.random(1_000) < 0.05
    lane = [None if gone else price for gone, price in zip(missing, prices, strict=True)]
    found, said = _run(divergence_of(Kind.NUMBER), prices, lane)
    assert (found.lane_nonfinite == missing).all()
    assert said["agreement"]["nan_mismatch"] == missing.sum()
    assert said["agreement"]["lane_nonfinite"] == missing.sum()
    assert said["agreement"]["champion_nonfinite"] == 0
    assert said["bias"] == 0
    assert said["measures"]["disagreement"]["mean"] == 0
    assert said["disagreement"]["mean"] == pytest.approx(missing.mean())


def test_a_wrong_unit_shows_as_signed_bias() -> None:
    """F07: one input divided by 100, and the price falls with it."""
    lane = [0.4 * price for price in prices]
    _, said = _run(divergence_of(Kind.NUMBER), prices, lane)
    assert said["bias"] == pytest.approx(-0.6 * np.mean(prices))
    assert said["relative"]["p50"] == pytest.approx(0.6)
    assert said["correlation"] == pytest.approx(1)
    assert said["share_beyond_tolerance"] == 1
    assert said["wasserstein"] == pytest.approx(0.6 * np.mean(prices), rel=0.05)


def test_swapped_labels_show_in_agreement_table_and_kappa() -> None:
    """F08."""
    kind = detect(None, labels, classifier=True)
    _, said = _run(divergence_of(kind), labels, [1 - label for label in labels])
    assert said["agreement"]["share_exact"] == 0
    assert said["kappa"] == pytest.approx(-1, abs=0.01)
    assert {(c["champion"], c["lane"]) for c in said["confusion"]["cells"]} == {
        ("0", "1"),
        ("1", "0"),
    }


def test_shifted_scores_show_size_and_direction_though_hardly_a_label_flips() -> None:
    """F09: 0.08 more for everyone."""
    score = np.concatenate([rng.uniform(0.0, 0.4, 500), rng.uniform(0.6, 0.9, 500)])
    champion = np.column_stack([1 - score, score])
    moved = score + 0.08
    lane = np.column_stack([1 - moved, moved])
    _, said = _run(divergence_of(Kind.PROBABILITY), champion, lane)
    assert said["shift"]["mean"] == pytest.approx(0.08)
    assert said["shift"]["p50"] == pytest.approx(0.08)
    assert said["wasserstein"] == pytest.approx(0.08, abs=0.01)
    assert said["share_flipped"] == 0


def test_a_small_slice_is_visible_row_by_row() -> None:
    """F10: wrong for 4 % of traffic; the rows say which."""
    genre = rng.random(1_000) < 0.04
    lane = [1 - y if hit else y for y, hit in zip(labels, genre, strict=True)]
    found, _ = _run(divergence_of(Kind.LABEL), labels, lane)
    assert (found.disagreement() == genre).all()


def test_float_rounding_is_no_disagreement() -> None:
    """F12: 1e-12 relative; exact agreement is lost, tolerant agreement is not."""
    lane = [price * (1 + 1e-12) for price in prices]
    found, said = _run(divergence_of(Kind.NUMBER), prices, lane)
    assert said["agreement"]["share_tolerant"] == 1
    assert said["agreement"]["share_exact"] < 1
    assert not found.disagreement().any()
    assert said["share_beyond_tolerance"] == 0


def test_strings_for_integers_are_structure_and_name_both_types() -> None:
    """F21."""
    found, said = _run(divergence_of(Kind.LABEL), labels, [str(label) for label in labels])
    assert said["agreement"]["types"] == [{"champion": "integer", "lane": "string", "n": 1_000}]
    assert said["agreement"]["share_exact"] == 0
    assert said["measures"]["disagreement"]["n"] == 0
    assert found.disagreement().all()


def test_the_same_items_in_another_order_show_in_rank_measures_only() -> None:
    """F22: rank-biased overlap and tau fall, nothing is gained or lost."""
    champion = [rng.choice(catalogue, 10, replace=False).tolist() for _ in range(200)]
    lane = [row[::-1] for row in champion]
    _, said = _run(divergence_of(Kind.RANKING), champion, lane)
    assert said["kendall_tau"] == pytest.approx(-1)
    assert said["rank_biased_overlap"] < 0.8
    assert said["measures"]["top_k_distance"]["mean"] == 1
    assert said["measures"]["gained"]["mean"] == 0
    assert said["champion"]["gini"] == said["lane"]["gini"]


def test_random_fields_leave_memory_flat() -> None:
    """SS-102: 10,000 answers with a fresh id each; the state stays small."""
    sample = [{"id": "0", "score": 0.5}]
    divergence = divergence_of(
        Kind.RECORD, options=Options(ignore=frozenset({"id"})), sample=sample
    )
    remembered = tally(divergence)
    sizes = []
    for batch in range(40):
        champion = [{"id": f"c{batch}-{i}", "score": i / 256} for i in range(256)]
        lane = [{"id": f"l{batch}-{i}", "score": i / 256} for i in range(256)]
        remembered.add(champion, lane, divergence.compare(champion, lane))
        sizes.append(len(repr(remembered.state())))
    assert remembered.summary()["fields"]["score"]["agreement"]["share_exact"] == 1
    assert sizes[-1] < 1.5 * sizes[9]
