"""The journal's keeper: what is read goes, the oldest goes beyond the budget, the damaged is moved aside."""

from __future__ import annotations

import os

import pytest

from rig.journal import append
from shadowserve.errors import SettingsError
from shadowserve.journal import lost, recovery
from shadowserve.journal import writer as journal_writer
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.settings.settings import Settings
from shadowserve.supervisor import refusals
from shadowserve.supervisor.keeping import Keeper


def small(directory, *, n, worker=0):
    """So many sealed segments of one request each."""
    for _ in range(n):
        writer = Writer(directory, worker=worker)
        append(writer)
        writer.close()
    return segments(directory, worker=worker)


def keeper(directory, *, budget=2**40):
    return Keeper(directory, budget, lambda _: None)


def left(directory):
    return [(one.worker, one.number) for one in segments(directory)]


def test_a_segment_goes_when_every_lane_has_passed_it(tmp_path):
    made = small(tmp_path, n=4)
    keeper(tmp_path).keep(cursors=[{0: 4}, {}], counted={})
    assert segments(tmp_path) == made
    keeper(tmp_path).keep(cursors=[{0: 4}, {0: 2}], counted={})
    assert segments(tmp_path) == made[2:]


def test_a_workers_newest_segment_stays_while_nothing_else_knows_where_to_go_on(tmp_path):
    made = small(tmp_path, n=3)
    keeper(tmp_path).keep(cursors=[], counted={0: 2})
    assert segments(tmp_path) == made[-1:]
    assert recovery.recover(tmp_path, worker=0) == 3


def test_a_workers_newest_segment_goes_with_its_bodies_once_the_counters_know_it(tmp_path):
    """Of a worker that is no more, too: a start with fewer workers must not keep bodies for ever."""
    small(tmp_path, n=1, worker=0)
    small(tmp_path, n=2, worker=5)
    keeper(tmp_path).keep(cursors=[{0: 1, 5: 2}], counted={0: 1, 5: 2})
    assert segments(tmp_path) == []
    writer = Writer(tmp_path, worker=5, after=2)
    assert journal_writer.position(5, 3) == append(writer)[0].position
    writer.close()


def test_a_live_segment_and_its_spare_are_never_given_up(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer)
    writer._spare.result()
    keeper(tmp_path, budget=1).keep(cursors=[{0: 9}], counted={0: 9})
    assert len(segments(tmp_path)) == 2
    writer.close()


def test_bodies_go_in_time_though_no_request_comes_any_more(tmp_path):
    writer = Writer(tmp_path, worker=0, segment_ns=1, look_s=0.01)
    append(writer)
    it = keeper(tmp_path)
    for _ in range(2_000):
        it.keep(cursors=[{0: 1}], counted={0: 1})
        if segments(tmp_path)[0].number > 1:
            break
        writer._closed.wait(0.01)
    assert all(b"{}" not in one.path.read_bytes() for one in segments(tmp_path))
    assert segments(tmp_path)[0].number > 1
    assert append(writer)[0].position == 2
    writer.close()


def test_beyond_the_budget_the_oldest_goes_whichever_worker_wrote_it(tmp_path):
    busy, idle = small(tmp_path, n=6, worker=0), small(tmp_path, n=2, worker=1)
    for age, one in enumerate(
        [*idle, *busy]
    ):  # the idle worker's are older, and bear lower numbers
        os.utime(one.path, ns=(age, age))
    for age, one in enumerate([*busy[:3], *idle]):
        os.utime(one.path, ns=(age, age))
    budget = sum(one.bytes for one in [*busy, *idle]) - 1
    keeper(tmp_path, budget=budget).keep(cursors=[{}], counted={})
    assert left(tmp_path) == [(one.worker, one.number) for one in [*busy[1:], *idle]]


