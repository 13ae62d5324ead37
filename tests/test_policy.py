"""The policy: impossible limits are refused together, each in a line."""

from __future__ import annotations

import pytest

from shadowserve.errors import SettingsError
from shadowserve.policy import Policy


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


def test_alarms_share_their_alpha():
    assert Policy(alarm_alpha_total=0.02).alarm_alpha == pytest.approx(0.002)


def test_a_policy_tells_its_limits_and_no_columns():
    told = Policy.of({}, log_inputs=("title",)).to_dict()
    assert "log_inputs" not in told
    assert told["max_error_rate"] == 0.001
