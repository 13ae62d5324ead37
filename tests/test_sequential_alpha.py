from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.sequential import AlphaLedger


@given(st.floats(0.001, 0.5), st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_no_number_of_windows_spends_more_than_the_total(total, windows):
    ledger = AlphaLedger(total, {f"kind {i}": i + 1 for i in range(len(windows))})
    spent = sum(ledger.window(f"kind {i}") for i, looks in enumerate(windows) for _ in range(looks))
    assert spent <= total
    assert ledger.spent == pytest.approx(spent)


def test_a_standing_share_may_be_asked_for_again_and_counts_once():
    ledger = AlphaLedger(0.04, {"slices": 1, "latency": 3})
    assert ledger.standing("slices") == ledger.standing("slices") == pytest.approx(0.01)
    assert ledger.spends() == {"slices": pytest.approx(0.01)}


def test_a_kind_is_spent_in_one_way_only():
    ledger = AlphaLedger(0.05, {"a": 1, "b": 1})
    ledger.standing("a")
    ledger.window("b")
    with pytest.raises(ValueError, match="own kind"):
        ledger.window("a")
    with pytest.raises(ValueError, match="own kind"):
        ledger.standing("b")


def test_an_undeclared_kind_has_no_alpha_and_leaves_no_trace():
    ledger = AlphaLedger(0.05, {"a": 1})
    for spend in (ledger.standing, ledger.window, ledger.share):
        with pytest.raises(LookupError, match="declared"):
            spend("z")
    assert ledger.spends() == {}


@pytest.mark.parametrize(
    ("total", "kinds"), [(0.0, {"a": 1}), (1.0, {"a": 1}), (0.1, {}), (0.1, {"a": 0})]
)
def test_an_impossible_ledger_is_refused(total, kinds):
    with pytest.raises(ValueError, match="alpha"):
        AlphaLedger(total, kinds)


def test_state_survives_json_and_spending_goes_on_where_it_stopped():
    ledger = AlphaLedger(0.05, {"a": 1, "b": 2})
    ledger.window("a")
    ledger.standing("b")
    back = AlphaLedger.from_state(json.loads(json.dumps(ledger.state())))
    assert back.state() == ledger.state()
    assert back.window("a") == ledger.window("a")
