"""Whom a request is for, where no column says it: a header of the request, kept as a salted number."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rig.deployment import CHALLENGER, made
from rig.journal import request
from rig.lane import answer, work
from rig.plane import Plane
from rig.scoring import body, double, opaque, record
from rig.tap_endpoint import SERVED, line, post
from rig.tap_endpoint import journaled as tapped
from rig.tapped import Tap, app, ask
from shadowserve.errors import SettingsError
from shadowserve.journal import recovery, segment_file
from shadowserve.journal.reader import JournalReader
from shadowserve.schema.rows import Rows
from shadowserve.settings.loading import load
from shadowserve.state import deployment as deployments
from shadowserve.state.sampling import Sampling
from shadowserve.statistics.units import EntityHeader, entity_header, nobody, unit_of
from shadowserve.supervisor import refusals
from shadowserve.tap import TapMiddleware

SECRET = "customer-4711-secret"
HEADER = EntityHeader(b"x-customer", b"salt")


def test_a_name_has_one_number_whether_a_header_or_a_column_says_it():
    rows = Rows({"user": np.array(["ann"], dtype=object)}, 1)
    assert HEADER.named("ann")[1] == unit_of(rows, entity="user", salt=b"salt")
    assert HEADER.named("ann")[1] != replace(HEADER, salt=b"other").named("ann")[1]


def test_a_deployment_says_which_header_names_the_entity():
    assert entity_header("x-customer", salt="salt") == HEADER
    assert entity_header(None, salt="salt") is None
    assert nobody({b"x-customer": b"ann"}) == (None, None)


def test_the_journal_holds_whom_a_request_is_for_and_never_the_name(tmp_path):
    with Plane(tmp_path, entity_of=HEADER) as plane:
        for who in (SECRET, f"  {SECRET} ", "ann", "", None):
            plane.post(**({"x_customer": who} if who is not None else {}))
        units = [one.unit for one in plane.serving.journaled()]
        assert units[0] == units[1] == HEADER.named(SECRET)[1]
        assert units[2] == HEADER.named("ann")[1]
        assert units[3] is units[4] is None
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"invocations" in held
    assert SECRET.encode() not in held


def test_without_the_option_no_header_is_read(tmp_path):
    with Plane(tmp_path) as plane:
        plane.post(x_customer="ann")
        (one,) = plane.serving.journaled()
        assert one.unit is None


def test_who_a_header_names_is_sampled_whole(tmp_path):
    with Plane(tmp_path, entity_of=HEADER, sampling=Sampling(rate=0.5, salt="s")) as plane:
        for who in [f"u{n}" for n in range(20)] * 3:
            plane.post(x_customer=who)
        taken = Counter((one.unit, one.body is not None) for one in plane.serving.journaled())
        assert set(taken.values()) == {3}
        assert {whole for _, whole in taken} == {True, False}


def test_a_lane_counts_each_name_once_and_each_request_without_one_by_itself(tmp_path):
    places = made(tmp_path, CHALLENGER)
    for who in ("ann", "bob", "ann", None, None, "ann"):
        answer(places, [record(1)], unit=None if who is None else HEADER.named(who)[1])
    learned = work(places, opaque(double)).parts.learned
    assert (learned.units.n, learned.units.without) == (2, 2)
    assert (learned.failures.rate.n, learned.failures.more.n) == (6, 4)


def test_a_segment_that_an_earlier_release_wrote_is_read_on(tmp_path):
    """Its rows have two columns fewer: they name nobody, and no replay."""
    live = sqlite3.connect(tmp_path / "0-1.db")
    live.executescript(segment_file.TABLES.replace(", unit INTEGER, replay TEXT", ""))
    segment_file.begin(live, first=1, steps="[]")
    row = request(1)[:-2]
    live.execute("INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    live.commit()
    live.close()
    recovery.recover(tmp_path, worker=0)
    (one,) = JournalReader(tmp_path, cursor={}).read(10).requests
    assert (one.request_id, one.unit, one.replay) == ("r1", None, None)


def test_the_tap_takes_whom_a_record_is_for(tmp_path):
    served = replace(SERVED, options=replace(SERVED.options, entity_header="x-customer"))
    places = made(tmp_path, *served.lanes)
    deployments.write(places, served)
    lines = [line(n, entity=who) for n, who in enumerate((SECRET, SECRET, "", "ann"))]
    assert post(places, "\n".join([*lines, line(9)]), served=served).json()["appended"] == 5
    header = entity_header(served.options.entity_header, salt=served.salt)
    assert [one.unit for one in tapped(places)] == [
        *[header.named(SECRET)[1]] * 2, None, header.named("ann")[1], None,
    ]  # fmt: skip
    held = b"".join(path.read_bytes() for path in places.journal.iterdir())
    assert SECRET.encode() not in held


def test_a_record_whose_entity_is_no_text_is_refused_without_its_value(tmp_path):
    places = made(tmp_path, *SERVED.lanes)
    told = post(places, line(1, entity=4711))
    assert told.status_code == 400
    assert "entity is printable text" in told.text
    assert "4711" not in told.text


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"x-customer": "ann"}, "ann"),
        ({"X-Customer": " ann "}, "ann"),
        ({"x-customer": "a\tb" + "c" * 400}, "ab" + "c" * 254),
        ({"x-customer": ""}, None),
        ({}, None),
    ],
    ids=["plain", "any case", "cut and cleaned", "empty", "none"],
)
def test_the_middleware_sends_what_the_header_says(given, sent):
    tap = Tap()
    served = TapMiddleware(app(), tap.url, entity_header="X-Customer")
    ask(served, **given)
    served.close(5)
    tap.close()
    (record_,) = tap.records
    assert record_.get("entity") == sent


def test_a_header_is_one_whatever_its_case_and_is_given_in_every_way():
    assert load({"entity_header": "X-Customer"}, environ={}).entity_header == "x-customer"
    environ = {"SHADOWSERVE_ENTITY_HEADER": "X-Customer"}
    assert load({}, environ=environ).entity_header == "x-customer"
    for strange in ("no good", "a:b", ""):
        with pytest.raises(SettingsError, match="no name of a header"):
            load({"entity_header": strange}, environ={})


def test_column_and_header_together_are_refused():
    both = load({"entity": "user", "entity_header": "x-customer"}, environ={})
    with pytest.raises(SettingsError, match="Give the column or the header, not both"):
        refusals.refuse_settings(both)


def test_the_body_is_what_it_was(tmp_path):
    """A header changes nothing of what is answered or recorded."""
    with Plane(tmp_path, entity_of=HEADER) as plane:
        assert plane.post().content == plane.post(x_customer="ann").content
        assert {one.body for one in plane.serving.journaled()} == {body(record(1))}
    assert json.loads(body(record(1)))
