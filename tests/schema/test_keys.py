from __future__ import annotations

import pytest

from shadowserve.errors import ModelError
from shadowserve.schema.columns import Column
from shadowserve.schema.keys import Keys, ordered

COLUMNS = (Column("age", "long"), Column("shop_name", "string"))
KEYS = Keys.of(COLUMNS)


def test_two_names_that_json_spells_alike_are_refused():
    with pytest.raises(ModelError, match="cannot tell apart"):
        Keys.of((Column(1, "long"), Column("1", "long")))


def test_unknown_keys_are_named_once_in_order_of_appearance():
    records = [{"age": 1, "b": 2}, {"a": 3, "b": 4, "shop_name": "x"}]
    assert KEYS.unknown(records) == ("b", "a")


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"shop name": 1}, {"shop_name": 1}),
        ({"shop\tname": 1}, {"shop_name": 1}),
        ({"shop name": 1, "shop_name": 2}, {"shop name": 1, "shop_name": 2}),
        ({"shoe size": 1}, {"shoe size": 1}),
        ({"age": 1}, {"age": 1}),
    ],
)
def test_a_blank_is_an_underscore_where_the_model_has_that_name_and_it_did_not_come(given, known):
    assert KEYS.respelled(given) == known


def test_what_is_missing_is_refused_with_the_unknown_name_that_is_like_it():
    error = KEYS.lacks(COLUMNS[:1], given={"agee": 1, "shop_name": "x"}, row=3)
    assert (error.code, error.column, error.row) == ("missing_column", "age", 3)
    assert "lacks 1 of 2 features: age. Not known: agee." in str(error)


def test_numbers_and_fitted_names_set_the_order_and_nothing_else_does():
    assert ordered(["2", "0", "1"], ()) == ["0", "1", "2"]
    assert ordered(["b", "a"], ("a", "b")) == ["a", "b"]
    assert ordered(["b", "a"], ("a", "c")) == ["b", "a"]
