"""A lane at work: every request has one outcome, through any death, and all of it adds up."""

from __future__ import annotations

import json
import os
import random
import sys
import time

import numpy as np
import orjson
import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import answer, close, in_a_child, lane, parts, records, told, work
from rig.scoring import double, native, opaque, pipeline
from shadowserve.comparison.learned import Learned
from shadowserve.journal import segment_file
from shadowserve.journal.segment_file import segments
from shadowserve.lane import commits, run, windows
from shadowserve.lane.batch_size import FIRST_ROWS
from shadowserve.lane.members import Members, follow
from shadowserve.records import Times
from shadowserve.schema.disclosure import Disclosure
from shadowserve.state import inflight, ledger
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_reading import closed_windows, snapshot
from shadowserve.statistics import measuring
from shadowserve.statistics.spent import ACTIVITIES
from shadowserve.statistics.switchback import BLOCK_NS, Block, Schedule


def places_at(tmp_path):
    return made(tmp_path, CHALLENGER, CONTROL)


def learned(places, name=CHALLENGER):
    return Learned.from_state(snapshot(places.lane(name.role, name.version).state).summaries)


def test_the_same_version_agrees_on_everything(tmp_path):
    places = places_at(tmp_path)
    scorer = native(pipeline())
    answer(places, records(160), champion=scorer)
    work(places, native(pipeline(), number=4), rescore=True)
    assert told(places) == {"both_ok": 160}
    outputs = learned(places).outputs
    assert outputs.disagreement.n == 160
    assert outputs.disagreement.mean == 0.0
    assert outputs.first_differing is None
    assert learned(places).noise.again.n == 16
    assert learned(places).noise.again.mean == learned(places).noise.together.mean == 0.0


def test_a_version_that_differs_is_measured_and_placed(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(40))
    late = opaque(lambda f, p: double(f, p) + 100.0 * (f["age"].to_numpy() >= 30))
    work(places, late)
    outputs = learned(places).outputs
    assert outputs.intolerant.mean == pytest.approx(0.25)
    assert outputs.first_differing == 31
    assert {row["position"] for row in outputs.worst.rows()[:10]} == set(range(31, 41))


def failing(when):
    def predict(frame, params):
        if when(frame["age"].to_numpy()).any():
            raise ValueError("s3cret-value")
        return double(frame, params)

    return opaque(predict)


def test_every_way_to_end_is_an_outcome(tmp_path):
    """Errors are outcomes, not gaps (law 3)."""
    places = places_at(tmp_path)
    answer(places, records(20), champion=failing(lambda age: age < 5))
    work(places, failing(lambda age: (age >= 3) & (age < 10)))
    assert told(places) == {
        "champion_error": 3,
        "both_error": 2,
        "challenger_error": 5,
        "both_ok": 10,
    }
    rows = parts(places)
    assert rows["error"].dropna().tolist() == ["ValueError"] * 7
    assert "s3cret" not in rows.to_json()


def test_a_request_that_the_champion_failed_on_has_no_champion_time(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(60), champion=failing(lambda age: age < 40))
    work(places)
    assert learned(places).champion.total.spent.n == 20
    assert parts(places)["champion_ms"].isna().sum() == 40


def test_a_model_that_leaves_is_an_error_not_a_death(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(5))
    work(places, opaque(lambda frame, params: sys.exit(3)))
    assert told(places) == {"challenger_error": 5}


def test_what_was_sampled_out_is_counted(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(30), sampled=lambda n: n % 3 == 0)
    work(places)
    assert told(places) == {"both_ok": 10, "sampled_out": 20}


def test_a_lane_stands_still_when_it_is_to_unless_a_stop_lets_it_catch_up(tmp_path):
    """Else a stop in a still block would leave evidence for the next start."""
    places = made(tmp_path)
    answer(places, records(5))
    it = lane(places, opaque(double))
    began_ns = time.time_ns() - 15 * BLOCK_NS
    schedules = (Schedule(began_ns, str(salt)) for salt in range(1000))
    it.parts.schedule = next(s for s in schedules if s.block(time.time_ns())[1] is Block.STILL)
    it.take_up()
    assert not it.turn()
    assert it.parts.tail.read(1).requests
    it.parts.tail._cursor.clear()
    places.draining.touch()
    assert it.turn()
    it.flush()
    assert told(places) == {"both_ok": 5}
    close(it)


