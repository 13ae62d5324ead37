"""The table of `serve --verbose`: a line for each process, whose parts add up to what it took."""

from __future__ import annotations

from shadowserve.cli.beginning import table
from shadowserve.state.beginnings import Beginning

S = 10**9


def test_parts_follow_each_other_and_begin_when_the_command_did():
    told = table(
        {
            "supervisor": Beginning(100 * S, (("imports", 101 * S), ("pins", 104 * S))),
            "champion worker 0": Beginning(101 * S, (("imports", 103 * S), ("loading", 107 * S))),
        }
    )
    assert told[1].split() == ["supervisor", "0.00", "4.00", "imports", "1.00,", "pins", "3.00"]
    assert told[2].split() == [
        "champion",
        "worker",
        "0",
        "1.00",
        "7.00",
        "imports",
        "2.00,",
        "loading",
        "4.00",
    ]


def test_who_has_not_told_and_what_nobody_knows_is_said():
    told = table(
        {
            "supervisor": Beginning(None, (("imports", 3 * S), ("pins", 4 * S))),
            "lane control v3": None,
            "console": Beginning(2 * S, ()),
        }
    )
    assert told[1].split() == ["supervisor", "?", "1.00", "imports", "?,", "pins", "1.00"]
    assert told[2].split()[-3:] == told[3].split()[-3:] == ["has", "not", "told"]


def test_a_deployment_of_which_nothing_is_known_has_a_table_too():
    assert len(table({"supervisor": None, "console": None})) == 3
