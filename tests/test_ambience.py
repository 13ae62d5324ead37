"""What a model sets in its process holds in its own calls, and not while our code runs."""

from __future__ import annotations

import _thread
import decimal
import gc
import os
import signal
import sys
import threading
import warnings

import numpy as np
import pytest

from rig.champion import Serving, watched
from rig.deployment import CHALLENGER, made
from rig.lane import TABLE, answer, in_a_child, told
from rig.lane import work as let_lane_work
from rig.scoring import double, opaque, predictions, record
from shadowserve import ambience
from shadowserve.ending import FILES_CLOSED, ending


def in_a_claimed_process(tmp_path, run):
    """Run in a process that was claimed as a worker's or lane's is; its failure is the test's."""

    def child():
        warnings.resetwarnings()
        try:
            ambience.claim()
            run()
        except BaseException as error:
            (tmp_path / "wrong").write_text(f"{type(error).__name__}: {error}")
            os._exit(1)

    code = in_a_child(child)
    wrong = tmp_path / "wrong"
    assert code == 0, wrong.read_text() if wrong.exists() else code


def touchy(_frame, _params):
    np.seterr(all="raise")
    decimal.getcontext().prec = 2
    decimal.getcontext().traps[decimal.Inexact] = True
    warnings.simplefilter("error")


def state():
    quotient = decimal.getcontext().prec, decimal.getcontext().traps[decimal.Inexact]
    return np.geterr()["divide"], *quotient


def test_what_a_model_sets_for_numbers_is_there_at_its_next_call_and_not_between_them():
    held = []

    def predict(frame, _params):
        held.append(state())
        touchy(frame, _params)
        return double(frame, _params)

    scorer = opaque(predict)
    sent = b'{"dataframe_records": [{"age": 1.0, "title": "red"}]}'
    rows, _ = TABLE["invocations"].parse(sent, "application/json", scorer.schema)

    def run():
        before = state()
        for _ in range(3):
            scorer.score(rows)
            assert state() == before
        assert held == [before, ("raise", 2, True), ("raise", 2, True)]

    thread = threading.Thread(target=run)  # a thread of its own has a context of its own
    with warnings.catch_warnings():
        thread.start()
        thread.join()
    assert len(held) == 3


def overflowing(frame, _params):
    """Answers whose comparison divides, overflows and warns."""
    touchy(frame, _params)
    ages = frame["age"].to_numpy()
    return np.where(ages % 2 == 0, 1e308, -1e308) * (1 + ages % 3 / 10)