def test_a_paused_lane_skips_and_goes_on_afterwards(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(10))
    places.paused.touch()
    work(places)
    assert told(places) == {"skipped_paused": 10}
    places.paused.unlink()
    answer(places, records(5))
    work(places)
    assert told(places) == {"skipped_paused": 10, "both_ok": 5}
    assert parts(places)["position"].tolist() == list(range(11, 16))


def test_what_the_budget_deleted_is_skipped(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(12), segment_bytes=1)
    work(places, upto=2)
    for segment in segments(places.journal)[4:9]:
        segment_file.remove(segment)
    assert told(places)["skipped_budget"] == 5  # before the lane has come to it
    work(places)
    assert told(places) == {"both_ok": 7, "skipped_budget": 5}


def test_a_lane_that_goes_on_counts_nothing_twice(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(200))
    for _ in range(3):
        work(places, upto=40)
        counts = told(places)
        assert counts["both_ok"] + counts["pending"] == 200
    work(places)
    assert told(places) == {"both_ok": 200}
    assert parts(places)["position"].tolist() == list(range(1, 201))
    assert learned(places).requests == 200
    assert learned(places).outputs.disagreement.n == 200


def test_all_workers_requests_are_scored(tmp_path):
    places = places_at(tmp_path)
    for worker in range(3):
        answer(places, records(30), worker=worker)
    work(places)
    assert told(places) == {"both_ok": 90}
    assert parts(places)["position"].is_unique


N_KILLED = 500


@pytest.mark.parametrize("seed", range(2))
def test_a_lane_killed_at_any_instant_loses_nothing(tmp_path, monkeypatch, seed):
    """Outcomes and pending add up to the journal at each death, and each request is scored once."""
    monkeypatch.setattr(commits, "COMMIT_NS", 10**7)
    monkeypatch.setattr(windows, "WINDOW_REQUESTS", 50)
    monkeypatch.setattr(windows, "LEAST_NS", 0)
    monkeypatch.setattr(run, "READ_REQUESTS", 8)
    chance = random.Random(seed)
    places = places_at(tmp_path)
    answer(places, records(N_KILLED), segment_bytes=280_000)
    deaths = 0
    while told(places).get("both_ok", 0) < N_KILLED:
        ended = in_a_child(lambda: work(places), cpu_s=chance.uniform(0.02, 0.2))
        deaths += ended != 0
        counts = told(places)
        assert counts.get("both_ok", 0) + counts.get("pending", 0) == N_KILLED
        assert set(counts) <= {"both_ok", "pending"}
    assert deaths > 3
    work(places)
    rows = parts(places)
    assert sorted(rows["position"]) == list(range(1, N_KILLED + 1))
    assert learned(places).requests == N_KILLED
    assert learned(places).outputs.disagreement.n == N_KILLED


def test_a_request_that_kills_is_tried_once_more_alone_and_then_named(tmp_path):
    """A batch dies of one request; the others are scored, that one ends as crashed."""
    places = places_at(tmp_path)
    answer(places, [{**one, "age": float(n)} for n, one in enumerate(records(40))])

    def dies(frame, params):
        if (frame["age"] == 17).any():
            os._exit(9)
        return double(frame, params)

    files = places.lane(CHALLENGER.role, 4)
    for death in ("first", "second"):
        assert in_a_child(lambda: work(places, opaque(dies))) == 9
        mark = inflight.read(files.inflight)
        assert mark.positions == (18,), death
        write_death(files, cause="crash", positions=mark.positions, of=death)
        assert told(places)["pending"] >= 23
    work(places, opaque(dies))
    assert told(places) == {"both_ok": 39, "crashed": 1}
    (poison,) = learned(places).failures.poison
    assert (poison.position, poison.cause) == (18, "crash")
    assert parts(places).set_index("position").loc[18, "outcome"] == "crashed"
    assert not files.death.exists()


def write_death(files, *, cause, positions, of):
    """Say, as the supervisor does, how the lane's last process ended."""
    told = {"id": of, "positions": positions, "cause": cause, "step": 0, "worked_ms": 1234.0}
    files.death.write_text(json.dumps(told))


