from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.film_columns import film_columns
from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.statistics.slices import SliceSearch, kind_of

GENRES = np.array(
    ["Comedy", "Drama", "Action", "Thriller", "Romance", "Horror", "War", "Western", "Sci-Fi"]
)
SHARES = [0.3, 0.4, 0.25, 0.2, 0.18, 0.04, 0.05, 0.02, 0.1]


@cache
def traffic(seed, n_rows=2_000):
    """Ten columns of a film service; the rows do not depend on the order they are drawn in."""
    rng = np.random.default_rng(seed)
    has = rng.random((n_rows, GENRES.size)) < SHARES
    columns = film_columns(rng, GENRES, has)
    return columns, dict(zip(GENRES.tolist(), has.T, strict=True)), rng.random(n_rows) < 0.05


OPEN = Disclosure(log="all")
KINDS = {name: kind_of(values.dtype) for name, values in traffic(0)[0].items()}


def searched(columns, disagreement, *, batch=256, disclosure=OPEN) -> SliceSearch:
    search = SliceSearch(KINDS, disclosure=disclosure)
    disagreement = np.asarray(disagreement, dtype=float)
    for at in range(0, disagreement.size, batch):
        part = {name: values[at : at + batch] for name, values in columns.items()}
        search.add(part, disagreement[at : at + batch])
    return search


def named(search) -> list[str]:
    return [found.describe for found in search.findings(0.05, show=set(KINDS))]


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_one_wrong_genre_is_named_and_no_other_slice(seed, flips):
    columns, has, noise = traffic(seed)
    wrong = has["Horror"] ^ (noise & flips)
    assert named(searched(columns, wrong)) == ["genres has Horror"]


FAULTS = {
    "depth is missing": lambda columns, has: np.isnan(columns["depth"]),
    "genres has Western": lambda columns, has: has["Western"],
    "genres has Drama and stars from 2 to 3": lambda columns, has: (
        has["Drama"] & (columns["stars"] == 2)
    ),
    "member is true": lambda columns, has: columns["member"] & (columns["year"] % 3 == 0),
    "stars from 4": lambda columns, has: columns["stars"] >= 4,
}


