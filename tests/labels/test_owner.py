"""One process writes the labels' file; others hand in to it, and read."""

from __future__ import annotations

import time

import pytest

from rig.labels import CHALLENGER, CONTROL, Kind, Running, answers, serve, wait_for_owner, work
from rig.unwritable import digests
from shadowserve.comparison.outputs import kind_compared
from shadowserve.labels import LabelsError, learn, pair_if_nobody_does, take
from shadowserve.labels.inbox import LabelSet, waiting
from shadowserve.labels.owner import owning
from shadowserve.labels.reading import Faulty, Text
from shadowserve.labels.store import LabelStore


def labels(truth, first=1):
    return [(i + 1, f"request-{first + i}", label) for i, label in enumerate(truth)]


def look(places, served, kind=Kind.LABEL):
    return learn(places, served, challenger=CHALLENGER, kind=kind)


def remembered(places):
    with LabelStore(places.labels) as store:
        return store.summary(str(CHALLENGER))


def test_labels_handed_in_while_an_owner_works_are_taken_and_paired_by_it(tmp_path):
    places, served = serve(tmp_path)
    truth, rows = answers(40)
    work(places, CHALLENGER, rows, part=True)
    with Running(places, served):
        wait_for_owner(places)
        taken = take(places, served, labels(truth))
        again = take(places, served, labels(truth))
        with pytest.raises(LabelsError) as raised:
            take(places, served, [(1, "request-1", "x"), (2, "", 0)])
    assert (taken.accepted, again.accepted, again.duplicate.n) == (40, 0, 40)
    assert [fault["rows"] for fault in raised.value.told()] == [[1], [2]]
    assert remembered(places)["joined"] == 40
    assert not waiting(places.label_sets)


def test_an_owner_that_cannot_have_the_lock_says_so_and_tries_again(tmp_path, caplog, monkeypatch):
    """On a full disk at start the lock's file cannot be made; later there is room."""
    monkeypatch.setattr("shadowserve.labels.owner.PAIR_S", 0.05)
    places, served = serve(tmp_path)
    truth, rows = answers(40)
    work(places, CHALLENGER, rows, part=True)
    places.labels_lock.mkdir()
    with Running(places, served):
        while "cannot be owned" not in caplog.text:
            time.sleep(0.01)
        with pytest.raises(LabelsError, match="cannot be handed in"):
            take(places, served, labels(truth))
        places.labels_lock.rmdir()
        wait_for_owner(places)
        assert take(places, served, labels(truth)).accepted == 40
    assert remembered(places)["joined"] == 40


def test_labels_that_no_inbox_can_hold_are_refused_with_the_reason(tmp_path):
    places, served = serve(tmp_path)
    places.label_sets.write_text("not a directory")
    with pytest.raises(LabelsError, match="cannot be handed in"):
        take(places, served, labels([0]))


def test_an_end_pairs_what_lanes_compared_last(tmp_path):
    places, served = serve(tmp_path)
    truth, rows = answers(40)
    with Running(places, served):
        wait_for_owner(places)
        take(places, served, labels(truth))
        work(places, CHALLENGER, rows, part=True)
    assert remembered(places)["joined"] == 40


def test_a_set_that_a_killed_command_left_is_taken_with_the_next(tmp_path):
    places, served = serve(tmp_path)
    LabelSet.hand_in(places.label_sets, labels([1, 0]))
    taken = take(places, served, labels([1, 0, 1]))
    assert (taken.accepted, taken.duplicate.rows) == (1, [1, 2])


def test_a_set_keeps_what_its_format_knew_of_labels(tmp_path):
    raw = [
        (1, "a", Text("007")), (2, 7, 1.5), (3, None, Faulty("label missing")), (4, b"x", True),
        (5, "b", [1, "x"]), (6, "c", object()), (7, "d", [b"x"]), (8, "e", float("nan")),
    ]  # fmt: skip
    found = list(LabelSet.hand_in(tmp_path / "labels", raw).labels())
    assert found[:5] == [*raw[:3], (4, None, True), raw[4]]
    assert type(found[0][2]) is Text
    assert found[5][2] == Faulty("a label is a number, a text or a list, object came")
    assert found[6][2] == Faulty("a label is a number, a text or a list, bytes came")
    assert found[7][2] != found[7][2]


def test_a_set_that_cannot_be_read_to_its_end_leaves_nothing_behind(tmp_path):
    places, served = serve(tmp_path)

    def broken():
        yield 1, "request-1", 1
        raise LabelsError("a.csv cannot be read")

    with pytest.raises(LabelsError, match=r"a\.csv"):
        take(places, served, broken())
    assert not list(places.label_sets.iterdir())
    assert not places.labels.exists()


def test_looking_writes_nothing_and_says_what_pairing_for_good_says(tmp_path):
    """Labels before and after their requests, twice the same id, an open window, a control's scores."""
    places, served = serve(tmp_path)
    truth, rows = answers(120, better=0.1)
    rows[50]["request_id"] = rows[51]["request_id"] = "twice"
    for n, row in enumerate(rows):
        row |= {"first": n % 7 > 0, "lane_scores": {"0": 0.4, "1": 0.6}}
    control = [dict(row) for row in rows[:90]]
    pieces = [
        lambda: take(places, served, labels(truth[:70])),
        lambda: work(places, CHALLENGER, [dict(row) for row in rows[:40]], part=True),
        lambda: work(places, CONTROL, control, part=False),
        lambda: take(places, served, [(1, "twice", 1), (2, "stranger", 0)]),
        lambda: work(places, CHALLENGER, [dict(row) for row in rows[40:80]], part=True),
        lambda: take(places, served, labels(truth[70:], first=71)),
        lambda: work(places, CHALLENGER, [dict(row) for row in rows[80:]], part=False),
    ]
    for n, piece in enumerate(pieces):
        piece()
        before = digests(places.root)
        looked = look(places, served)
        assert digests(places.root) == before
        if n % 3 == 2:  # now and then the owner pairs for good
            pair_if_nobody_does(places, served, kind_compared)
            assert told(look(places, served)) == told(looked)
    found = look(places, served)
    assert (found.joined, found.ambiguous, found.unknown) == (118, 1, 3)


def told(losses):
    """Everything but how far it has come: ids of answers that are only in memory are not kept."""
    state = losses.state()
    return state | {"marks": None, "far": state["far"]["counts"][:2]}, losses.counts


def test_where_an_owner_works_nobody_else_pairs(tmp_path):
    places, served = serve(tmp_path)
    truth, rows = answers(5)
    work(places, CHALLENGER, rows, part=True)
    take(places, served, labels(truth))
    with owning(places) as is_ours:
        assert is_ours
        pair_if_nobody_does(places, served, kind_compared)
        assert remembered(places) is None
    pair_if_nobody_does(places, served, kind_compared)
    assert remembered(places)["joined"] == 5