def die(places, *, cause, positions, times=1):
    for death in range(times):
        write_death(
            places.lane(CHALLENGER.role, 4), cause=cause, positions=positions, of=str(death)
        )
        one = lane(places, opaque(double))
        one.take_up()
        close(one)


@pytest.mark.parametrize(
    ("cause", "outcome"), [("deadline", "timed_out"), ("memory", "crashed"), ("crash", "crashed")]
)
def test_the_second_death_is_the_outcome(tmp_path, cause, outcome):
    places = places_at(tmp_path)
    answer(places, records(5))
    die(places, cause=cause, positions=[3], times=2)
    work(places)
    assert told(places) == {"both_ok": 4, outcome: 1}
    (poison,) = learned(places).failures.poison
    assert (poison.cause, poison.step, poison.worked_ms) == (cause, "predict", 1234.0)
    assert poison.sizes == {"title": len("green green")}


@pytest.mark.parametrize("cause", ["deadline", "crash"])
def test_ss_098_a_timeout_counts_in_every_percentile_as_the_deadline_at_least(tmp_path, cause):
    places = places_at(tmp_path)
    answer(places, records(5))  # all of them warm the lane up
    die(places, cause=cause, positions=[3], times=2)
    work(places)
    seen = learned(places)
    counted = 1 if cause == "deadline" else 0
    for spent in (seen.lane.total.spent, seen.lane.steps["predict"].spent):
        assert spent.n == counted
    assert seen.busy_ms.n == 0  # what it can sustain is told without it; the request is named
    if counted:
        assert (
            seen.lane.total.wall.quantile(0.99)
            == seen.lane.steps["predict"].wall.quantile(0.99)
            == 1234.0
        )
    assert seen.slowest.rows() == []
    (listed,) = seen.slow_requests()
    assert listed["payload"]["note"] == ("≥ deadline" if counted else "ended by crash")


def test_one_death_is_no_outcome_yet(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(5))
    die(places, cause="crash", positions=[1, 2, 3])
    work(places)
    assert told(places) == {"both_ok": 5}


def test_a_death_from_outside_is_held_against_nobody(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(5))
    die(places, cause="outside", positions=[3], times=4)
    work(places)
    assert told(places) == {"both_ok": 5}


def test_the_control_scores_bursts_and_samples_out_the_rest(tmp_path):
    places = places_at(tmp_path)
    sent = [{"age": 1.0, "title": "short"} for _ in range(550)]
    answer(places, sent, champion=native(pipeline()))
    work(places, native(pipeline()), name=CONTROL)
    assert told(places, CONTROL, control=True, challengers=()) == {
        "both_ok": 60,
        "sampled_out": 490,
    }
    bursts = snapshot(places.lane(CONTROL.role, 3).state).bursts
    assert [(burst, place) for _, burst, place, _ in bursts[18:22]] == [
        (0, 18),
        (0, 19),
        (1, 0),
        (1, 1),
    ]
    timed = [orjson.loads(record)["ms"] is not None for *_, record in bursts]
    assert timed == [False] * 20 + ([False] * 4 + [True] * 16) * 2  # the first 20 are warm-up


def test_the_largest_inputs_are_scored_by_the_control_too(tmp_path):
    places = places_at(tmp_path)
    sent = [{"age": 1.0, "title": "x" * (5 if n != 150 else 500)} for n in range(199)]
    answer(places, sent)
    work(places, name=CONTROL)
    assert told(places, CONTROL, control=True, challengers=()) == {
        "both_ok": 21,
        "sampled_out": 178,
    }
    assert 151 in parts(places, CONTROL)["position"].tolist()


def test_the_control_never_passes_the_challenger(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(100))
    limit = follow(Members(places, deployment()), dict)
    assert limit() == {}  # the challenger is starting, at nothing
    work(places, upto=30)
    reached = snapshot(places.lane(CHALLENGER.role, 4).state).cursor
    assert 30 <= limit()[0] == reached[0] < 100
    control = lane(places, opaque(double), name=CONTROL)
    control.parts.limit = limit
    control.take_up()
    while control.turn():
        pass
    assert control.parts.tail._cursor == reached
    close(control)