@pytest.mark.parametrize("words", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_slice_that_explains_is_named_alone(words, seed):
    columns, has, noise = traffic(seed)
    assert named(searched(columns, FAULTS[words](columns, has) ^ noise)) == [words]


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_merely_follows_the_guilty_one_is_not_named(seed):
    columns, _, noise = traffic(seed)
    found = searched(columns, (columns["age"] > 55) ^ noise).findings(0.05)
    assert [slice_.columns for slice_ in found] == [("age",)]


@pytest.mark.parametrize("limit", [43, 47, 53])
def test_the_strip_between_the_true_boundary_and_that_of_a_cell_is_not_named_too(limit):
    columns, _, _ = traffic(7, 20_000)
    found = searched(columns, columns["age"] > limit).findings(0.05)
    assert [slice_.columns for slice_ in found] == [("age",)]


def test_a_weak_fault_of_one_column_is_not_blamed_on_a_pair():
    for seed in range(6):
        columns, _, noise = traffic(seed)
        more = np.random.default_rng(seed).random(2_000) < 0.12
        assert named(searched(columns, noise | (columns["member"] & more))) in (
            [],
            ["member is true"],
        )


def test_long_texts_are_a_slice_by_their_length():
    columns, _, _ = traffic(1)
    wrong = np.array([len(text) > 600 for text in columns["about"]])
    (found,) = searched(columns, wrong).findings(0.05)
    (condition,) = found.conditions
    assert (condition.column, condition.kind) == ("about", "length")
    assert condition.high == np.inf


def test_two_independent_faults_are_both_named():
    columns, has, noise = traffic(2)
    wrong = has["Horror"] | np.isnan(columns["depth"])
    assert sorted(named(searched(columns, wrong ^ noise))) == [
        "depth is missing",
        "genres has Horror",
    ]


def test_an_interaction_that_neither_column_shows_alone_is_found():
    columns, _, _ = traffic(3)
    wrong = columns["member"] ^ (columns["stars"] >= 3)
    assert {tuple(sorted(f.columns)) for f in searched(columns, wrong).findings(0.05)} == {
        ("member", "stars")
    }


def test_exchangeable_noise_names_no_slice_at_any_look():
    ever = 0
    for seed in range(8):
        columns, _, noise = traffic(100 + seed, 4_000)
        search = SliceSearch(KINDS)
        for at in range(0, 4_000, 1_000):
            part = {name: values[at : at + 1_000] for name, values in columns.items()}
            search.add(part, noise[at : at + 1_000])
            ever += bool(search.findings(0.05))
    assert ever == 0


@pytest.mark.parametrize("disagreement", [0.0, 1.0])
def test_where_all_rows_are_alike_no_slice_explains(disagreement):
    columns, _, _ = traffic(0)
    search = searched(columns, np.full(2_000, disagreement))
    assert search.findings(0.05) == []
    assert search.explaining() == []


def test_rate_and_share_are_those_of_the_slice_and_the_interval_holds_it():
    columns, has, noise = traffic(4)
    (found,) = searched(columns, has["Horror"] ^ noise).findings(0.05)
    inside = has["Horror"]
    assert found.n == inside.sum()
    assert found.share == pytest.approx(inside.mean())
    assert found.rate == pytest.approx((~noise)[inside].mean())
    assert found.rate_outside == pytest.approx(noise[~inside].mean())
    assert found.low < 0.95 < found.high


def test_a_value_is_a_salted_label_unless_it_may_be_shown():
    columns, has, _ = traffic(0)
    one, two = Disclosure(b"one"), Disclosure(b"two")
    search = searched(columns, has["Horror"], disclosure=one)
    (hidden,) = search.findings(0.05, show=set(KINDS))
    assert hidden.describe.startswith("genres has #")
    assert "Horror" not in repr(hidden)
    (other,) = searched(columns, has["Horror"], disclosure=two).findings(0.05)
    assert other.describe != hidden.describe
    search = searched(columns, has["Horror"], disclosure=Disclosure(b"one", log=("genres",)))
    (shown,) = search.findings(0.05, show={"genres"})
    assert shown.describe == "genres has Horror"
    assert search.findings(0.05)[0].describe == hidden.describe


DISCLOSURES = [
    Disclosure(b"s"),
    Disclosure(b"s", log=("genres", "user")),
    Disclosure(b"s", log="all", hashed=("user",)),
]


@pytest.mark.parametrize("disclosure", DISCLOSURES)
@pytest.mark.parametrize("fault", ["Horror"])
def test_labels_and_values_find_the_same_slices(fault, disclosure):
    columns, has, noise = traffic(5)
    wrong = has[fault] ^ noise
    shown, other = searched(columns, wrong), searched(columns, wrong, disclosure=disclosure)
    facts = [
        [(f.columns, f.n, f.rate, f.low, f.high, f.evidence) for f in search.findings(0.05)]
        for search in (shown, other)
    ]
    assert facts[0]
    assert facts[0] == facts[1]
    assert shown.explaining() == other.explaining()


def strings(state):
    """Every text anywhere in a state."""
    if isinstance(state, dict):
        return [text for k, v in state.items() for text in (*strings(k), *strings(v))]
    if isinstance(state, list):
        return [text for part in state for text in strings(part)]
    return [state] if isinstance(state, str) else []


@pytest.mark.parametrize("n_rows", [100, 255, 256, 2_000])
def test_the_state_holds_no_value_of_a_column_that_is_not_shown(n_rows):
    columns, has, _ = traffic(0)
    columns = {name: values[:n_rows] for name, values in columns.items()}
    columns["stars"] = np.where(columns["stars"] > 2, 98765.4321987, 4.125)
    state = searched(columns, has["Horror"][:n_rows], disclosure=Disclosure(b"s")).state()
    values = {*GENRES.tolist(), *columns["genres"].tolist(), *columns["user"].tolist()}
    assert not [text for text in strings(state) if text.lstrip("=+") in values]
    text = json.dumps(state)
    assert "98765" not in text
    assert "4.125" not in text
    open_state = searched(columns, has["Horror"][:n_rows]).state()
    found = {text.lstrip("=+") for text in strings(open_state)}
    assert bool(values & found) == (n_rows >= 256)  # the test would see them


def test_a_hashed_column_is_whole_values_alone_and_a_dropped_one_is_not_searched():
    rng = np.random.default_rng(0)
    columns = {
        "code": rng.integers(1, 5, 2_000).astype(float),
        "tags": np.array(["a|b", "b|c", "c"], dtype=object)[rng.integers(0, 3, 2_000)],
        "when": np.datetime64("2024-01-01") + rng.integers(0, 3, 2_000).astype("m8[D]"),
        "gone": np.array(["x", "y"], dtype=object)[rng.integers(0, 2, 2_000)],
    }
    kinds = {name: kind_of(values.dtype) for name, values in columns.items()}
    disclosure = Disclosure(b"s", log="all", hashed=("code", "tags", "when"), dropped=("gone",))
    search = SliceSearch(kinds, disclosure=disclosure)
    search.add(columns, columns["code"] == 3)
    (found,) = search.findings(0.05, show=set(kinds))
    assert found.describe == f"code is #{disclosure.digest('3.0')[:8]}"
    search = SliceSearch(kinds, disclosure=disclosure)
    search.add(columns, (columns["tags"] == "b|c") | (columns["gone"] == "x"))
    assert [one.columns for one in search.findings(0.05)] == [("tags",)]
    assert search.names == ("code", "tags", "when")
    assert not [t for t in strings(search.state()) if t in ("gone", "=b|c", "+b", "=3.0")]


def test_where_every_column_is_dropped_nothing_is_searched():
    search = SliceSearch({"a": "string"}, disclosure=Disclosure(dropped=("a",)))
    search.add({"a": np.array(["x"] * 600, dtype=object)}, np.arange(600) % 2)
    assert search.findings(0.05) == []
    assert search.explaining() == []


@pytest.mark.parametrize(
    ("before", "now", "obeys"),
    [
        (Rule.LABELLED, Disclosure(), True),
        (Rule.LABELLED, Disclosure(log="all"), True),
        (Rule.LABELLED, Disclosure(hashed=("a",)), False),
        (Rule.LABELLED, Disclosure(dropped=("a",)), False),
        (Rule.SHOWN, Disclosure(), False),
        (Rule.SHOWN, Disclosure(log=("a",)), True),
        (Rule.HASHED, Disclosure(log="all"), False),
    ],
)
def test_what_was_kept_is_kept_only_while_the_user_allows_it(before, now, obeys):
    was = {
        Rule.LABELLED: Disclosure(),
        Rule.SHOWN: Disclosure(log="all"),
        Rule.HASHED: Disclosure(hashed=("a",)),
    }[before]
    search = SliceSearch({"a": "string"}, disclosure=was)
    assert SliceSearch.from_state(json.loads(json.dumps(search.state()))).obeys(now) == obeys


def test_a_value_that_comes_up_later_is_found_too():
    rng = np.random.default_rng(0)
    shop = np.where(
        np.arange(3_000) < 1_000, "old", rng.choice(["old", "new"], 3_000, p=[0.9, 0.1])
    )
    search = SliceSearch({"shop": "string"}, disclosure=OPEN)
    for at in range(0, 3_000, 100):
        rows = slice(at, at + 100)
        search.add({"shop": shop[rows]}, shop[rows] == "new")
    (found,) = search.findings(0.05, show={"shop"})
    assert found.describe == "shop is new"
    assert found.share == pytest.approx(0.1, abs=0.02)


def test_the_columns_whose_values_explain_come_first():
    columns, has, noise = traffic(0)
    ranked = searched(columns, has["Horror"] ^ noise).explaining()
    assert ranked[0][0] == "genres"
    assert ranked[0][1] > 5 * ranked[1][1]
    assert all(0 <= share <= 1 for _, share in ranked)


@pytest.mark.parametrize("disclosure", DISCLOSURES)
@pytest.mark.parametrize("cut", [256, 1_300])
def test_a_search_restored_from_its_state_goes_on_as_if_nothing_had_happened(cut, disclosure):
    columns, has, noise = traffic(0)
    wrong = (has["Horror"] ^ noise).astype(float)
    first = {name: values[:cut] for name, values in columns.items()}
    rest = {name: values[cut:] for name, values in columns.items()}
    whole = SliceSearch(KINDS, disclosure=disclosure)
    whole.add(first, wrong[:cut])
    text = json.dumps(whole.state(), allow_nan=False)
    restored = SliceSearch.from_state(json.loads(text))
    for search in (whole, restored):
        search.add(rest, wrong[cut:])
    assert json.dumps(whole.state()) == json.dumps(restored.state())
    assert whole.findings(0.05) == restored.findings(0.05)


def test_a_search_restored_before_its_cells_are_fixed_begins_anew():
    columns, has, _ = traffic(0)
    part = {name: values[:200] for name, values in columns.items()}
    search = SliceSearch(KINDS)
    search.add(part, has["Horror"][:200])
    restored = SliceSearch.from_state(json.loads(json.dumps(search.state())))
    restored.add(columns, has["Horror"])
    fresh = SliceSearch(KINDS)
    fresh.add(columns, has["Horror"])
    assert restored.n_rows == 2_000
    assert restored.findings(0.05) == fresh.findings(0.05)


def test_memory_does_not_grow_with_the_rows():
    columns, _, noise = traffic(0, 20_000)
    size = len(json.dumps(searched(columns, noise, batch=1_000).state()))
    few, _, few_noise = traffic(0, 10_000)
    assert size < 1.3 * len(json.dumps(searched(few, few_noise, batch=1_000).state()))
    assert size < 1_000_000


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(max_size=5), st.lists(st.text(max_size=2), max_size=2)),
            st.one_of(st.none(), st.floats(), st.integers(-5, 5)),
            st.one_of(st.none(), st.booleans()),
            st.one_of(st.just(float("nan")), st.floats(0, 1)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_no_value_of_a_declared_column_is_too_strange(rows):
    """Whatever the signature lets through: nulls, lists, infinities, empty strings."""
    rows = rows * 12
    columns = {}
    for at, name in enumerate(("text", "number", "flag")):
        columns[name] = np.empty(len(rows), dtype=object)
        columns[name][:] = [row[at] for row in rows]
    search = SliceSearch({"text": "string", "number": "number", "flag": "bool"})
    for half in (slice(0, len(rows) // 2), slice(len(rows) // 2, None)):
        search.add({k: v[half] for k, v in columns.items()}, np.array([r[3] for r in rows])[half])
    for found in search.findings(0.5):
        assert 0 <= found.low <= found.rate <= found.high <= 1
        assert found.rate > found.rate_outside


def test_times_are_ranges_and_a_missing_time_is_missing():
    days = np.datetime64("2024-01-01", "s") + np.arange(1_000) * np.timedelta64(3_600, "s")
    days[::10] = np.datetime64("NaT")
    search = SliceSearch({"seen": kind_of(days.dtype)})
    search.add({"seen": days}, np.isnat(days))
    assert [found.describe for found in search.findings(0.05)] == ["seen is missing"]


def test_rows_that_were_scored_again_are_counted_by_slice_and_read_back():
    columns, has, noise = traffic(0)
    wrong = has["Horror"] | noise
    search = SliceSearch(KINDS, disclosure=OPEN)
    for at in range(0, wrong.size, 100):
        part = {name: values[at : at + 100] for name, values in columns.items()}
        same = np.where(wrong[at : at + 100], has["Horror"][at : at + 100], np.nan)
        search.add_again(part, same)  # the first of them before the cells are fixed
        search.add(part, wrong[at : at + 100].astype(float))
    for one in (search, SliceSearch.from_state(json.loads(json.dumps(search.state())))):
        (found,) = one.findings(0.05, show=set(KINDS))
        assert found.describe == "genres has Horror"
        assert found.doubted == found.persisting == has["Horror"].sum()


def test_what_is_scored_again_earns_no_value_a_cell():
    columns, _, _ = traffic(0)
    search = searched(columns, np.zeros(2_000))
    before = search.state()["counts"]["cells"]
    search.add_again(columns, np.ones(2_000))
    assert search.state()["counts"]["cells"] == before
