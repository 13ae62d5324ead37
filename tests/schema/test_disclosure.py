"""What may be told of a column: the stricter word wins, and hashes tell nothing but equality."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.settings.options import Options


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({}, Rule.LABELLED),
        ({"log_inputs": "none"}, Rule.LABELLED),
        ({"log_inputs": "all"}, Rule.SHOWN),
        ({"log_inputs": ["user"]}, Rule.SHOWN),
        ({"log_inputs": ["shop"]}, Rule.LABELLED),
        ({"log_inputs": "all", "hash_inputs": ["user"]}, Rule.HASHED),
        ({"log_inputs": ["user"], "drop_inputs": ["user"]}, Rule.DROPPED),
        ({"hash_inputs": ["user"], "drop_inputs": ["user"]}, Rule.DROPPED),
    ],
)
def test_the_stricter_word_on_a_column_wins(options, rule):
    assert Options.of(options).disclosure(salt="s").rule("user") is rule


def test_a_numbered_column_is_named_by_its_number():
    assert Disclosure(dropped=("0",)).rule(0) is Rule.DROPPED


def test_sizes_of_dropped_columns_do_not_leave():
    assert Disclosure(dropped=("note",)).sizes({"note": 9, "title": 4}) == {"title": 4}


@given(st.text(), st.text(), st.binary(min_size=1, max_size=64))
def test_equal_texts_have_equal_hashes_of_one_length(one, other, salt):
    hashes = [Disclosure(salt).digest(text) for text in (one, one, other)]
    assert hashes[0] == hashes[1]
    assert (hashes[0] == hashes[2]) == (one == other)
    assert {len(found) for found in hashes} == {16}


def test_another_deployment_has_other_hashes():
    assert Disclosure(b"one").digest("Berlin") != Disclosure(b"two").digest("Berlin")
    assert Disclosure(b"one").digest("\ud800")  # what JSON lets through is hashed too
