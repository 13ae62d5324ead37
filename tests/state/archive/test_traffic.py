"""Recorded requests of a state directory in one order, and exported ones as they were."""

from __future__ import annotations

import orjson
import pytest

from rig.archived import archive, journal, of, served
from rig.deployment import deployment, made
from rig.scoring import record
from shadowserve.errors import UnreachableError
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.exporting import Wanted, export
from shadowserve.state.archive.layout import Layout
from shadowserve.state.archive.past import Past
from shadowserve.state.archive.table_names import Names
from shadowserve.state.archive.traffic import recorded, traffic


def read(found) -> list:
    return [one for some in found.read() for one in some]


def test_the_archive_is_what_was_packed_and_what_is_not_yet(tmp_path):
    places, sent = served(tmp_path)
    archive(places)
    more = journal(places, [record(0)])
    assert read(recorded("archive", places)) == [*sent, *more]
    assert recorded("archive", places).total == len(sent) + 1


def test_several_workers_are_told_by_arrival(tmp_path):
    places = made(tmp_path)
    deployments.write(places, deployment())
    one = journal(places, [record(n) for n in range(4)])
    other = journal(places, [record(n) for n in range(3)], worker=1, arrived_wall_ns=1_001)
    found = recorded("journal", places)
    assert read(found) == [*one[:2], *other, *one[2:]]
    assert found.deployment == of(places)


def test_a_live_journal_is_read_as_far_as_it_had_come(tmp_path):
    places, sent = served(tmp_path, segments=1)
    found = recorded("journal", places)
    journal(places, [record(0)])
    assert read(found) == sent
    assert recorded("journal", places).identity != found.identity


def test_what_is_not_there_is_told(tmp_path):
    places = made(tmp_path)
    with pytest.raises(UnreachableError, match="Nothing is kept"):
        recorded("archive", places)
    places, _ = served(tmp_path / "other")
    with pytest.raises(UnreachableError, match="Nothing of 'films-9' is kept"):
        recorded("archive", places, deployment="films-9")


def test_hidden_columns_are_named(tmp_path):
    places, _ = served(tmp_path, drop_inputs=("x0",))
    archive(places)
    assert recorded("archive", places).hidden == ("x0",)


def test_an_export_is_read_as_the_requests_that_it_was_made_of(tmp_path):
    places, sent = served(tmp_path)
    past, served_then = Past(places), of(places)
    layout = Layout(served_then, shown="all")
    export(past, Wanted(served_then.id), layout, tmp_path / "past.parquet")
    found = read(
        traffic(
            str(tmp_path / "past.parquet"),
            places,
            signature=served_then.champion.signature,
            names=Names(),
        )
    )
    assert [one.request_id for one in found] == [one.request_id for one in sent]
    assert [one.arrived_wall_ns for one in found] == [one.arrived_wall_ns for one in sent]
    assert [orjson.loads(one.answer) for one in found] == [orjson.loads(one.answer) for one in sent]
