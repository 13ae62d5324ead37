"""Whole numbers are names of classes unless they prove to be quantities, and are compared exactly."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pytest

from shadowserve import wire
from shadowserve.divergence import Kind, Revision, detect, divergence_of, tally
from shadowserve.divergence.kinds.number import NumberDivergence

SIGNATURES = [None, [{"type": "long"}], [{"type": "integer"}]]


def disagreement(champion, lane) -> float:
    kind = detect(None, champion)
    return float(divergence_of(kind).compare(champion, lane).disagreement().mean())


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize(
    ("champion", "lane"),
    [
        ([40_000_000 + 7 * k for k in range(60)], [40_000_001 + 7 * k for k in range(60)]),
        ([2**53 + 2 * k for k in range(60)], [2**53 + 2 * k + 1 for k in range(60)]),
        ([8, 9] * 30, [9, 8] * 30),
        ([2**64 + k for k in range(60)], [2**64 + k + 1 for k in range(60)]),
    ],
)
def test_ids_and_classes_of_a_function_differ_wholly_where_they_differ(signature, champion, lane):
    kind = detect(signature, champion[:20])
    divergence = Revision().of(divergence_of(kind), champion, lane)
    compared = divergence.compare(champion, lane)
    assert compared.disagreement().tolist() == [1.0] * 60
    assert not compared.tolerant.any()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2**53, 2**53 + 1),
        (-(2**62), -(2**62) + 1),
        (2**63 - 1, 2**63),
        (10**30, 10**30 + 1),
        (10**400, 10**400 + 1),
        (4_000_000_000, 4_000_000_001),
        (2**53, float(2**53) + 2),
    ],
)
def test_numbers_that_are_whole_are_compared_exactly(one, other):
    compared = NumberDivergence().compare([one, one], [other, one])
    assert compared.exact.tolist() == [False, True]
    if type(other) is int:
        assert compared.tolerant.tolist() == [False, True]
        assert compared.values["absolute"][0] == 1
        assert compared.values["disagreement"][0] > 0


@pytest.mark.parametrize(
    "values",
    [
        np.array([2**53 + 1, 2**63 - 1]),
        np.array([2**53 + 1, 2**64 - 1], dtype=np.uint64),
        [2**53 + 1, 2**70 + 1],
        [Decimal(2**53 + 1), Decimal(2**70 + 1)],
        [Decimal(f"{2**53 + 1}.0"), Decimal(f"{2**70 + 1}.00")],
        [Decimal(2**53 + 1), 2**70 + 1],
        [{"id": 2**70 + 1}, {"id": Decimal(2**53 + 1)}],
    ],
)
def test_whole_numbers_of_any_size_survive_their_answer(values):
    read = wire.read_answer(wire.answer(values))
    flat = [one["id"] if isinstance(one, dict) else one for one in read]
    wanted = [one["id"] if isinstance(one, dict) else one for one in values]
    assert flat == [int(one) for one in wanted]


def test_floats_are_read_as_floats_however_many_digits_they_have():
    for text in ("1e300", "1234567890123456789.5", "0.12345678901234567890", "1e+22"):
        (read,) = wire.read_answer(f'{{"predictions": [{text}, 1{"0" * 20}]}}'.encode())[:1]
        assert type(read) is float
        assert read == float(text)


def retrained(rng, champion, off):
    """Answers of a version trained again: some lie a little off, to either side."""
    apart = rng.integers(1, 1 + off, len(champion)) * rng.choice([-1, 1], len(champion))
    return [
        int(a + d)
        for a, d in zip(champion, np.where(rng.random(len(champion)) < 0.4, apart, 0), strict=True)
    ]


@pytest.mark.parametrize(
    ("low", "high", "off"), [(0, 60, 3), (300, 850, 9), (100, 90_000, 400), (0, 20, 2)]
)
def test_quantities_show_themselves_by_how_near_differing_answers_lie(low, high, off):
    """Counts, scores and cents: what is taken for labels at first is revised, and said."""
    rng = np.random.default_rng(0)
    champion = rng.integers(low, high, 400).tolist()
    assert detect(None, champion[:20]) is Kind.LABEL
    revised = Revision().of(divergence_of(Kind.LABEL), champion, retrained(rng, champion, off))
    assert revised.kind is Kind.NUMBER


@pytest.mark.parametrize("n_classes", [3, 10, 100, 1_000])
def test_classes_that_another_version_confuses_stay_classes(n_classes):
    rng = np.random.default_rng(n_classes)
    champion = rng.integers(0, n_classes, 2_000).tolist()
    guess = rng.integers(0, n_classes, 2_000).tolist()
    lane = [g if rng.random() < 0.3 else c for c, g in zip(champion, guess, strict=True)]
    assert Revision().of(divergence_of(Kind.LABEL), champion, lane).kind is Kind.LABEL


def test_codes_of_a_catalogue_stay_classes_though_near_codes_are_confused():
    """Codes that begin alike mean like things: near each other, but with gaps between them."""
    rng = np.random.default_rng(0)
    codes = sorted(rng.choice(9_999, 120, replace=False).tolist())
    at = rng.integers(1, 119, 1_500)
    champion = [codes[i] for i in at]
    moved = np.where(rng.random(1_500) < 0.4, rng.choice([-1, 1], 1_500), 0)
    lane = [codes[i + m] for i, m in zip(at, moved, strict=True)]
    assert Revision().of(divergence_of(Kind.LABEL), champion, lane).kind is Kind.LABEL


def test_a_shifted_encoding_stays_a_wholly_wrong_one():
    """Two classes were inserted before the others: each id has moved by as much."""
    rng = np.random.default_rng(0)
    champion = rng.integers(0, 500, 2_000).tolist()
    lane = [c + (c > 100) + (c > 250) for c in champion]
    assert Revision().of(divergence_of(Kind.LABEL), champion, lane).kind is Kind.LABEL


@pytest.mark.parametrize("signature", SIGNATURES)
def test_first_answers_of_nought_and_one_do_not_settle_a_kind(signature):
    """Forty answers of 0 or 1, then counts of up to 500."""
    rng = np.random.default_rng(0)
    first, later = rng.integers(0, 2, 40).tolist(), rng.integers(2, 500, 300).tolist()
    revision = Revision()
    divergence = revision.of(divergence_of(detect(signature, first)), first, first)
    assert divergence.kind is Kind.LABEL
    assert revision.of(divergence, later, retrained(rng, later, 9)).kind is Kind.NUMBER


@pytest.mark.parametrize("later", [[0.37, 1, 0], [1.5, None, 2.0]])
def test_a_fraction_shows_that_noughts_and_ones_were_numbers(later):
    revision = Revision()
    divergence = revision.of(divergence_of(Kind.LABEL), [0, 1] * 20, [0, 1] * 20)
    assert revision.of(divergence, later, later).kind is Kind.NUMBER


def test_fields_of_an_answer_are_revised_each_on_its_own():
    rng = np.random.default_rng(0)
    n = rng.integers(0, 60, 400).tolist()
    champion = [{"class": i % 7, "n": value} for i, value in enumerate(n)]
    lane = [{"class": (i + (i % 3 == 0)) % 7, "n": v} for i, v in enumerate(retrained(rng, n, 3))]
    divergence = divergence_of(Kind.RECORD, sample=champion[:20])
    assert {name: part.kind for name, part in divergence.fields.items()} == {
        "class": Kind.LABEL,
        "n": Kind.LABEL,
    }
    revised = Revision().of(divergence, champion, lane)
    assert {name: part.kind for name, part in revised.fields.items()} == {
        "class": Kind.LABEL,
        "n": Kind.NUMBER,
    }


def test_kappa_is_right_with_many_more_labels_than_have_cells():
    """Nine tenths agree, over 300 labels of like share: kappa is a little below 0.9."""
    rng = np.random.default_rng(0)
    champion = rng.integers(0, 300, 20_000)
    lane = np.where(rng.random(20_000) < 0.9, champion, rng.integers(0, 300, 20_000))
    told = _told(champion, lane)
    assert told["kappa"] == pytest.approx(_kappa(champion, lane), abs=1e-9)
    assert 0.89 < told["kappa"] < 0.91


def test_kappa_is_nearly_right_with_more_labels_than_are_counted_by_name():
    rng = np.random.default_rng(1)
    champion = (rng.pareto(0.6, 40_000) * 20).astype(np.int64) % 20_000
    lane = np.where(rng.random(40_000) < 0.5, champion, np.roll(champion, 7))
    assert _told(champion, lane)["kappa"] == pytest.approx(_kappa(champion, lane), abs=0.005)


def test_kappa_of_an_earlier_releases_state_is_no_nonsense():
    rng = np.random.default_rng(0)
    champion = rng.integers(0, 300, 20_000)
    lane = np.where(rng.random(20_000) < 0.9, champion, rng.integers(0, 300, 20_000))
    remembered = tally(divergence_of(Kind.LABEL))
    divergence = divergence_of(Kind.LABEL)
    both = champion.tolist(), lane.tolist()
    remembered.add(*both, divergence.compare(*both))
    text = json.dumps(remembered.state())
    state = json.loads(text)
    _forget(state)
    assert 0.85 < _summary(type(remembered).from_state(state))["kappa"] < 0.95


def _forget(state) -> None:
    """Take out what earlier releases did not keep."""
    if isinstance(state, dict):
        state.pop("margins", None)
        state.pop("rest", None)
        for part in state.values():
            _forget(part)
    if isinstance(state, list):
        for part in state:
            _forget(part)


def _kappa(champion, lane) -> float:
    n = champion.size
    labels = np.union1d(champion, lane)
    shares = [np.searchsorted(labels, side) for side in (champion, lane)]
    counts = [np.bincount(one, minlength=labels.size) / n for one in shares]
    chance = float(counts[0] @ counts[1])
    return (float((champion == lane).mean()) - chance) / (1 - chance)


def _told(champion, lane):
    divergence, remembered = divergence_of(Kind.LABEL), tally(divergence_of(Kind.LABEL))
    for first in range(0, champion.size, 5_000):
        both = [side[first : first + 5_000].tolist() for side in (champion, lane)]
        remembered.add(*both, divergence.compare(*both))
    return _summary(remembered)


def _summary(remembered):
    return remembered.summary()["confusion"]
