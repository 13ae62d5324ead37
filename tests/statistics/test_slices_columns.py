"""Columns that several searches share bring each of them what it would have found by itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.statistics.slices import Columns, SliceSearch, counts, kind_of
from shadowserve.statistics.slices.columns import Column
from shadowserve.statistics.slices.string_cells import StringCells

BATCHES = (1, 0, 200, 3, 90, 1, 0, 700, 1, 400)
DISCLOSURES = (
    Disclosure(log="all"),
    Disclosure(salt=b"a"),
    Disclosure(salt=b"b", hashed=("number", "word"), dropped=("id",)),
)


def objects(values):
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    days = np.datetime64("2020-01-01") + rng.integers(0, 300, n).astype("m8[D]")
    odd = [1.5, None, "x", 2**63 + 1, -1, True]
    return {
        "number": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "flag": rng.random(n) < 0.3,
        "day": np.where(rng.random(n) < 0.1, np.datetime64("NaT"), days),
        "odd": objects([odd[at] for at in rng.integers(0, len(odd), n)]),
        "word": objects([[None, "a", "b", "", "\u00fc"][at] for at in rng.integers(0, 5, n)]),
        "id": objects([f"id{at}" for at in rng.integers(0, 400, n)]),
        "many": objects(["|".join(rng.choice(["x", "y ", "z"], 2)) for _ in range(n)]),
        "text": objects([None if at < 5 else "w" * at for at in rng.integers(0, 90, n).tolist()]),
    }


KINDS = {name: kind_of(values.dtype) for name, values in drawn(1, 0).items()} | {"odd": "number"}


def disagreement(n, seed, *, missing):
    values = np.random.default_rng(seed).random(n)
    values[values < 0.6] = 0
    values[values > 1 - missing] = np.nan
    return values


def told(search):
    state = search.state()
    state["counts"].pop("mark")
    return json.dumps(state, sort_keys=True)


@pytest.mark.parametrize("disclosure", DISCLOSURES)
def test_searches_that_share_their_columns_learn_what_each_learns_alone(disclosure):
    def three():
        return [SliceSearch(KINDS, disclosure=disclosure) for _ in range(3)]

    together, apart = three(), three()
    for batch, n in enumerate(BATCHES):
        shared = Columns(drawn(n, batch))
        # One of them leaves some rows out, and once all: its cells become others than the others'.
        for which, missing in enumerate((0.0, 0.05, 1.0 if batch == 5 else 0.0)):
            values = disagreement(n, 10 * batch + which, missing=missing)
            one = together[which].add(shared, values)
            other = apart[which].add(drawn(n, batch), values)
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other)
            again = np.where(np.isnan(values), np.nan, (values > 0.8).astype(float))
            together[which].add_again(shared, again)
            apart[which].add_again(drawn(n, batch), again)
    assert list(map(told, together)) == list(map(told, apart))
    assert len(set(map(told, together))) == 3  # what they share is columns, and nothing else


@pytest.mark.parametrize("rule", [Rule.SHOWN, Rule.LABELLED, Rule.HASHED])
@pytest.mark.parametrize("name", ["word", "id", "many", "text"])
def test_the_cells_of_many_strings_are_those_of_each_by_itself(name, rule):
    cells = StringCells(drawn(256, 1)[name], disclosure=Disclosure(salt=b"a"), rule=rule)
    values = drawn(150, 2)[name]
    whole = cells.members(Column(values), counted=False)
    alone = [cells.members(Column(values[at : at + 1]), counted=False)[0] for at in range(150)]
    assert np.array_equal(whole, alone)
    assert (whole[:, -1] == [value is None for value in values]).all()
    assert cells.members(Column(values[:0])).shape == (0, cells.size)


def test_values_that_wait_for_a_cell_are_counted_as_often_as_they_come():
    one, other = (
        StringCells(drawn(256, 1)["id"], disclosure=Disclosure(), rule=Rule.SHOWN) for _ in "12"
    )
    values = drawn(900, 3)["id"]
    one.members(Column(values))
    for at in range(len(values)):
        other.members(Column(values[at : at + 1]))
    assert list(one.state()["waiting"].items()) == list(other.state()["waiting"].items())
    assert one.state()["waiting"]


def test_pairs_are_counted_to_the_row_where_float32_could_not(monkeypatch):
    one, other = (SliceSearch(KINDS, disclosure=DISCLOSURES[0]) for _ in "12")
    for batch, n in enumerate(BATCHES):
        one.add(drawn(n, batch), disagreement(n, batch, missing=0.1))
    monkeypatch.setattr(counts, "MOST_EXACT", 0)
    for batch, n in enumerate(BATCHES):
        other.add(drawn(n, batch), disagreement(n, batch, missing=0.1))
    assert told(one) == told(other)


def test_taking_all_rows_takes_what_is_there():
    columns = Columns(drawn(5, 1))
    assert columns.taken(np.ones(5, np.bool_)) is columns
    some = columns.taken(np.arange(5) != 2)
    assert list(some) == list(columns)
    assert len(some) == len(KINDS)
    assert some["flag"].tolist() == np.delete(columns["flag"], 2).tolist()
