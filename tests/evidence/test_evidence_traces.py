from __future__ import annotations

import json
from dataclasses import asdict

from rig.evidence import CHALLENGER, comparison
from shadowserve.evidence.traces import Sides, chosen, traces_of
from shadowserve.lane import windows
from shadowserve.records import Role

SIDES = Sides("run", CHALLENGER, 3, {Role.CHALLENGER: {"description": ["text"]}})


def rows(*changes: dict) -> list[dict]:
    return [
        asdict(comparison(i + 1, 0, **{"disagreement": 0.0, **one}))
        for i, one in enumerate(changes)
    ]


def test_the_slowest_three_and_the_furthest_two_are_chosen_once_each() -> None:
    found = chosen(
        rows(
            {"lane_ms": 9.0, "disagreement": 1.0},
            *({"lane_ms": float(i)} for i in (8, 7, 6)),
            *({"lane_ms": 1.0, "disagreement": d} for d in (0.2, 0.9)),
        )
    )
    assert [(row["position"], why) for row, why in found] == [
        (1, "slow"), (2, "slow"), (3, "slow"), (6, "divergent"),
    ]  # fmt: skip


def test_requests_of_the_warm_up_or_scored_together_get_no_trace() -> None:
    assert chosen(rows({"warmup": True}, {"alone": False}, {"lane_ms": None})) == []


def test_nothing_differs_so_nothing_is_called_divergent() -> None:
    found = chosen(rows(*({"lane_ms": 1.0, "disagreement": None} for _ in range(5))))
    assert [why for _, why in found] == ["slow"] * 3


def part(tmp_path, *changes: dict):
    found = [comparison(i + 1, 0, **one) for i, one in enumerate(changes)]
    return tmp_path / windows.write_part(tmp_path, [windows.encode(one) for one in found])


def test_a_trace_has_the_same_ids_each_time(tmp_path) -> None:
    path = part(tmp_path, {}, {})
    assert traces_of(path, SIDES) == traces_of(path, SIDES)
    ids = [info["trace_id"] for info, _ in traces_of(path, SIDES)]
    other = Sides("other run", CHALLENGER, 3, {})
    assert not set(ids) & {info["trace_id"] for info, _ in traces_of(path, other)}


def test_spans_tell_sizes_and_times_and_no_prediction(tmp_path) -> None:
    path = part(tmp_path, {"champion": ["secret-film"], "lane": ["secret-film"]})
    ((info, spans),) = traces_of(path, SIDES)
    assert "secret-film" not in json.dumps([info, spans])
    steps = [s for s in spans if s["name"] == "description"]
    assert [json.loads(s["attributes"]["columns"]) for s in steps] == [[], ["text"]]
    assert [json.loads(s["attributes"]["sizes"]) for s in steps] == [{}, {"text": 40}]
    assert all(s["end_time_unix_nano"] >= s["start_time_unix_nano"] for s in spans)


def test_a_champion_that_was_batched_is_not_drawn(tmp_path) -> None:
    path = part(tmp_path, {"champion_ms": None, "champion_steps": {}})
    ((_, spans),) = traces_of(path, SIDES)
    assert [s["name"] for s in spans] == ["request", "description", "estimator", "challenger v4"]
