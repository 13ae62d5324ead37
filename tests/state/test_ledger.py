"""The ledger: bounded at one position, counted twice by nobody, balanced at any instant."""

from __future__ import annotations

import os
import threading
import time

import orjson
import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.journal import append, killed
from rig.lane import answer, records, told, work
from shadowserve.journal import reader as journal_reader
from shadowserve.journal import recovery, segment_file
from shadowserve.journal.reader import JournalReader
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.records import Outcome
from shadowserve.state import counters, ledger
from shadowserve.state.counters import Counters
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.statistics.switchback import FEWEST_TIMES, Block, CallerCost
from shadowserve.supervisor.keeping import Keeper

CONTRACT = {
    "deployment": "films-20260101T000000Z-abc",
    "model": "films",
    "champion": {
        "version": 3, "answered": 5, "failed": 0, "rejected": 0, "overloaded": 0,
        "client_gone": 0, "extra_columns": 0, "turned_away": 0, "not_ready": 0, "timed_out": 0,
        "lost": 0, "replayed": 0, "replay_rejected": 0, "restarts": 0, "last_end": None,
        "ended": {"deadline": 0, "memory": 0, "crash": 0, "outside": 0, "hang": 0},
    },
    "journal": {"appended": 5, "append_failed": 0},
    "balanced": True,
}  # fmt: skip


@pytest.fixture
def places(tmp_path):
    return made(tmp_path, CHALLENGER, CONTROL)


def test_the_ledger_has_the_contracts_form(places):
    answer(places, records(5))
    work(places)
    found = ledger.read(places, deployment()).to_dict()
    assert found["journal"].pop("bytes") > 0
    challenger, control = found.pop("lanes")
    assert found == {**CONTRACT, "left": []}
    assert challenger.pop("lag_seconds") == 0.0
    assert challenger.pop("behind") is None
    assert challenger.pop("joined") is None
    assert challenger == {
        "role": "challenger", "version": 4, "state": "running", "reason": None, "both_ok": 5,
        "challenger_error": 0, "champion_error": 0, "both_error": 0, "timed_out": 0, "crashed": 0,
        "sampled_out": 0, "replayed": 0, "skipped": {"paused": 0, "budget": 0, "lost": 0}, "pending": 0,
        "restarts": 0, "ended": CONTRACT["champion"]["ended"], "last_end": None,
    }  # fmt: skip
    assert (control["state"], control["pending"]) == ("starting", 5)
    assert control["lag_seconds"] > 0


def test_status_says_what_lanes_cost_callers_once_that_is_known(places):
    answer(places, records(5))
    worked = work(places)
    found = ledger.read(places, deployment())
    assert found.costs == ()
    assert found.to_status()["cost_to_callers"] == []
    harm = CallerCost()
    for cycle in range(5):
        for block, ms in ((Block.STILL, 2.0), (Block.USUAL, 2.0 + 0.01 * (cycle % 2))):
            for _ in range(FEWEST_TIMES):
                harm.add(cycle, block, ms)
    harm.add(99, Block.STILL, 2.0)  # which closes the cycles before
    state = LaneState(worked.parts.files.state)
    state.commit(Progress(summaries={"harm": orjson.dumps(harm.state())}))
    state.close()
    found = ledger.read(places, deployment())
    assert [cost.rank for cost in found.costs] == ["p50", "p99"]
    assert found.costs[0].low < 0.002 < found.costs[0].high
    assert found.to_status()["cost_to_callers"][0]["rank"] == "p50"
    assert "cost_to_callers" not in found.to_dict()  # the report says it beside the latencies


def test_before_the_first_request_everything_is_nothing(places):
    found = ledger.read(places, deployment())
    assert found.balanced
    assert found.champion == counters.Counts()
    assert [lane.total for lane in found.lanes] == [0, 0]


def test_what_the_journal_knows_beyond_the_counts_is_counted(places):
    """A worker that died between journal and counter."""
    answer(places, records(4))
    writer = Writer(places.journal, worker=0)
    append(writer, 2)
    append(writer, status=500)
    found = ledger.read(places, deployment())
    assert found.balanced
    assert (found.champion.answered, found.champion.failed, found.champion.appended) == (6, 1, 7)
    writer.close()


def test_reconciling_counts_it_for_good(places):
    answer(places, records(4))
    writer = Writer(places.journal, worker=0)
    append(writer, 2, status=500)
    writer.close()
    counted = Counters(places.counters(0))
    for _ in range(2):
        ledger.reconcile(places, counted, worker=0)
    assert counted.counts() == counters.Counts(answered=4, failed=2, appended=6, sequence=6)
    counted.close()
    for segment in segments(places.journal)[:-1]:
        segment_file.remove(segment)
    assert ledger.read(places, deployment(control=False, challengers=())).champion.appended == 6


def test_what_could_not_be_appended_is_in_no_lane(places):
    answer(places, records(3))
    counted = Counters(places.counters(0))
    counted.journal_step(answered=2, failed=0, appended=0, append_failed=2, sequence=3)
    counted.close()
    found = ledger.read(places, deployment())
    assert found.balanced
    assert [lane.total for lane in found.lanes] == [3, 3]


def test_a_ledger_that_does_not_balance_says_so(places):
    answer(places, records(3))
    counted = Counters(places.counters(0))
    counted.journal_step(answered=1, failed=0, appended=0, append_failed=0, sequence=3)
    counted.close()
    assert not ledger.read(places, deployment()).balanced


def test_what_was_deleted_unread_is_skipped_by_budget(places):
    answer(places, records(10), segment_bytes=1)
    for segment in segments(places.journal)[2:5]:
        segment_file.remove(segment)
    assert told(places) == {"pending": 7, "skipped_budget": 3}


