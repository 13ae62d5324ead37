from __future__ import annotations

import json
from dataclasses import asdict, replace

from rig.evidence import CHALLENGER, comparison
from shadowserve.evidence.traces import MOST_PREVIEW, Sides, chosen, traces_of
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


def test_a_trace_shows_both_answers_and_how_large_the_request_was(tmp_path) -> None:
    path = part(tmp_path, {"champion": ["Alien"], "lane": ["Bambi"], "sizes": {"text": 9, "b": 1}})
    ((info, spans),) = traces_of(path, SIDES)
    assert json.loads(info["request_preview"]) == {"rows": 1, "sizes": {"text": 9, "b": 1}}
    both = {"champion v3": ["Alien"], "challenger v4": ["Bambi"]}
    assert json.loads(info["response_preview"]) == both
    by_name = {span["name"]: span["attributes"] for span in spans}
    assert json.loads(by_name["request"]["mlflow.spanOutputs"]) == both
    assert json.loads(by_name["champion v3"]["mlflow.spanOutputs"]) == ["Alien"]
    assert json.loads(by_name["challenger v4"]["mlflow.spanInputs"])["sizes"]["text"] == 9


def test_long_answers_are_cut_and_a_missing_one_is_null(tmp_path) -> None:
    path = part(tmp_path, {"champion": ["x" * 10_000], "lane": None})
    ((info, spans),) = traces_of(path, SIDES)
    assert len(json.dumps([info, spans])) < 10_000
    told = json.loads(spans[0]["attributes"]["mlflow.spanOutputs"])
    assert told["champion v3"].endswith("…")
    assert told["challenger v4"] is None


def test_tags_name_what_people_filter_by_and_nothing_acts_in_them(tmp_path) -> None:
    steps, sizes = {"a": 1.0, "b\x1b[31m" + "c" * 500: 7.0}, {"text": 40, "list": 3}
    path = part(tmp_path, {"lane_steps": steps, "sizes": sizes})
    ((info, _),) = traces_of(path, SIDES)
    tags = info["tags"]
    assert tags["shadowserve.outcome"] == "both_ok"
    assert tags["shadowserve.column"] == "text"
    assert tags["shadowserve.step"].startswith("b\\x1b[31mccc")
    assert len(tags["shadowserve.step"]) < 250
    bare = part(tmp_path, {"lane_steps": {}, "sizes": {}})
    ((info, _),) = traces_of(bare, SIDES)
    assert not {"shadowserve.step", "shadowserve.column"} & info["tags"].keys()


def test_spans_tell_sizes_and_times(tmp_path) -> None:
    path = part(tmp_path, {})
    ((_, spans),) = traces_of(path, SIDES)
    steps = [s for s in spans if s["name"] == "description"]
    assert [json.loads(s["attributes"]["columns"]) for s in steps] == [[], ["text"]]
    assert [json.loads(s["attributes"]["sizes"]) for s in steps] == [{}, {"text": 40}]
    assert all(s["end_time_unix_nano"] >= s["start_time_unix_nano"] for s in spans)


def test_a_champion_that_was_batched_is_not_drawn(tmp_path) -> None:
    path = part(tmp_path, {"champion_ms": None, "champion_steps": {}})
    ((_, spans),) = traces_of(path, SIDES)
    assert [s["name"] for s in spans] == ["request", "description", "estimator", "challenger v4"]


def test_values_that_may_be_seen_are_a_traces_inputs_and_no_others(tmp_path) -> None:
    seen = {"text": ["red car"], "b": None}
    sides = replace(SIDES, inputs=lambda place: seen if place == 1 else None)
    told = {
        info["client_request_id"]: json.loads(spans[0]["attributes"]["mlflow.spanInputs"])
        for info, spans in traces_of(part(tmp_path, {}, {}), sides)
    }
    assert [one["values"] for one in told.values() if "values" in one] == [{"text": "red car"}]


def test_values_in_a_trace_are_bounded_and_what_is_left_out_is_counted(tmp_path) -> None:
    seen = {"a": ["x" * 1_500] * 2, "b": ["y" * 1_500], "c": ["z"]}
    ((info, spans),) = traces_of(part(tmp_path, {}), replace(SIDES, inputs=lambda _: seen))
    told = json.loads(spans[0]["attributes"]["mlflow.spanInputs"])
    assert told["values"] == {"a": ["x" * 1_500] * 2}
    assert told["columns_left_out"] == 2
    assert len(info["request_preview"]) <= MOST_PREVIEW
