"""A model's own code never stops the scoring thread: every caller has an answer, and the next ones too."""

from __future__ import annotations

import asyncio
import sys

import pytest

from rig.champion import Serving, watched, work
from rig.oddities import ERRORS, MARKER
from rig.scoring import double, predictions, record
from shadowserve.faults import from_json


async def ends(serving, works):
    for one in works:
        serving.champion.submit(one)
    return await asyncio.wait_for(asyncio.gather(*(one.done for one in works)), 20)


def raising(frame, params):
    """Raise the exception that the row asks for by number; answer the others."""
    for age in frame["age"].tolist():
        if age < 0:
            raise list(ERRORS.values())[int(-age) - 1]()
    return double(frame, params)


def test_whatever_is_raised_fails_its_own_request_only(tmp_path, caplog):
    _, scorer = watched(raising, pause_s=0.001)

    async def ask(serving, number):
        ages = (-number, number, -number, number)
        return await ends(serving, [work([record(age)], scorer.schema) for age in ages])

    with Serving(tmp_path, scorer) as serving:
        for number in range(1, len(ERRORS) + 1):
            served = asyncio.run(ask(serving, number))
            assert [one.status for one in served] == [500, 200, 500, 200]
            assert [predictions(one.body)[0] for one in served[1::2]] == 2 * [2 * number]
        counts = serving.counters.counts()
        assert counts.answered == counts.failed == 2 * len(ERRORS)
        assert (counts.appended, counts.append_failed) == (4 * len(ERRORS), 0)
        failed = [one for one in serving.journaled() if one.status == 500]
    assert all(from_json(one.answer).frame for one in failed)
    assert MARKER not in caplog.text + str(failed)


@pytest.mark.parametrize("where", ["encode", "split", "record", "measure"])
def test_what_is_raised_beside_the_call_fails_its_own_request_only(tmp_path, monkeypatch, where):
    """In encoding, cutting, journaling and measuring the same holds."""
    _, scorer = watched(double)

    class Metrics:
        def observe(self, _times):
            raise SystemExit

    def broken(*_, **__):
        raise SystemExit

    with Serving(tmp_path, scorer, metrics=Metrics() if where == "measure" else None) as serving:
        if where == "split":
            monkeypatch.setattr(type(scorer), "split", broken)
        if where == "record":
            monkeypatch.setattr(type(serving.journal), "append", broken)
        changes = {"encode": broken} if where == "encode" else {}

        async def ask():
            return await ends(serving, [work([record(7)], scorer.schema, **changes)])

        (first,) = asyncio.run(ask())
        assert first.status == (500 if where in ("encode", "split") else 200)
        monkeypatch.undo()
        assert serving.ask([record(3)])[0].status == 200
        counts = serving.counters.counts()
        assert counts.answered + counts.failed == counts.appended + counts.append_failed == 2
        assert counts.append_failed == (where == "record")


def test_what_a_model_does_to_the_streams_of_its_process_stops_no_answer(tmp_path, monkeypatch):
    class Closed:
        def write(self, _text):
            raise SystemExit

        flush = write

    def answer(_frame, _params):
        raise ValueError

    _, scorer = watched(answer)
    monkeypatch.setattr(sys, "stderr", Closed())
    monkeypatch.setattr(sys, "stdout", Closed())
    with Serving(tmp_path, scorer) as serving:
        assert [serving.ask([record(n)])[0].status for n in range(2)] == [500, 500]