def test_a_lane_that_runs_beside_a_pause_is_paused(places):
    answer(places, records(2))
    work(places)
    places.paused.touch()
    challenger, control = ledger.read(places, deployment()).lanes
    assert (challenger.state, control.state) == ("paused", "starting")


def test_a_lane_that_loads_for_long_is_told_of(places):
    answer(places, records(2))
    work(places)
    written = places.lane(CONTROL.role, CONTROL.version).condition
    for age_s, reason in ((30, None), (400, "has been loading for 6 min"), (-3600, None)):
        written.write_text('{"state": "starting", "reason": null}')
        when = time.time() - age_s
        os.utime(written, (when, when))
        control = ledger.read(places, deployment()).lanes[1]
        assert (control.state, (control.reason or "").partition(";")[0] or None) == (
            "starting",
            reason,
        )


def test_all_workers_are_added_up(places):
    for worker in range(3):
        answer(places, records(2 + worker), worker=worker)
    found = ledger.read(places, deployment())
    assert found.balanced
    assert found.champion.appended == 9


def test_the_ledger_balances_while_everything_moves(places):
    """Readings beside a writer that counts after it appends, and a lane that scores."""
    done = threading.Event()

    def write():
        for _ in range(6):
            answer(places, records(20), segment_bytes=3_000)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    readings = 0
    while not done.is_set():
        found = ledger.read(places, deployment())
        assert found.balanced, found
        readings += 1
        if readings % 3 == 0:
            work(places)
    thread.join()
    work(places)
    assert told(places) == {"both_ok": 120}
    assert readings > 2


@pytest.mark.parametrize("harm", ["zeros", "cut", "a page", "garbage"])
def test_a_damaged_segment_is_lost_in_every_lane_and_the_ledger_balances(places, harm):
    """Before it is moved aside and after, for a lane that had read half of it and for one that had none."""
    answer(places, records(4))
    work(places)
    answer(places, records(6))
    answer(places, records(3))
    victim = segments(places.journal)[1]
    damage(victim.path, harm)
    assert ledger.read(places, deployment()).balanced
    reader = JournalReader(places.journal, cursor={0: 4})
    assert reader.read(100).requests == []  # it waits until the segment is moved aside
    reader.close()
    keeper = Keeper(places.journal, 2**31, lambda _: None)
    counted = {0: counters.read(places.counters(0)).sequence}
    keeper.keep(cursors=[{0: 0}], counted=counted)
    assert ledger.read(places, deployment()).balanced
    work(places)
    found = ledger.read(places, deployment())
    assert found.balanced
    challenger, control = found.to_dict()["lanes"]
    assert challenger["skipped"] == {"paused": 0, "budget": 0, "lost": 6}
    assert challenger["both_ok"] == 7
    assert (control["skipped"]["lost"], control["pending"]) == (6, 7)
    assert (places.journal / "damaged" / victim.path.name).exists()


def damage(path, harm):
    """Do to a file what disks do."""
    whole = path.read_bytes()
    made = {
        "zeros": bytes(len(whole)),
        "cut": b"",
        "a page": whole[:2048] + b"\xff" * 2048 + whole[2 * 2048 :],
        "garbage": b"no database at all" * 500,
    }
    path.write_bytes(made[harm])
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


ENDLESS = """
import sys
from pathlib import Path
from rig.journal import append
from shadowserve.state.counters import Counters
from shadowserve.journal.writer import Writer
from shadowserve.state.places import Places
places = Places(Path(sys.argv[1]))
writer, counted = Writer(places.journal, worker=0, segment_bytes=280_000), Counters(places.counters(0))
counted.journal_step(answered=0, failed=0, appended=0, append_failed=0, sequence=writer.sequence)
n = 0
while True:
    made = append(writer, 3) + append(writer, 1, status=500)
    counted.journal_step(answered=3, failed=1, appended=4, append_failed=0, sequence=writer.sequence)
    print(n := n + 4, flush=True)
"""


def test_the_ledger_balances_after_every_death_of_a_worker(places):
    answered = 0
    for after_s in (0.0, 0.03, 0.06):
        answered += int(killed(ENDLESS, str(places.root), after_s=after_s)[-1])
        assert ledger.read(places, deployment()).balanced
        recovery.recover(places.journal, worker=0)
        counted = Counters(places.counters(0))
        ledger.reconcile(places, counted, worker=0)
        counted.close()
        found = ledger.read(places, deployment())
        assert found.balanced
        assert 0 <= found.champion.appended - answered <= 12
        assert found.lanes[0].outcomes.get(Outcome.SKIPPED_BUDGET, 0) == 0
        answered = found.champion.appended


def test_a_deployment_that_is_stopped_has_no_lane_that_runs(places):
    answer(places, records(3))
    work(places)
    found = ledger.read(places, deployment())
    assert {lane["state"] for lane in found.to_status(served=False)["lanes"]} == {"stopped"}
    assert found.to_status(served=False)["served"] is False
    assert found.to_status()["lanes"][0]["state"] == "running"


def test_what_was_deleted_while_one_looked_is_not_told_as_skipped(places, monkeypatch):
    """The lane passed a segment, and it was deleted, between the reading of cursor and journal."""
    answer(places, records(4))
    work(places)
    answer(places, records(4))
    answer(places, records(1))
    counted, first = journal_reader.extent, [True]

    def meanwhile(directory):
        if first.pop() if first else False:
            work(places)
            for segment in segments(places.journal)[:-1]:
                segment_file.remove(segment)
        return counted(directory)

    monkeypatch.setattr(journal_reader, "extent", meanwhile)
    (challenger, _) = ledger.read(places, deployment()).to_dict()["lanes"]
    assert challenger["skipped"] == {"paused": 0, "budget": 0, "lost": 0}
    assert challenger["both_ok"] == 9
