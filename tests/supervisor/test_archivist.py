"""The archivist packs what is sealed, once, whatever ends it, and lets the oldest go."""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib

import pytest

from rig.archived import FOR_GOOD, archive, journal, of, served
from rig.journal import append, killed
from rig.scoring import record
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.settings.keeping import Keep
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.holdings import Archived, Holdings
from shadowserve.state.archive.past import Past, requests
from shadowserve.state.archive.retention import beyond
from shadowserve.supervisor.archivist import Archivist

TEN_YEARS_NS = 315_360_000 * 10**9


def told(places):
    return [one for source in Past(places).sources() for some in requests(source) for one in some]


def emptied(places):
    """The journal as it is once all that was archived has left it."""
    for segment in segments(places.journal):
        segment.path.unlink()


def test_a_segment_that_is_written_is_left_alone(tmp_path):
    places, _ = served(tmp_path, segments=1)
    writer = Writer(places.journal, worker=0)
    append(writer, 3)
    archive(places)
    assert len(Holdings(places).paths()) == 1
    writer.close()
    archive(places)
    assert len(Holdings(places).paths()) == 2


def test_each_segment_is_packed_once(tmp_path):
    places, sent = served(tmp_path)
    first = archive(places)
    before = {path: path.stat().st_mtime_ns for path in Holdings(places).paths()}
    assert not first.turn()
    archive(places)
    assert {path: path.stat().st_mtime_ns for path in Holdings(places).paths()} == before
    emptied(places)
    assert told(places) == sent


PROGRAM = """
import sys
from pathlib import Path
from rig.archived import FOR_GOOD, of
from shadowserve.supervisor.archivist import Archivist
from shadowserve.state.places import Places
places = Places(Path(sys.argv[1]))
archivist = Archivist(places, of(places), FOR_GOOD)
archivist.begin()
print("at work", flush=True)
while archivist.turn():
    print("packed", flush=True)
"""


def test_one_that_is_killed_again_and_again_loses_nothing(tmp_path):
    places, sent = served(tmp_path, segments=40, each=30)
    for _ in range(4):
        killed(PROGRAM, str(tmp_path), after_s=0.03)
    archive(places)
    assert not list(places.journal_archive.glob("*/.*"))
    emptied(places)
    assert told(places) == sent


def test_what_an_archived_deployment_left_is_packed_sealed_or_not(tmp_path):
    places, sent = served(tmp_path, segments=1)
    old = of(places)
    writer = Writer(places.journal, worker=0)
    sent += append(writer, 2)
    writer._spare.exception()  # it is made on another thread, and must not change while it is copied
    copy = tmp_path / "killed"
    shutil.copytree(places.journal, copy)  # as a killed worker leaves it
    writer.close()
    shutil.rmtree(places.journal)
    copy.rename(places.journal)
    deployments.archive(places, old)
    places.make()
    from rig.deployment import deployment

    deployments.write(places, deployment(id="films-later"))
    archive(places)
    shutil.rmtree(places.archive)
    assert told(places) == sent
    assert Past(places).deployment(old.id).champion == old.champion


def test_a_lost_or_damaged_index_costs_nothing(tmp_path):
    places, sent = served(tmp_path)
    archive(places)
    emptied(places)
    index = places.journal_archive / "index.db"
    for damage in (index.unlink, lambda: index.write_bytes(b"no database" * 500)):
        damage()
        assert told(places) == sent
        archive(places)
        assert Holdings(places).unnoted() == []
        assert len(Holdings(places).holding(sent[0].request_id)) == 1


def test_a_file_that_somebody_deleted_is_forgotten(tmp_path):
    places, _ = served(tmp_path)
    archive(places)
    emptied(places)
    gone = Holdings(places).paths()[1]
    gone.unlink()
    archive(places)
    with sqlite3.connect(places.journal_archive / "index.db") as connection:
        assert connection.execute("SELECT count(*) FROM segment").fetchone() == (2,)


def test_a_request_is_found_by_its_id_and_what_shares_its_checksum_is_told_apart(tmp_path):
    places, _ = served(tmp_path, segments=0)
    # Two texts of one CRC-32.
    one, other = "plumless", "buckeroo"
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
    for name in (one, other, "else"):
        journal(places, [record(1)], request_id=name)
    archive(places)
    emptied(places)
    found = Past(places).holding(one)
    assert len(found) == 2
    ids = [r.request_id for source in found for some in requests(source) for r in some]
    assert ids == [one, other]
    assert Past(places).holding("nobody") == []


def test_the_oldest_go_beyond_an_age(tmp_path):
    places, sent = served(tmp_path, segments=0)
    now = 2 * TEN_YEARS_NS
    for years in (19, 5, 1):
        sent += journal(places, [record(1)], arrived_wall_ns=now - years * TEN_YEARS_NS // 10)
    archive(places)
    held = list(Holdings(places).archived())
    assert beyond(held, Keep(age_s=2 * TEN_YEARS_NS / 1e10), now_ns=now) == [
        one.path for one in held[:2]
    ]


def test_the_oldest_go_beyond_a_size_of_whichever_worker(tmp_path):
    places, _ = served(tmp_path, segments=0)
    for worker, at in ((0, 3), (1, 1), (0, 4), (1, 2)):
        journal(places, [record(1)], worker=worker, arrived_wall_ns=at)
    archive(places)
    held = list(Holdings(places).archived())
    gone = beyond(held, Keep(bytes=2 * held[0].bytes + 100), now_ns=10)
    assert [path.name for path in gone] == ["1-1.parquet", next(p.name for p in gone[1:])]
    assert {path.name[0] for path in gone} == {"1"}


def test_a_file_that_cannot_be_read_counts_and_goes_when_it_is_old(tmp_path):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"x" * 10)
    os.utime(bad, (5, 5))
    one = Archived(bad, None, 10, "damaged")
    assert beyond([one], Keep(age_s=1.0), now_ns=10 * 10**9) == [bad]
    assert beyond([one], Keep(bytes=100), now_ns=10 * 10**9) == []


def test_a_deployment_goes_with_its_last_segment(tmp_path):
    places, _ = served(tmp_path)
    archivist = archive(places)
    archivist.keep = Keep(age_s=1.0)
    archivist.retain()
    assert not (places.journal_archive / of(places).id).exists()
    assert Past(places).sources(of=("archived",)) == []


def test_a_full_disk_is_said_once_and_tried_again(tmp_path, caplog, monkeypatch):
    places, sent = served(tmp_path, segments=1)
    archivist = Archivist(places, of(places), FOR_GOOD)
    archivist.begin()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        assert not archivist.turn()
        assert not archivist.turn()
    assert [
        one.getMessage().endswith("cannot be archived (No space left on device)")
        for one in caplog.records
    ] == [True]
    assert archivist.turn()
    emptied(places)
    assert told(places) == sent


def test_a_damaged_segment_holds_up_no_other(tmp_path):
    places, sent = served(tmp_path)
    second = segments(places.journal)[1]
    second.path.write_bytes(b"no database" * 1_000)
    archive(places)
    assert len(Holdings(places).paths()) == 2
    emptied(places)
    assert told(places) == sent[:4] + sent[8:]


@pytest.mark.parametrize("cut", ["deployment.json"])
def test_an_archive_without_its_deployment_is_said(tmp_path, cut):
    places, _ = served(tmp_path)
    archive(places)
    old = of(places).id
    places.deployment.unlink()
    (places.journal_archive / old / cut).unlink()
    with pytest.raises(Exception, match=r"lacks deployment\.json"):
        Past(places).deployment(old)
