from __future__ import annotations

import numpy as np
import orjson

from rig.evidence import comparison
from shadowserve.comparison.failures import Poison
from shadowserve.comparison.learned import Learned
from shadowserve.evidence.tables import slow_requests, step_columns, worst_requests
from shadowserve.schema.disclosure import Disclosure


def learned() -> dict[str, bytes]:
    it = Learned({"description": ["text"]}, {"description": ["text"]})
    rows = [comparison(i, 0) for i in range(1, 11)]
    it.add(
        rows,
        scorings=[],
        side=None,
        divergence=None,
        champion_columns={},
        inner={},
        disclosure=Disclosure(),
    )
    it.outputs.worst.add(np.array([0.0, 0.5, 0.9]), np.array([1, 2, 3]), ["a", "b", "c"])
    poison = Poison(11, "request-11", "deadline", "description", 10_000.0, {"text": 32, "title": 4})
    it.failures.poisoned(poison)
    return it.state()


def test_a_request_that_never_returned_comes_first_and_says_so() -> None:
    table = slow_requests(learned())
    first = dict(zip(table["columns"], table["data"][0], strict=True))
    assert first["note"] == "≥ deadline"
    assert (first["step"], first["column"], first["size"], first["ms"]) == (
        "description",
        "text",
        32,
        10_000.0,
    )


def test_slow_requests_name_their_slowest_step_and_largest_input() -> None:
    table = slow_requests(learned())
    second = dict(zip(table["columns"], table["data"][1], strict=True))
    assert (second["request_id"], second["position"], second["ms"]) == ("request-7", 7, 40.0)
    assert (second["step"], second["step_ms"], second["size"]) == ("description", 39.0, 9_000)


def test_only_requests_that_differ_are_among_the_worst() -> None:
    assert worst_requests(learned())["data"] == [[0.9, "c", 3], [0.5, "b", 2]]


def test_a_lane_that_has_learnt_nothing_has_empty_tables() -> None:
    assert slow_requests({})["data"] == worst_requests({})["data"] == []
    assert step_columns({}, "lane") == {}


def test_the_columns_of_each_step_are_known() -> None:
    assert step_columns(learned(), "lane")["description"] == ["text"]


def test_tables_are_what_pandas_reads() -> None:
    table = slow_requests(learned())
    assert {len(row) for row in table["data"]} == {len(table["columns"])}
    assert orjson.loads(orjson.dumps(table)) == table