def test_the_control_waits_for_no_challenger_that_has_given_up(tmp_path):
    places = places_at(tmp_path)
    places.lane(CHALLENGER.role, 4).condition.write_text('{"state": "degraded", "reason": "x"}')
    assert follow(Members(places, deployment()), dict)() is None


def test_of_a_dropped_column_no_size_is_kept(tmp_path):
    """Values, labels and sizes of it stay in the journal; other columns are none the worse."""
    for dropped in ((), ("title",)):
        places = places_at(tmp_path / str(len(dropped)))
        answer(places, records(300))
        work(places, opaque(double), disclosure=Disclosure(b"salt", dropped=dropped))
        seen = {name for sizes in parts(places)["sizes"] for name, _ in sizes}
        assert ("title" in seen) == ("title" in learned(places).sizes) == (not dropped)
        searched = learned(places).outputs.slices.names
        assert set(searched) == {"age", "title"} - set(dropped)
        assert told(places) == {"both_ok": 300}


def test_a_version_that_lacks_a_column_is_incompatible(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(5))
    wider = {
        "inputs": [
            {"name": "age", "type": "double", "required": True},
            {"name": "tenure", "type": "double", "required": True},
        ]
    }
    work(places, opaque(double, signature=wider))
    assert told(places) == {"challenger_error": 5}
    files = places.lane(CHALLENGER.role, 4)
    assert condition(files) == ("incompatible", "missing_column:tenure")
    assert learned(places).failures.faults[0].fault.column == "tenure"


def test_a_lane_at_work_says_so(tmp_path):
    places = places_at(tmp_path)
    assert condition(places.lane(CHALLENGER.role, 4)) == ("starting", None)
    answer(places, records(5))
    work(places)
    assert condition(places.lane(CHALLENGER.role, 4)) == ("running", None)


def test_nan_is_an_outcome_and_a_number_that_is_counted(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(40))
    sometimes = opaque(lambda f, p: np.where(f["age"].to_numpy() % 4 == 0, np.nan, double(f, p)))
    work(places, sometimes)
    assert told(places) == {"both_ok": 40}
    outputs = learned(places).outputs
    assert outputs.nonfinite.mean == pytest.approx(0.25)
    assert outputs.champion_nonfinite.mean == 0.0
    assert outputs.disagreement.mean == pytest.approx(0.25)
    rows = parts(places)
    assert rows["nonfinite"].sum() == 10
    assert rows["disagreement"].notna().all()


def test_nan_on_both_sides_is_agreement(tmp_path):
    places = places_at(tmp_path)
    nothing = opaque(lambda f, p: np.full(len(f), np.nan), number=3)
    answer(places, records(30), champion=nothing)
    work(places, nothing)
    assert told(places) == {"both_ok": 30}
    assert learned(places).outputs.disagreement.mean == 0.0


def test_beyond_its_first_requests_a_lane_scores_in_batches_and_agrees_all_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(measuring, "FIRST", 100)
    places = places_at(tmp_path)
    calls = []

    def noted(frame, params):
        calls.append(len(frame))
        time.sleep(0.002)  # of each call: what is timed alone costs so much more
        return double(frame, params)

    answer(places, records(900))
    work(places, opaque(noted))
    assert told(places) == {"both_ok": 900}
    assert max(calls) > 20
    rows = parts(places)
    assert rows["position"].is_monotonic_increasing
    assert learned(places).outputs.disagreement.mean == 0.0
    assert rows["alone"][:100].all()
    assert rows["alone"][300:].mean() < 0.5
    assert learned(places).measuring.requests == 900
    assert learned(places).measuring.timed == rows["alone"].sum()
    assert rows["lane_ms"].notna().sum() == rows["alone"].sum()


def test_what_a_lanes_time_goes_to_adds_up_and_reaches_windows(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(300), champion=native(pipeline()))
    began_ns = time.monotonic_ns()
    work(places, native(pipeline(), number=4), rescore=True)
    passed_ns = time.monotonic_ns() - began_ns
    known = learned(places)
    assert set(known.spent.total) == set(ACTIVITIES)
    assert 0.5 * passed_ns < sum(known.spent.total.values()) <= passed_ns
    assert known.spent.total["score_alone"] > known.spent.total["again"] > 0
    (window,) = closed_windows(places.lane(CHALLENGER.role, 4).state, after=-1)
    told = json.loads(window.metrics)
    assert {f"lane_ms/{activity}" for activity in ACTIVITIES} <= set(told)
    assert told["lane_ms/score_alone"] == known.spent.total["score_alone"] / 1e6


