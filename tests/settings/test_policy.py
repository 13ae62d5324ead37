"""The policy: impossible limits are refused together, each in a line."""

from __future__ import annotations

import pytest

from shadowserve.errors import SettingsError
from shadowserve.settings.policy import Policy


def test_without_a_table_the_defaults_hold():
    assert Policy.of({}) == Policy()
    assert Policy.of({"alpha": 0.1}).alpha == 0.1


def test_every_fault_is_told_at_once():
    table = {
        "alhpa": 0.05,
        "nonsense": 1,
        "max_disagreement": 1.5,
        "latency_margin": 0.01,
        "min_requests": 0.5,
        "min_examples": 0,
        "max_error_rate": "few",
        "alarm_alpha_total": True,
        "loss": "regret",
    }
    with pytest.raises(SettingsError) as caught:
        Policy.of(table)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(table)
    assert "Do you mean alpha?" in lines[0]
    assert all(name in line for name, line in zip(table, lines, strict=True))


@pytest.mark.parametrize(
    ("log_inputs", "shown"),
    [("none", []), ("all", ["age", "title"]), (("title", "other"), ["title"]), ((), [])],
)
def test_only_the_columns_that_may_leave_are_shown(log_inputs, shown):
    assert Policy.of({}, log_inputs=log_inputs).shown(["age", "title"]) == shown


def test_challengers_of_one_champion_share_alpha_however_many_there_are():
    """Twenty useless ones, tried one after the other, are promoted with at most alpha all together."""
    spent = [Policy(alpha=0.1).of_challenger(k).alpha for k in range(1, 10_001)]
    assert spent[0] == pytest.approx(0.05)
    assert 0.0999 < sum(spent) < 0.1
    assert Policy().of_challenger(2).of_challenger(3) == Policy().of_challenger(3)
    told = Policy().of_challenger(2).to_dict()
    assert (told["challenger"], told["family_alpha"]) == (2, 0.05)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"costs": 3}, "a table for each of two labels"),
        ({"costs": {"a": {"a": 0.0}}}, "a table for each of two labels"),
        ({"costs": {"a": {"b": -1}, "b": {"a": 1}}}, "at least 0"),
        ({"costs": {"a": {"a": 0}, "b": {"b": 0}}}, "one of them above"),
        ({"costs": {"a": {"b": True}, "b": {"a": 1}}}, "at least 0"),
        ({"loss": "cost"}, "needs a matrix"),
        ({"loss_cap": 0}, "above 0"),
        ({"challenger": 3}, "not known"),
    ],
)
def test_costs_and_caps_that_cannot_be_are_refused(table, said):
    with pytest.raises(SettingsError, match=said):
        Policy.of(table)


def test_an_alarm_spends_a_fifteenth_unless_its_module_says_another_share():
    policy = Policy(alarm_alpha_total=0.03)
    assert policy.alarm_alpha() == pytest.approx(0.002)
    assert policy.alarm_alpha(0.1) == pytest.approx(0.003)


def test_a_policy_tells_its_limits_and_no_columns():
    told = Policy.of({}, log_inputs=("title",)).to_dict()
    assert "log_inputs" not in told
    assert told["max_error_rate"] == 0.005
