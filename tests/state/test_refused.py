"""Requests that the champion refused are kept within bounds, and tried by the challenger's signature."""

from __future__ import annotations

import dataclasses
import json
import os
import threading

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.judging import policy
from rig.lane import TABLE, answer, lane, records, work
from rig.plane import Plane
from rig.scoring import SIGNATURE, body, double, native, opaque, pipeline, record
from shadowserve.cli.report_text import print_report
from shadowserve.comparison.accepted import Accepted
from shadowserve.judgement.facts import gather
from shadowserve.judgement.findings.refused import look
from shadowserve.lane.refused import RefusedRequests
from shadowserve.report import build
from shadowserve.schema.schema import Schema
from shadowserve.state import deployment as deployments
from shadowserve.state import refused
from shadowserve.state.refused import MOST, MOST_BYTES, STEADY, Refusals

WIDER = {"inputs": [SIGNATURE["inputs"][0]], "params": None}
"""A signature that needs no title."""
UNTITLED = body({"age": 1.0})
JSON = "application/json"


def kept(path):
    return [one.body for one, _ in refused.records(path)]


def keeping(path, bodies):
    keeper = Refusals(path)
    for one in bodies:
        keeper._thread.submit(int).result()  # the one before has been written
        keeper.keep("invocations", JSON, one)
    keeper.close()
    return keeper


def schema(signature):
    return Schema.from_signature(signature)


def trying(places, signature=WIDER):
    return RefusedRequests(places, schema(signature), TABLE)


def test_where_no_thread_can_be_started_nothing_is_raised_and_it_is_kept_later(
    tmp_path, monkeypatch
):
    def limited(_self):
        raise RuntimeError("can't start new thread")

    keeper = Refusals(tmp_path / "0.refused")
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", limited)
        keeper.keep("invocations", JSON, b"first")
    keeper.keep("invocations", JSON, b"second")
    keeper.close()
    assert kept(tmp_path / "0.refused") == [b"first", b"second"]


def test_what_the_champion_refuses_is_kept_and_what_it_takes_is_not(tmp_path):
    keeper = Refusals(tmp_path / "0.refused")
    with Plane(tmp_path, native(pipeline()), refusals=keeper) as plane:
        assert plane.post(UNTITLED).status_code == 400
        assert plane.post(body(record(1))).status_code == 200
        assert plane.post(b"x" * 5000).status_code == 413
        assert plane.post(b"a,b\n1,2\n", content_type="text/html").status_code == 415
    keeper.close()
    (one,) = [one for one, _ in refused.records(tmp_path / "0.refused")]
    assert (one.protocol, one.content_type, one.body) == ("invocations", JSON, UNTITLED)
    assert (tmp_path / "0.refused").stat().st_mode & 0o077 == 0


def test_without_a_keeper_a_refusal_is_what_it_was(tmp_path):
    with Plane(tmp_path, native(pipeline())) as plane:
        assert plane.post(UNTITLED).status_code == 400


def test_a_disk_that_takes_nothing_changes_no_answer(tmp_path):
    keeper = Refusals(tmp_path / "no such folder" / "0.refused")
    with Plane(tmp_path, native(pipeline()), refusals=keeper) as plane:
        assert [plane.post(UNTITLED).status_code for _ in range(3)] == [400] * 3
    keeper.close()


def test_all_are_kept_at_first_then_fewer_and_never_more_than_the_bound(tmp_path):
    path = tmp_path / "0.refused"
    keeping(path, [b"%d" % n for n in range(4 * STEADY)])
    numbers = [int(one) for one in kept(path)]
    assert numbers[:STEADY] == list(range(STEADY))
    later = [n for n in numbers if n >= STEADY]
    assert STEADY < len(later) < 2 * STEADY
    assert max(later) > 4 * STEADY - 8
    keeper = Refusals(path)
    keeper._open()
    keeper._kept = MOST
    keeper._append(b"x")
    assert keeper._full


def test_long_bodies_are_not_kept(tmp_path):
    path = tmp_path / "0.refused"
    keeping(path, [b"x" * (MOST_BYTES + 1), b"y" * MOST_BYTES])
    assert [len(one) for one in kept(path)] == [MOST_BYTES]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_half_record_of_a_killed_worker_is_not_read_and_is_cut_off(tmp_path, cut):
    path = tmp_path / "0.refused"
    keeping(path, [b"first one that is whole", b"second one that is torn"])
    os.truncate(path, path.stat().st_size - cut)
    assert kept(path) == [b"first one that is whole"]
    keeping(path, [b"third"])
    assert kept(path) == [b"first one that is whole", b"third"]


def test_a_lane_tells_how_many_its_signature_takes_each_once(tmp_path):
    places, known = made(tmp_path, CHALLENGER), Accepted()
    answer(places, records(3))
    nonsense = [b"{", b"", b"\xff\xfe", b"[" * 5000, body({"age": "old", "title": "x"})]
    keeping(places.refused(0), [UNTITLED, *nonsense])
    lanes = trying(places)
    assert lanes.look(known)
    assert not lanes.look(known, at_once=True)
    assert (known.tried, known.taken) == (6, 1)
    keeping(places.refused(0), [UNTITLED])
    again = Accepted.from_state(json.loads(json.dumps(known.state())))
    assert trying(places).look(again)
    assert (again.tried, again.taken) == (7, 2)


def test_a_version_that_takes_whatever_comes_is_not_asked(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answer(places, records(3))
    keeping(places.refused(0), [UNTITLED])
    lanes = RefusedRequests(places, Schema.open(), TABLE)
    assert not lanes.look(Accepted())


def refusing(tmp_path, *, refused_number=100, bodies=60):
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(100))
    keeping(places.refused(0), [UNTITLED] * bodies)
    one = lane(places, opaque(double, signature=WIDER))
    one.parts.refused = trying(places)
    one.parts.stopping = lambda: True
    one.run()  # it looks at the refused ones before it ends, though no request was read
    work(places, opaque(double, signature=WIDER))
    served = deployment()
    known = gather(places, served, challenger=4)
    counts = dataclasses.replace(known.ledger.champion, rejected=refused_number)
    ledger = dataclasses.replace(known.ledger, champion=counts)
    return places, served, dataclasses.replace(known, ledger=ledger)


def test_finding_and_report_tell_how_many_the_challenger_would_have_taken(tmp_path, monkeypatch):
    places, served, known = refusing(tmp_path)
    (one,) = look(known, policy())
    assert "Of the 60 of them that were kept, v4's signature would have taken 60." in one.message
    monkeypatch.setattr(build, "gather", lambda *_, **__: known)
    told = build.build(places, served, challenger=4)
    assert told["refused"] == {"requests": 100, "tried": 60, "taken": 60}
    from rich.console import Console

    with (tmp_path / "told").open("w+") as file:
        print_report(told, Console(file=file, width=400))
        file.seek(0)
        assert "v4's signature would have taken 60." in file.read()


def test_where_none_was_kept_it_is_said_not_to_be_known(tmp_path):
    _, _, known = refusing(tmp_path, bodies=0)
    (one,) = look(known, policy())
    assert "How many v4 would have taken is not known" in one.message


def test_what_was_kept_goes_with_its_deployment(tmp_path):
    places, served, _ = refusing(tmp_path)
    assert places.refused(0).exists()
    deployments.archive(places, served)
    assert list(tmp_path.rglob("*.refused")) == []
