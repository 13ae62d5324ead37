"""A call that takes too long costs its own callers an answer; one that never ends costs no connection."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rig.champion import Serving, watched, work
from rig.scoring import double, predictions, record
from shadowserve.serving.bentoml_worker import hang_limit_s
from shadowserve.serving.champion import Overloaded
from shadowserve.serving.patience import Patience

S = 10**9


class Waiting:
    """A champion whose call lasts until it is let go, looked after by a clock of the test's own."""

    def __init__(self, tmp_path, *, timeout_s=2.0):
        self.go = threading.Event()
        self.now_ns = 0
        self.given_up = 0

        def answer(frame, params):
            if frame["age"].iloc[0] == 0:
                self.go.wait(60)
            return double(frame, params)

        _, self.scorer = watched(answer)
        self.serving = Serving(tmp_path, self.scorer, max_batch_rows=1)
        self.timeout_s = timeout_s

    def __enter__(self):
        self.serving.__enter__()
        self.patience = Patience(
            self.serving.champion,
            self.serving.counters,
            timeout_s=self.timeout_s,
            give_up=self.give_up,
            clock=lambda: self.now_ns,
        )
        return self

    def __exit__(self, *error):
        self.go.set()
        self.serving.__exit__(*error)

    def give_up(self):
        self.given_up += 1

    async def submit(self, *ages):
        works = [work([record(age)], self.scorer.schema) for age in ages]
        for one in works:
            self.serving.champion.submit(one)
        while ages[0] == 0 and not self.serving.champion.in_call[0]:
            await asyncio.sleep(0.001)
        return works

    def pass_time(self, seconds, *, look_s=0.1):
        for _ in range(round(seconds / look_s)):
            self.now_ns += int(look_s * S)
            self.patience.look()

    @property
    def counts(self):
        return self.serving.counters.counts()


def test_only_the_caller_of_a_long_call_gets_an_error_and_those_behind_wait(tmp_path):
    async def story(it):
        slow, *behind = await it.submit(*range(51))
        it.pass_time(1.9)
        assert not slow.done.done()
        it.pass_time(0.4)
        assert (await slow.done).status == 504
        it.pass_time(2)
        assert not any(one.done.done() for one in behind)
        it.go.set()
        served = await asyncio.gather(*(one.done for one in behind))
        assert [one.status for one in served] == [200] * 50
        assert [predictions(one.body)[0] for one in served] == [2 * n for n in range(1, 51)]
        assert (await slow.done).status == 504  # what came of it later is nobody's answer

    with Waiting(tmp_path) as it:
        asyncio.run(story(it))
        assert (it.counts.timed_out, it.counts.answered, it.given_up) == (1, 51, 0)


def test_before_a_worker_is_given_up_everybody_who_waits_is_told(tmp_path):
    async def story(it):
        slow, *behind = await it.submit(*range(51))
        it.pass_time(hang_limit_s(it.timeout_s) + 1)
        assert (await slow.done).status == 504
        served = await asyncio.gather(*(one.done for one in behind))
        assert [one.status for one in served] == [503] * 50
        with pytest.raises(Overloaded):
            await it.submit(7)
        it.pass_time(5)

    with Waiting(tmp_path) as it:
        asyncio.run(story(it))
        assert (it.counts.timed_out, it.counts.not_ready, it.given_up) == (1, 50, 1)


def test_time_that_nobody_saw_pass_counts_for_no_call(tmp_path):
    """A container that was frozen for an hour ends no call of a second."""

    async def story(it):
        (slow,) = await it.submit(0)
        it.patience.look()
        it.pass_time(3600, look_s=3600)
        assert not slow.done.done()
        it.go.set()
        assert (await slow.done).status == 200

    with Waiting(tmp_path) as it:
        asyncio.run(story(it))
        assert it.given_up == 0


def test_calls_that_follow_each_other_are_no_long_call(tmp_path):
    async def story(it):
        for n in range(1, 6):
            it.pass_time(1)
            (one,) = await it.submit(n)
            assert (await one.done).status == 200

    with Waiting(tmp_path) as it:
        asyncio.run(story(it))
        assert it.counts.timed_out == 0