def test_a_lane_compares_whatever_its_model_made_of_numpy_and_of_warnings(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answer(places, [record(n) for n in range(6)])

    def run():
        let_lane_work(places, opaque(overflowing), rescore=True)

    in_a_claimed_process(tmp_path, run)
    assert told(places) == {"both_ok": 6}


def test_a_champion_encodes_whatever_its_model_made_of_numpy_and_of_warnings(tmp_path):
    def predict(frame, params):
        touchy(frame, params)
        return np.full(len(frame), 1e39).astype(object)

    def run():
        with Serving(tmp_path, opaque(predict)) as serving:
            assert [serving.ask([record(n)])[0].status for n in range(3)] == [200] * 3

    in_a_claimed_process(tmp_path, run)


@pytest.mark.parametrize(
    ("harm", "seen"),
    [
        (lambda: sys.setrecursionlimit(120), sys.getrecursionlimit),
        (lambda: os.umask(0o777), lambda: oct(os.umask(0o077)) + oct(os.umask(0o022))),
        (lambda: sys.settrace(lambda *_: 1 / 0), sys.gettrace),
        (lambda: sys.setprofile(lambda *_: None), sys.getprofile),
        (lambda: warnings.simplefilter("error"), lambda: warnings.warn("x", stacklevel=1)),
        (
            lambda: setattr(warnings, "showwarning", lambda *_, **__: 1 / 0),
            lambda: warnings.warn("x", stacklevel=1),
        ),
    ],
    ids=["recursion", "umask", "trace", "profile", "warnings", "showing warnings"],
)
def test_what_a_model_sets_for_its_process_changes_hands_at_each_border(tmp_path, harm, seen):
    def run():
        os.umask(0o022)
        before = seen()
        ambience.within(harm)
        assert seen() == before
        ambience.within(lambda: None)
        assert seen() == before

    in_a_claimed_process(tmp_path, run)


def test_a_model_finds_its_own_settings_of_the_process_again(tmp_path):
    def run():
        ambience.within(sys.setrecursionlimit, 321)
        ambience.within(warnings.simplefilter, "error")
        assert ambience.within(sys.getrecursionlimit) == 321
        with pytest.raises(UserWarning):
            ambience.within(warnings.warn, "x")

    in_a_claimed_process(tmp_path, run)


class Alarmed(BaseException):
    pass


def alarm(_number, _frame):
    raise Alarmed


def test_a_models_handler_raises_within_its_calls_alone(tmp_path):
    """Also where the signal comes while our code runs, again and again."""

    def run():
        ambience.within(signal.signal, signal.SIGALRM, alarm)
        ambience.within(signal.signal, signal.SIGUSR1, alarm)
        assert signal.getsignal(signal.SIGALRM) is alarm
        for _ in range(50):
            signal.raise_signal(signal.SIGALRM)
            _thread.interrupt_main(signal.SIGUSR1)
        with pytest.raises(Alarmed):
            ambience.within(signal.raise_signal, signal.SIGALRM)
        signal.raise_signal(signal.SIGALRM)

    in_a_claimed_process(tmp_path, run)


def test_a_handler_of_our_own_is_left_alone(tmp_path):
    heard = []

    def run():
        signal.signal(signal.SIGUSR2, lambda *_: heard.append(ambience.is_inside()))
        signal.raise_signal(signal.SIGUSR2)
        ambience.within(signal.raise_signal, signal.SIGUSR2)
        assert heard == [False, True]
        assert ambience.within(signal.signal, signal.SIGUSR2, signal.SIG_IGN) is not None
        signal.raise_signal(signal.SIGUSR2)

    in_a_claimed_process(tmp_path, run)


def test_a_timer_that_a_model_leaves_behind_ends_no_lane_and_costs_no_outcome(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answer(places, [record(n) for n in range(40)])

    def predict(frame, params):
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)  # goes on after the call
        try:
            return double(frame, params)
        except Alarmed:
            return double(frame, params)

    def run():
        let_lane_work(places, opaque(predict))
        signal.setitimer(signal.ITIMER_REAL, 0)

    in_a_claimed_process(tmp_path, run)
    assert sum(told(places).values()) == 40


WHERE = ("append", "journal_step", "_hand_over", "_measure", "_take")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("where", WHERE)
def test_what_another_thread_raises_between_calls_costs_no_answer_and_no_count(
    tmp_path, monkeypatch, where, after
):
    """At each border of journaling and handing over: one answer, recorded and counted once."""
    import shadowserve.serving.champion as champions

    _, scorer = watched(double)
    raised = []
    with Serving(tmp_path, scorer) as serving:
        owner = {
            "append": serving.journal, "journal_step": serving.counters, "_hand_over": champions,
        }.get(where, serving.champion)  # fmt: skip
        kind = owner if where == "_hand_over" else type(owner)
        whole = getattr(kind, where)

        def interrupted(*given, **named):
            first = not raised
            if first and not after:
                raised.append(1)
                raise SystemExit
            found = whole(*given, **named)
            if first:
                raised.append(1)
                raise SystemExit
            return found

        assert serving.ask([record(1)])[0].status == 200
        monkeypatch.setattr(kind, where, interrupted)
        asked = [serving.ask([record(n)])[0] for n in range(3)]
        assert [predictions(one.body)[0] for one in asked] == [0, 2, 4]
        assert raised
        counts = serving.counters.counts()
        journaled = serving.journaled()
        monkeypatch.undo()
    assert [one.status for one in journaled] == [200] * 4
    assert (counts.answered, counts.appended, counts.append_failed) == (4, 4, 0)


def test_an_append_that_was_interrupted_after_its_commit_is_known_as_written(tmp_path):
    """The row is there and the sequence is not: begun again, nothing is written or counted twice."""
    _, scorer = watched(double)
    with Serving(tmp_path, scorer) as serving:
        whole, interrupted = serving.journal.append, []

        def append(requests):
            before = serving.journal.sequence
            whole(requests)
            if not interrupted:
                interrupted.append(1)
                serving.journal.sequence = before
                raise SystemExit

        serving.journal.append = append
        assert [serving.ask([record(n)])[0].status for n in range(2)] == [200, 200]
        counts = serving.counters.counts()
        assert [one.status for one in serving.journaled()] == [200, 200]
    assert (counts.answered, counts.appended, counts.append_failed) == (2, 2, 0)


@pytest.mark.parametrize("opens", [False, True], ids=["closed", "and others opened"])
def test_a_process_whose_model_closes_its_files_ends_before_it_writes_into_anothers(opens):
    """Their numbers go to whoever opens a file next: a lane would write its state into a model's."""

    def close():
        os.closerange(0, 4096)
        for _ in range(50 if opens else 0):
            os.open(os.devnull, os.O_RDWR)

    def child():
        ambience.claim()
        ambience.within(close)
        os._exit(0)

    code = in_a_child(child)
    assert code == FILES_CLOSED
    assert "closed the files" in ending(code)


class Cyclic:
    """Garbage that only a collection finds."""

    def __init__(self):
        self.me = self


def litter(n):
    return [Cyclic() for _ in range(n)]


def test_garbage_is_collected_in_a_models_calls_and_between_them_when_it_is_asked_for(tmp_path):
    def run():
        limit = gc.get_threshold()[0]
        ambience.spare_collections()
        ambience.spare_collections()  # asked twice, it is spared once
        gc.collect()
        before = collections()
        litter(3 * limit)
        assert not gc.isenabled()
        assert collections() == before
        assert ambience.within(gc.isenabled)
        assert not gc.isenabled()
        assert collections() > before  # what was due was collected before the call
        assert not any(isinstance(one, Cyclic) for one in gc.get_objects())
        before = collections()
        ambience.collect()
        assert collections() == before  # nothing is due
        litter(3 * limit)
        ambience.collect()
        assert collections() > before
        before = collections()
        ambience.within(litter, 3 * limit)
        assert collections() > before  # of itself, within the call

    in_a_claimed_process(tmp_path, run)


def test_a_model_that_turns_the_collector_off_finds_it_off_and_nobody_collects_for_it(tmp_path):
    def run():
        ambience.spare_collections()
        ambience.within(gc.disable)
        gc.collect()
        before = collections()
        litter(3 * gc.get_threshold()[0])
        ambience.collect()
        assert not ambience.within(gc.isenabled)
        assert collections() == before
        ambience.within(gc.enable)
        assert ambience.within(gc.isenabled)

    in_a_claimed_process(tmp_path, run)


def test_a_call_that_raises_or_calls_back_leaves_the_collector_off(tmp_path):
    def run():
        ambience.spare_collections()
        with pytest.raises(ZeroDivisionError):
            ambience.within(lambda: 1 / 0)
        assert not gc.isenabled()
        assert ambience.within(lambda: (ambience.within(gc.isenabled), gc.isenabled())) == (
            True,
            True,
        )
        assert not gc.isenabled()

    in_a_claimed_process(tmp_path, run)


def test_where_nothing_was_spared_the_collector_is_let_be(tmp_path):
    def run():
        assert gc.isenabled()
        gc.collect()
        before = collections()
        ambience.collect()
        ambience.within(lambda: None)
        assert gc.isenabled()
        assert collections() == before

    in_a_claimed_process(tmp_path, run)


def collections():
    return sum(one["collections"] for one in gc.get_stats())
