"""What is read of the past: merged by time, each once, nothing that cannot be sent as it was."""

from __future__ import annotations

import pytest

from rig.archived import archive, journal, of, served
from rig.deployment import OPTIONS, deployment, made
from rig.journal import request
from rig.scoring import body, record
from shadowserve.errors import SettingsError, ShadowserveError, UnreachableError
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.replay.recording import in_order, recording
from shadowserve.replay.target import paths
from shadowserve.state import deployment as deployments

KNOWN = paths("films")


def read(places, source="journal", **options):
    found = recording(source, places, **options)
    return found, list(found.read(KNOWN))


@pytest.fixture
def places(tmp_path):
    found = made(tmp_path / "state")
    deployments.write(found, deployment())
    return found


def several(places, *times, worker=0, **changes):
    """Write a worker's segment, of requests at these times, in this order."""
    writer = Writer(places.journal, worker=worker)
    some = [
        request(writer.position(n), **{"body": body(record(n)), "arrived_wall_ns": at, **changes})
        for n, at in enumerate(times)
    ]
    writer.append(some)
    writer.close()
    return some


def test_workers_are_merged_by_time(places):
    several(places, 1, 4, 7, worker=0)
    several(places, 10, 13, worker=0)
    several(places, 2, 3, 11, worker=1)
    several(places, 5, 6, worker=2)
    _, found = read(places)
    assert [one.arrived_wall_ns for one in found] == [1, 2, 3, 4, 5, 6, 7, 10, 11, 13]


def test_what_was_written_late_is_sent_in_its_time(places):
    """A large body is typed for long: its worker writes it behind others that came after it."""
    several(places, 5, 6, 1, 7, 2)
    several(places, 3, 9, 4, worker=1)
    _, found = read(places)
    assert [one.arrived_wall_ns for one in found] == [1, 2, 3, 4, 5, 6, 7, 9]


def test_order_takes_bounded_memory():
    large = [request(n, body=b"x" * 2**20, arrived_wall_ns=n) for n in range(1, 200)]
    held = most = 0

    def counting():
        nonlocal held, most
        for one in large:
            held += 1
            most = max(most, held)
            yield one

    for _ in in_order(counting()):
        held -= 1
    assert most < 20


def test_what_cannot_be_sent_is_left_out_and_counted(places):
    several(places, 1, body=None)
    several(places, 2, replay="r1")
    several(places, 3, protocol="grpc")
    several(places, 4, content_type="application/json\r\nx-evil: 1")
    several(places, 5, content_type="text/csv; charset=é")
    several(places, 6, content_type="")
    several(places, 7, status=500)
    found, sent = read(places)
    assert [one.arrived_wall_ns for one in sent] == [6, 7]
    assert found.left_out == {
        "without_body": 1, "sent_again": 1, "unknown_protocol": 1, "bad_content_type": 2,
    }  # fmt: skip


def test_only_some_positions(places):
    some = several(places, 1, 2, 3)
    _, sent = read(places, only=lambda _d: {some[1].position})
    assert sent == [some[1]]


def test_the_archive_gives_the_very_bytes(tmp_path):
    places, sent = served(tmp_path)
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    found, told = read(places, "archive")
    assert sorted(told) == sorted(sent)
    assert (found.model, found.name, found.traffic.total) == ("films", of(places).id, 12)
    with pytest.raises(UnreachableError, match="--keep-journal"):
        recording("journal", places)


def test_a_tables_rows_are_requests(places, tmp_path):
    file = tmp_path / "requests.csv"
    file.write_text("age,title,time\n1,a,2026-01-01T00:00:00\n2,b,2026-01-01T00:00:03\n")
    found, told = read(places, str(file))
    assert [one.protocol for one in told] == ["invocations"] * 2
    assert told[1].arrived_wall_ns - told[0].arrived_wall_ns == 3 * 10**9
    assert found.has_times
    file.write_text("age,title\n1,a\n")
    assert not recording(str(file), places).has_times
    with pytest.raises(SettingsError, match="--only"):
        recording(str(file), places, only=lambda _d: {1})


def test_a_tables_bad_row_ends_it_or_is_left_out(places, tmp_path):
    file = tmp_path / "requests.csv"
    file.write_text("age,title\n1,a\nx,b\n3,c\n")
    found, told = read(places, str(file))
    assert (len(told) < 2, "row 2" in str(found.failure)) == (True, True)
    found, told = read(places, str(file), skip_bad=True)
    assert (len(told), found.failure) == (2, None)


@pytest.mark.parametrize("rule", ["drop_inputs", "hash_inputs"])
def test_what_was_dropped_or_hashed_is_refused_by_name(tmp_path, rule):
    places, _ = served(tmp_path, **{**OPTIONS, rule: ("title",)})
    archive(places)
    with pytest.raises(SettingsError, match="no values of title") as told:
        recording("archive", places)
    assert "\n" not in str(told.value)


def test_nothing_kept_a_wrong_word_and_another_deployment_are_told(places):
    for source in ("journal", "archive"):
        with pytest.raises(UnreachableError, match="--keep-journal"):
            recording(source, places)
    several(places, 1)
    with pytest.raises(UnreachableError, match="Nothing of 'other'"):
        recording("journal", places, deployment="other")
    with pytest.raises(ShadowserveError, match="jurnal"):
        recording("jurnal", places)


def test_a_damaged_file_is_named_and_what_came_before_it_is_sent(tmp_path):
    places, _ = served(tmp_path)
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    path = sorted(places.journal_archive.rglob("0-*.parquet"))[1]
    raw = bytearray(path.read_bytes())
    raw[300] ^= 255
    path.write_bytes(raw)
    found, sent = read(places, "archive")
    assert len(sent) == 4
    assert path.name in str(found.failure)


def test_what_is_written_meanwhile_is_not_followed(places):
    """Else a replay of the journal into its own deployment would never end."""
    writer = Writer(places.journal, worker=0)
    before = [request(writer.position(n), arrived_wall_ns=n) for n in range(5)]
    writer.append(before)
    found = recording("journal", places)
    writer.append([request(writer.position(n), arrived_wall_ns=9) for n in range(5)])
    assert list(found.read(KNOWN)) == before
    writer.close()


def test_the_newest_deployment_is_taken(tmp_path):
    places, _ = served(tmp_path)
    archive(places)
    deployments.write(places, deployment(id="films-20270101T000000Z-new"))
    journal(places, [record(1)], arrived_wall_ns=10**18)
    archive(places)
    assert recording("archive", places).name == "films-20270101T000000Z-new"
    named = recording("archive", places, deployment="films-20260101T000000Z-abc")
    assert named.traffic.total == 12


def test_none_is_lost_where_many_are_merged(places):
    """Workers are merged some hundreds at a time."""
    several(places, *range(0, 5_000, 2), worker=0)
    several(places, *range(1, 5_000, 2), worker=1)
    _, found = read(places)
    assert [one.arrived_wall_ns for one in found] == list(range(5_000))