def test_a_slow_version_that_is_behind_is_not_batched_into_the_deadline(tmp_path):
    places = places_at(tmp_path)
    one = lane(places, opaque(double))
    assert one.execution.batch_rows() == FIRST_ROWS
    one.commits.learned.busy_ms.add(np.array([250.0]))
    assert one.execution.batch_rows() == 4
    one.commits.learned.busy_ms.add(np.array([10_000.0]))
    assert one.execution.batch_rows() == 1
    close(one)


def test_a_version_that_is_unbatched_is_never_batched(tmp_path):
    places = places_at(tmp_path)
    calls = []

    def noted(frame, params):
        calls.append(len(frame))
        return double(frame, params)

    answer(places, records(50), arrived_wall_ns=time.time_ns() - 10**10)
    work(places, opaque(noted, batched=False), rescore=False)
    assert set(calls) == {1}


def test_a_window_is_full_after_so_many_requests(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_REQUESTS", 50)
    monkeypatch.setattr(windows, "LEAST_NS", 0)
    monkeypatch.setattr(run, "READ_REQUESTS", 25)
    monkeypatch.setattr(commits, "COMMIT_NS", 0)
    places = places_at(tmp_path)
    answer(places, records(120))
    work(places)
    files = sorted(places.lane(CHALLENGER.role, 4).parts.iterdir())
    assert [file.name.split("-")[0].lstrip("0") for file in files] == ["1", "51", "101"]
    assert parts(places)["window"].tolist() == [0] * 50 + [1] * 50 + [2] * 20


def test_while_mlflow_asks_for_fewer_calls_windows_widen_and_say_what_they_merge(
    tmp_path, monkeypatch
):
    """SS-068: three windows' requests in one, counted as two that were not sent."""
    monkeypatch.setattr(windows, "WINDOW_REQUESTS", 50)
    monkeypatch.setattr(windows, "LEAST_NS", 0)
    monkeypatch.setattr(run, "READ_REQUESTS", 25)
    monkeypatch.setattr(commits, "COMMIT_NS", 0)
    places = places_at(tmp_path)
    places.wider.write_text("3")
    answer(places, records(170))
    work(places)
    assert parts(places)["window"].tolist() == [0] * 150 + [1] * 20
    closed = closed_windows(places.lane(CHALLENGER.role, 4).state, after=-1)
    merged = [json.loads(window.metrics).get(windows.MERGED, 0) for window in closed]
    assert merged == [2, 0]


def test_memory_is_noted_now_and_then(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(120))
    work(places)
    notes = learned(places).memory
    assert notes
    assert all(used > 10**6 for _, used in notes)


def test_warm_up_is_kept_apart(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(50))
    work(places)
    found = learned(places)
    assert (found.warmup.n, found.timed) == (20, 30)
    assert found.lane.total.spent.n == 30


def test_steps_of_both_sides_are_timed_by_name(tmp_path):
    places = places_at(tmp_path)
    scorer = native(pipeline())
    times = Times(phases_ns=(1, 2, 2, 3_000_000, 4_000_000, 5), wall_ns=(10**6, 2 * 10**6, 4 * 10**6), cpu_ns=(1, 2, 3))  # fmt: skip
    answer(places, records(60), champion=scorer, times=times.pack())
    work(places, native(pipeline(), number=4))
    found = learned(places)
    names = [name for name, _ in scorer.step_names]
    assert list(found.lane.steps) == names
    assert found.champion.steps[names[1]].spent.summary()["mean"] == pytest.approx(2.0)
    assert found.lane.steps[names[1]].columns == ("title",)
    assert found.lane.steps[names[1]].spent.summary()["mean"] > 0
    assert parts(places)["champion_ms"].tolist() == [7.0] * 60


def test_the_ledger_of_two_lanes_balances(tmp_path):
    places = places_at(tmp_path)
    answer(places, records(30))
    work(places)
    counted = ledger.read(places, deployment())
    assert counted.balanced
    assert [one.total for one in counted.lanes] == [30, 30]
    assert counted.lanes[1].pending == 30
