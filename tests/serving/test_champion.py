"""The hot path: each request its own answer, journaled before it leaves, whatever happens beside it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from rig.champion import Serving, watched, work
from rig.scoring import double, fields, native, opaque, pipeline, predictions, record
from shadowserve.faults import from_json
from shadowserve.journal.segment_file import segments
from shadowserve.records import Times
from shadowserve.serving.champion import Overloaded
from shadowserve.state.sharing import EARNED, STOPPED, UNDECIDED

LEAK = "s3cret-value"


def balanced(serving):
    counts = serving.counters.counts()
    assert counts.answered + counts.failed == counts.appended + counts.append_failed
    assert counts.sequence == serving.journal.sequence
    return counts


def test_everybody_gets_his_own_answer_under_concurrent_load(tmp_path):
    """32 clients submit at once, one to five rows each; all answers are theirs and in order (SS-027)."""
    _, scorer = watched(double, pause_s=0.002)
    sent = [[record(100 * i + j) for j in range(1 + i % 5)] for i in range(32)]
    with Serving(tmp_path, scorer) as serving:
        for _ in range(3):
            served = serving.ask(*sent)
            for records, one in zip(sent, served, strict=True):
                assert one.status == 200
                assert predictions(one.body) == [2 * r["age"] for r in records]
        assert balanced(serving).answered == 96


def test_a_pipeline_answers_alike_alone_and_in_a_batch(tmp_path):
    scorer = native(pipeline())
    sent = [[record(n)] for n in range(32)]
    with Serving(tmp_path, scorer) as serving:
        together = [predictions(one.body)[0] for one in serving.ask(*sent)]
        alone = [predictions(serving.ask(one)[0].body)[0] for one in sent]
    assert together == pytest.approx(alone, rel=1e-9, abs=1e-12)


def _holed(frame, _params):
    return np.where(frame["age"] % 3 == 0, np.nan, frame["age"] * 2.0)


def _two_columns(frame, _params):
    return np.column_stack([frame["age"], np.where(frame["age"] > 2, np.inf, frame["age"])])


def _texts(frame, _params):
    return frame["title"].to_numpy()


SHAPES = {
    "a number": double, "a hole": _holed, "two columns": _two_columns, "texts": _texts, "a frame": fields,
    "a list": lambda frame, _: frame["age"].tolist(),
    "nothing a row": lambda frame, _: np.empty((len(frame), 0)),
}  # fmt: skip


@pytest.mark.parametrize("answer", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("mixed", [False, True])
def test_an_answer_is_to_the_byte_the_one_given_alone(tmp_path, answer, mixed):
    """In a call of one-row requests, of which some may be of another protocol or of several rows."""
    changes = [{"encode_rows": None}, {}] if mixed else [{}, {}]
    sent = [[record(n)] for n in range(6)] + ([[record(7), record(8)]] if mixed else [])
    model, scorer = watched(answer)

    async def together():
        works = [work(r, scorer.schema, **changes[n % 2]) for n, r in enumerate(sent)]
        assert not serving.champion.submit_all(works)
        return [await one.done for one in works]

    with Serving(tmp_path, scorer) as serving:
        alone = [serving.ask(one)[0] for one in sent]
        model.calls.clear()
        shared = asyncio.run(together())
    assert model.calls == [8 if mixed else 6]
    assert [one.body for one in shared] == [one.body for one in alone]
    assert [one.nonfinite for one in shared] == [one.nonfinite for one in alone]
    assert {one.status for one in shared} == {200}


def test_a_model_of_several_outputs_that_answers_an_array_fails_as_ever(tmp_path):
    scorer = replace(opaque(double), multi_output=True)
    with Serving(tmp_path, scorer) as serving:
        one, other = serving.ask([record(1)], [record(2)])
    assert (one.status, other.status) == (200, 200)  # each alone, after the call of both was none


def test_requests_share_calls_up_to_the_most_rows(tmp_path):
    """11 requests of 32 rows, 32 at most: the model never sees more (SS-029)."""
    model, scorer = watched(double, pause_s=0.005)
    with Serving(tmp_path, scorer, max_batch_rows=32) as serving:
        serving.ask(*[[record(n) for n in range(32)]] * 11)
        assert max(model.calls) == 32
        model.calls.clear()
        serving.ask(*[[record(n)] for n in range(80)])
    assert max(model.calls) == 32
    assert sum(model.calls) == 80


def test_a_request_larger_than_a_batch_is_scored_by_itself(tmp_path):
    model, scorer = watched(double, pause_s=0.005)
    with Serving(tmp_path, scorer, max_batch_rows=8) as serving:
        served = serving.ask([record(1)], [record(n) for n in range(20)], [record(2)], [record(3)])
    assert [len(predictions(one.body)) for one in served] == [1, 20, 1, 1]
    assert 20 in model.calls


@pytest.mark.parametrize(("unknown", "largest"), [(None, 512), ("its code", 64)])
def test_requests_of_many_rows_share_quick_calls_of_known_structure(tmp_path, unknown, largest):
    """24 requests of 32 rows: unknown code keeps to the 64 rows that it was tried with."""
    model, scorer = watched(double, pause_s=0.001)
    scorer = replace(scorer, sharing=replace(scorer.sharing, unknown=unknown, mode="on"))
    sent = [[record(100 * i + j) for j in range(32)] for i in range(24)]
    with Serving(tmp_path, scorer) as serving:
        for _ in range(3):
            for records, one in zip(sent, serving.ask(*sent), strict=True):
                assert predictions(one.body) == [2 * r["age"] for r in records]
        assert balanced(serving).answered == 72
    assert 64 <= max(model.calls) <= largest
    assert (max(model.calls) > 64) == (unknown is None)


def test_requests_with_other_params_share_no_batch(tmp_path):
    model, scorer = watched(lambda frame, params: [params["k"]] * len(frame), pause_s=0.005)

    async def ask(serving):
        works = [work([record(n)], scorer.schema, params={"k": n % 2}) for n in range(20)]
        for one in works:
            serving.champion.submit(one)
        return await asyncio.gather(*(one.done for one in works))

    with Serving(tmp_path, scorer) as serving:
        served = asyncio.run(ask(serving))
    assert [predictions(one.body) for one in served] == [[n % 2] for n in range(20)]
    assert max(model.calls) == 1  # neighbours in line always differ


def test_an_unbatched_version_is_never_batched(tmp_path):
    model, scorer = watched(double, pause_s=0.001, batched=False)
    with Serving(tmp_path, scorer) as serving:
        serving.ask(*[[record(n)] for n in range(20)])
    assert model.calls == [1] * 20


def test_a_mark_begins_and_ends_shared_calls_between_two_batches(tmp_path):
    """Unknown code whose batching may be earned: undecided, earned, and stopped for good."""
    model, scorer = watched(double, pause_s=0.002, batched=False)
    scorer = replace(scorer, sharing=replace(scorer.sharing, mode="earned"))
    mark = bytearray(1)
    with Serving(tmp_path, scorer, mark=mark) as serving:
        for value, largest in ((UNDECIDED, 1), (EARNED, 2), (STOPPED, 1)):
            mark[0] = value
            model.calls.clear()
            served = serving.ask(*[[record(n)] for n in range(20)])
            assert (max(model.calls) > 1) == (largest > 1)
            assert [predictions(one.body) for one in served] == [[2.0 * n] for n in range(20)]


def test_a_large_request_of_one_caller_is_one_call_whatever_holds(tmp_path):
    model, scorer = watched(double, batched=False)
    with Serving(tmp_path, scorer) as serving:
        serving.ask([record(n) for n in range(200)])
    assert model.calls == [200]


def picky(frame, params):
    if (frame["age"] < 0).any():
        raise ValueError(f"cannot take {LEAK}")
    return double(frame, params)


def test_a_row_that_fails_fails_its_own_request_only(tmp_path, caplog):
    _, scorer = watched(picky, pause_s=0.005)
    ages = [1, 2, -1, 3, -2, 4, 5, 6]
    with Serving(tmp_path, scorer) as serving:
        served = serving.ask(*[[{"age": float(age), "title": "x"}] for age in ages])
        assert [one.status for one in served] == [200 if age > 0 else 500 for age in ages]
        good = [predictions(one.body)[0] for one in served if one.status == 200]
        assert good == [2 * age for age in ages if age > 0]
        counts = balanced(serving)
        assert (counts.answered, counts.failed, counts.appended) == (6, 2, 8)
        failed = [r for r in serving.journaled() if r.status == 500]
    assert [from_json(r.answer).type for r in failed] == ["ValueError"] * 2
    assert "rig.champion" not in from_json(failed[0].answer).frame
    told = caplog.text + "".join(str(r.answer) for r in failed)
    assert LEAK not in told


def test_a_call_that_raises_is_halved_until_its_culprit_is_found(tmp_path):
    """Of 64 requests in one call the last fails: six halvings, of two calls each, not 64 calls."""
    model, scorer = watched(picky)
    sent = [record(n) for n in range(63)] + [{"age": -1.0, "title": "x"}]

    async def ask(serving):
        works = [work([one], scorer.schema) for one in sent]
        assert not serving.champion.submit_all(works)
        return [(await one.done).status for one in works]

    with Serving(tmp_path, scorer) as serving:
        assert asyncio.run(ask(serving)) == [200] * 63 + [500]
    assert model.calls == [64, 32, 32, 16, 16, 8, 8, 4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize(
    "answer",
    [lambda frame, _: double(frame, _)[:-1], lambda frame, _: [*double(frame, _), 0.0]],
    ids=["too few", "too many"],
)
def test_an_answer_of_another_length_is_a_failure_not_a_wrong_answer(tmp_path, answer):
    """A lone request and one of a burst end alike (SS-027)."""
    scorer = opaque(answer)
    two = [record(1), record(2)]
    with Serving(tmp_path, scorer) as serving:
        assert [one.status for one in serving.ask(*[two] * 8)] == [500] * 8
        assert serving.ask(two)[0].status == 500
        assert balanced(serving).failed == 9


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_a_model_that_leaves_does_not_take_the_worker_along(tmp_path, error):
    def leave(frame, params):
        if (frame["age"] < 0).any():
            raise error
        return double(frame, params)

    with Serving(tmp_path, opaque(leave)) as serving:
        served = serving.ask([{"age": -1.0, "title": ""}], [record(2)])
        assert [one.status for one in served] == [500, 200]
        assert serving.ask([record(3)])[0].status == 200


def test_an_answer_that_has_no_json_form_is_a_failure(tmp_path):
    with Serving(tmp_path, opaque(lambda frame, _: [object()] * len(frame))) as serving:
        assert serving.ask([record(1)])[0].status == 500


def test_the_journal_is_written_before_the_answer_is_delivered(tmp_path):
    """At the instant an answer arrives, a reader of the journal finds it (law 2)."""
    with Serving(tmp_path, opaque(double)) as serving:
        for n in range(20):
            (one,) = serving.ask([record(n)])
            newest = serving.journaled()[-1]
            assert newest.answer == one.body
            assert newest.position == n + 1
            assert newest.body == one.work.body


def test_an_answer_leaves_although_the_journal_is_locked(tmp_path, caplog):
    with Serving(tmp_path, opaque(double)) as serving:
        serving.ask([record(1)])
        foreign = sqlite3.connect(segments(tmp_path / "journal")[0].path, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        served = serving.ask([record(2)], [record(3)])
        assert [one.status for one in served] == [200, 200]
        counts = balanced(serving)
        assert (counts.appended, counts.append_failed, counts.answered) == (1, 2, 3)
        foreign.execute("ROLLBACK")
        foreign.close()
        serving.ask([record(4)])
        assert balanced(serving).appended == 2
        assert [r.position for r in serving.journaled()] == [1, 2]
    assert "not recorded" in caplog.text


def test_an_answer_leaves_whatever_the_journal_has_against_it(tmp_path):
    """Not even an error that nobody foresaw reaches a caller."""
    with Serving(tmp_path, opaque(double)) as serving:
        served = serving.ask([record(1)], request_id=object())  # SQLite cannot store it
        assert served[0].status == 200
        assert balanced(serving).append_failed == 1
        assert serving.ask([record(2)])[0].status == 200


def test_what_is_sampled_out_is_journaled_without_its_bytes(tmp_path):
    with Serving(tmp_path, opaque(double)) as serving:
        serving.ask([record(1), record(2)], sampled=False)
        (one,) = serving.journaled()
    assert (one.body, one.answer, one.status, one.n_rows) == (None, b"", 200, 2)


def test_beyond_the_most_rows_or_bytes_requests_are_turned_away(tmp_path):
    _, scorer = watched(double, pause_s=0.05)

    async def ask(serving, bodies):
        taken, refused = [], 0
        for records in bodies:
            one = work(records, scorer.schema)
            try:
                serving.champion.submit(one)
            except Overloaded:
                refused += 1
            else:
                taken.append(one.done)
        return await asyncio.gather(*taken), refused

    with Serving(tmp_path / "rows", scorer, max_queued_rows=5) as serving:
        served, refused = asyncio.run(ask(serving, [[record(n)] for n in range(20)]))
        assert refused >= 14  # one may be in hand already
        assert [one.status for one in served] == [200] * (20 - refused)
        served, refused = asyncio.run(ask(serving, [[record(n) for n in range(9)]]))
        assert refused == 0  # nobody waits: it is scored, however large

    with Serving(tmp_path / "bytes", scorer, max_queued_bytes=200) as serving:
        _, refused = asyncio.run(ask(serving, [[record(n)] for n in range(20)]))
        assert refused >= 14


def test_what_is_in_line_is_finished_before_the_end(tmp_path):
    _, scorer = watched(double, pause_s=0.01, batched=False)

    async def ask(serving):
        works = [work([record(n)], scorer.schema) for n in range(5)]
        for one in works:
            serving.champion.submit(one)
        await asyncio.to_thread(serving.champion.close)
        with pytest.raises(Overloaded):
            serving.champion.submit(work([record(1)], scorer.schema))
        return await asyncio.gather(*(one.done for one in works))

    with Serving(tmp_path, scorer) as serving:
        assert [one.status for one in asyncio.run(ask(serving))] == [200] * 5


def test_a_client_that_went_away_harms_nobody(tmp_path):
    _, scorer = watched(double, pause_s=0.01)

    async def ask(serving):
        works = [work([record(n)], scorer.schema) for n in range(3)]
        for one in works:
            serving.champion.submit(one)
        works[1].done.cancel()
        return [await works[0].done, await works[2].done]

    with Serving(tmp_path, scorer) as serving:
        assert [one.status for one in asyncio.run(ask(serving))] == [200, 200]
        assert balanced(serving).appended == 3


def test_times_are_journaled_by_phase_and_step(tmp_path):
    scorer = native(pipeline())
    with Serving(tmp_path, scorer) as serving:
        serving.ask([record(1), record(2)])
        times = Times.unpack(serving.journaled()[0].times)
    assert len(times.phases_ns) == 6
    assert all(spent > 0 for spent in times.phases_ns)
    assert times.phases_ns[1:3] == (7, 5)
    assert len(times.wall_ns) == len(times.cpu_ns) == len(scorer.step_names)
    assert (times.batch_requests, times.batch_rows) == (1, 2)


def test_the_size_of_the_batch_is_journaled(tmp_path):
    model, scorer = watched(double, pause_s=0.02)
    with Serving(tmp_path, scorer) as serving:
        serving.ask(*[[record(n)] * 2 for n in range(8)])
        sizes = [Times.unpack(one.times) for one in serving.journaled()]
    assert all(t.batch_rows == 2 * t.batch_requests for t in sizes)
    assert sum(1 / t.batch_requests for t in sizes) == pytest.approx(len(model.calls))
    assert len(model.calls) < 8


def test_a_failing_metric_stops_nothing(tmp_path):
    class Broken:
        def observe(self, times):
            raise OSError("no space")

    with Serving(tmp_path, opaque(double), metrics=Broken()) as serving:
        assert [serving.ask([record(n)])[0].status for n in range(3)] == [200] * 3


def test_a_fault_names_type_and_frame(tmp_path):
    with Serving(tmp_path, opaque(picky)) as serving:
        serving.ask([{"age": -1.0, "title": ""}])
        fault = json.loads(serving.journaled()[0].answer)
    line = picky.__code__.co_firstlineno + 2
    assert fault["frame"] == f"test_champion.py:{line} picky"
    assert LEAK not in json.dumps(fault)
