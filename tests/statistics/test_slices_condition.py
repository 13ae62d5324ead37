from __future__ import annotations

import pytest

from shadowserve.statistics.slices import Condition


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Condition("carat", "range", high=0.5), "carat below 0.5"),
        (Condition("carat", "range", low=2.0), "carat from 2"),
        (Condition("about", "length", low=10, high=20), "length of about from 10 to 20"),
        (Condition("vip", "false"), "vip is false"),
        (Condition("shop", "value", label="#ab", value="Berlin"), "shop is #ab"),
    ],
)
def test_a_condition_reads_as_a_sentence(condition, words):
    assert condition.describe() == words