@pytest.mark.parametrize(("body", "each"), [(20, 1), (3_000, 1), (200_000, 1)])
def test_a_budget_holds_however_much_comes_and_nothing_is_read(tmp_path, body, each):
    budget = journal_writer.least_budget(workers=1, max_body=2**18)
    size = journal_writer.segment_bytes(budget, workers=1, max_body=2**18)
    writer = Writer(tmp_path, worker=0, segment_bytes=size)
    it, most, sent = keeper(tmp_path, budget=budget), 0, 0
    while sent < 2 * budget:
        append(writer, each, body=b"x" * body)
        sent += max(2_048, each * body)
        if sent // 2**17 != (sent - max(2_048, each * body)) // 2**17:
            writer._keeper.submit(int).result()  # what is sealed is closed by now, and its log gone
            it.keep(cursors=[{}], counted={})
            most = max(most, sum(one.bytes for one in segments(tmp_path)))
    writer.close()
    assert most <= budget


@pytest.mark.parametrize(
    ("budget", "body", "workers", "least"),
    [(2**24, 2**24, 1, "36MiB"), (2**20, 2**20, 1, "6MiB"), (2**25, 2**24, 4, "144MiB")],
)
def test_a_budget_that_could_not_hold_is_refused_in_its_own_unit(budget, body, workers, least):
    with pytest.raises(SettingsError) as caught:
        refusals.refuse_budget(Settings(journal_budget=budget, max_body=body, workers=workers))
    assert f"at least {least}" in str(caught.value)
    assert f"{budget // 2**20}MiB is too small" in str(caught.value)
    refusals.refuse_budget(Settings(journal_budget=2**31))


def test_a_damaged_segment_is_moved_aside_and_told_once(tmp_path):
    made, said = small(tmp_path, n=3), []
    made[1].path.write_bytes(b"nothing of ours" * 300)
    it = Keeper(tmp_path, 2**40, said.append)
    for _ in range(3):
        it.keep(cursors=[{}], counted={0: 3})
    assert segments(tmp_path) == [made[0], made[2]]
    assert lost.noted(tmp_path) == [lost.Range(0, 2, 2)]
    assert len(said) == 1
    assert "damaged" in said[0]


def test_the_newest_segment_is_damaged_and_the_counters_know_how_much_it_held(tmp_path):
    made = small(tmp_path, n=2)
    made[1].path.write_bytes(b"nothing of ours" * 300)
    assert recovery.recover(tmp_path, worker=0, known=7) == 7
    assert lost.noted(tmp_path) == [lost.Range(0, 2, 7)]
    writer = Writer(tmp_path, worker=0, after=7)
    assert append(writer)[0].position == 8
    writer.close()


def test_a_note_that_was_cut_off_is_passed_over(tmp_path):
    (tmp_path / lost.NOTES).write_text("0 5 9\n1 2\nx y z\n0 20")
    assert lost.noted(tmp_path) == [lost.Range(0, 5, 9)]
    assert lost.count(tmp_path, worker=0, after=6, upto=100) == 3
    assert lost.count(tmp_path, worker=1, after=0, upto=100) == 0


def test_a_segment_waits_for_the_archive(tmp_path):
    made = small(tmp_path, n=3)
    packed = set()
    it = Keeper(tmp_path, 2**40, lambda _: None, archived=lambda one: one.path in packed)
    it.keep(cursors=[{0: 3}], counted={0: 3})
    assert segments(tmp_path) == made
    packed.add(made[1].path)
    it.keep(cursors=[{0: 3}], counted={0: 3})
    assert segments(tmp_path) == [made[0], made[2]]


def test_the_budget_goes_before_the_archive_and_says_so(tmp_path):
    made, said = small(tmp_path, n=3), []
    it = Keeper(tmp_path, 1, said.append, archived=lambda one: one == made[1])
    it.keep(cursors=[{}], counted={0: 3})
    assert segments(tmp_path) == []
    assert [line.split()[1] for line in said] == [made[0].path.name, made[2].path.name]
    assert "before it is archived" in said[0]
