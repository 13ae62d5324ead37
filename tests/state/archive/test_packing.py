"""A packed segment is the segment: every request comes back as it was, or the file says that it cannot."""

from __future__ import annotations

import random

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.archived import archive, of, served
from rig.deployment import deployment
from shadowserve.errors import StateError
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.records import Request, position
from shadowserve.state.archive.facts import read_facts
from shadowserve.state.archive.packing import pack
from shadowserve.state.archive.past import ARCHIVE, JOURNAL, Past, requests
from shadowserve.state.archive.verifying import gaps, verify

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANY = st.builds(
    Request,
    position=st.just(0),
    request_id=TEXTS,
    arrived_wall_ns=st.integers(0, 2**62),
    arrived_ns=st.integers(0, 2**62),
    protocol=st.sampled_from(["invocations", "predict", "infer"]),
    content_type=TEXTS,
    body=st.none() | st.binary(max_size=200),
    status=st.sampled_from([200, 500]),
    answer=st.binary(max_size=200),
    n_rows=st.integers(0, 2**20),
    times=st.binary(max_size=80),
    unit=st.none() | st.integers(-(2**63), 2**63 - 1),
)


@settings(max_examples=40)
@given(st.lists(ANY, min_size=1, max_size=20))
def test_every_request_comes_back_as_it_was(tmp_path_factory, drawn):
    root = tmp_path_factory.mktemp("segment")
    writer = Writer(root, worker=5)
    sent = [one._replace(position=writer.position(n)) for n, one in enumerate(drawn)]
    writer.append(sent)
    writer.close()
    (segment,) = segments(root)
    facts = pack(segment, root / "5-1.parquet", deployment())
    assert facts == read_facts(root / "5-1.parquet")
    assert (facts.first, facts.last, facts.requests) == (1, len(sent), len(sent))
    from shadowserve.state.archive.past import Source

    source = Source(ARCHIVE, root / "5-1.parquet", facts, 0)
    assert [one for some in requests(source) for one in some] == sent


def test_a_segment_is_packed_to_the_same_bytes_twice(tmp_path):
    places, _ = served(tmp_path, segments=1)
    (segment,) = segments(places.journal)
    for name in ("a", "b"):
        pack(segment, tmp_path / name, of(places))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    places, _ = served(tmp_path, segments=1)
    (segment,) = segments(places.journal)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="No space"):
        pack(segment, tmp_path / "there" / "0-1.parquet", of(places))
    assert not list((tmp_path / "there").iterdir())


def test_an_archived_file_is_this_users_alone(tmp_path):
    places, _ = served(tmp_path)
    archive(places)
    files = [p for p in places.journal_archive.rglob("*") if p.is_file()]
    assert files
    assert {p.stat().st_mode & 0o077 for p in files} == {0}
    assert places.journal_archive.stat().st_mode & 0o077 == 0


def test_journal_and_archive_hold_each_request_once(tmp_path):
    places, sent = served(tmp_path)
    archive(places)
    first = segments(places.journal)[0]
    first.path.unlink()
    past = Past(places)
    found = [one for source in past.sources() for some in requests(source) for one in some]
    assert found == sent
    assert {one.where for one in past.sources()} == {ARCHIVE}
    only = [
        one for source in past.sources(of=(JOURNAL,)) for some in requests(source) for one in some
    ]
    assert only == sent[4:]


def test_all_is_verified(tmp_path):
    places, sent = served(tmp_path)
    archive(places)
    found = list(verify(Past(places)))
    assert [one.fault for one in found] == [""] * 3
    assert sum(one.requests for one in found) == len(sent)


def test_any_changed_byte_of_what_was_recorded_is_found(tmp_path):
    """Footers, pages and checksums: wherever a bit flips, no request is told that was not sent."""
    places, sent = served(tmp_path, segments=1, each=50)
    archive(places)
    segments(places.journal)[0].path.unlink()
    path = places.archived(of(places).id, 0, 1)
    (places.journal_archive / "index.db").unlink()
    good, drawn, missed = path.read_bytes(), random.Random(7), []
    for _ in range(150):
        bad = bytearray(good)
        place = drawn.randrange(len(bad))
        bad[place] ^= 1 << drawn.randrange(8)
        path.write_bytes(bad)
        (found,) = verify(Past(places))
        if found.fault:
            continue
        (source,) = Past(places).sources()
        told = [one for some in requests(source) for one in some]
        if told != sent:
            missed.append(place)
    assert not missed


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_is_found(tmp_path, share):
    places, _ = served(tmp_path, segments=1)
    archive(places)
    path = places.archived(of(places).id, 0, 1)
    segments(places.journal)[0].path.unlink()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    (found,) = verify(Past(places))
    assert found.fault


def test_a_later_format_is_said(tmp_path):
    places, _ = served(tmp_path, segments=1)
    archive(places)
    path = places.archived(of(places).id, 0, 1)
    table = pq.read_table(path)
    metadata = {b"shadowserve": b'{"format": "shadowserve/segment/2"}'}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(StateError, match=r"segment/2.*this release reads"):
        read_facts(path)


def test_a_foreign_file_is_said(tmp_path):
    places, _ = served(tmp_path, segments=1)
    archive(places)
    stray = places.journal_archive / of(places).id / "notes.parquet"
    pq.write_table(
        pq.read_table(places.archived(of(places).id, 0, 1)).replace_schema_metadata({}), stray
    )
    assert [one.fault for one in verify(Past(places)) if one.fault] == [
        f"{stray} is no archived segment. Move it aside."
    ]


def test_what_is_missing_between_segments_is_told(tmp_path):
    places, _ = served(tmp_path)
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    Past(places).sources()[1].path.unlink()
    (gap,) = gaps(Past(places).sources())
    assert (gap.first, gap.last) == (5, 8)
    assert "4 requests from 5 to 8 are not kept" in str(gap)


def test_positions_are_those_of_the_journal(tmp_path):
    places, sent = served(tmp_path, segments=2)
    archive(places)
    assert sent[-1].position == position(0, 8)
    assert [one.facts.first for one in Past(places).sources()] == [1, 5]
