"""One answer that cannot be compared, remembered or written costs its own request, and no other."""

from __future__ import annotations

import pytest

from rig.deployment import CHALLENGER, made
from rig.lane import answer, close, lane, parts, records, told, work
from rig.scoring import double, opaque
from shadowserve.comparison.comparing import Comparer
from shadowserve.comparison.learned import Learned
from shadowserve.lane import salvage
from shadowserve.state.lane_reading import snapshot


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


ODD = {
    "a lone surrogate": "\ud800",
    "surrogates as a key": {"\udfff": 1},
    "surrogates deep down": [{"a": ["x\ud800y", 2**70]}],
    "a whole number beyond 64 bits": 2**70,
    "a very long number": 10**400,
    "nested deeply": nested(230),
    "nested more deeply than can be compared": nested(300),
    "an empty list": [],
    "null": None,
    "a huge text": "x" * 10**6,
    "control characters": "\x00\x1b[2J\u202e",
}


def odd(value):
    def predict(frame, _params):
        return [value if age == 7 else 2 * age for age in frame["age"].tolist()]

    return opaque(predict)


@pytest.mark.parametrize("name", ODD)
def test_whatever_a_champion_answers_a_lane_goes_on(tmp_path, name):
    """Its request has one outcome, and so has every neighbour; the parts can be written."""
    places = made(tmp_path, CHALLENGER)
    answer(places, records(20), champion=odd(ODD[name]))
    work(places, odd(ODD[name]))
    found = told(places)
    assert found.pop("both_ok") >= 19
    assert found in ({}, {"challenger_error": 1}, {"champion_error": 1}, {"both_error": 1})
    assert len(parts(places)) == 20


def test_a_lone_surrogate_is_compared_as_the_text_it_is(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answer(places, records(20), champion=odd("\ud800"))
    work(places, odd("\ud801"))
    assert told(places) == {"both_ok": 20}
    learned = Learned.from_state(snapshot(places.lane(CHALLENGER.role, 4).state).summaries)
    assert learned.outputs.first_differing == 8
    assert learned.outputs.disagreement.n == 20


@pytest.mark.parametrize("broken", [b"", b"[", b"{}", b"\xff", b'{"predictions": [1,}'])
def test_a_champions_answer_that_cannot_be_read_is_its_own_error(tmp_path, broken):
    places = made(tmp_path, CHALLENGER)
    answer(places, records(3))
    answer(places, records(1), worker=1, answer=broken)
    work(places)
    assert told(places) == {"both_ok": 3, "champion_error": 1}


@pytest.mark.parametrize("where", ["compare", "add", "state"])
def test_what_fails_for_one_request_is_recorded_as_its_failure(
    tmp_path, monkeypatch, caplog, where
):
    """Also where comparing, remembering or encoding fails for a reason that nobody thought of."""
    places = made(tmp_path, CHALLENGER)
    answer(places, records(12))
    it = lane(places, opaque(double))
    it.take_up()
    owner = {"compare": Comparer, "add": Learned, "state": Learned}[where]
    right = getattr(owner, where)
    poison = {"n": False}

    def fails(self, *args, **kwargs):
        scorings = args[0] if where == "compare" else kwargs.get("scorings", ())
        if any(o.request.position == 5 and o.observation.fault is None for o in scorings):
            poison["n"] = True
            if where != "state":
                raise ZeroDivisionError("s3cret-value")
        if where == "state" and poison.pop("n", False):
            raise ZeroDivisionError("s3cret-value")
        return right(self, *args, **kwargs)

    if where == "state":
        before = Learned.add

        def add(self, *args, **kwargs):
            scorings = kwargs["scorings"]
            if any(o.request.position == 5 and o.observation.fault is None for o in scorings):
                poison["n"] = True
            return before(self, *args, **kwargs)

        monkeypatch.setattr(Learned, "add", add)
    monkeypatch.setattr(owner, where, fails)
    it.turn()
    it.flush()
    it.commits.window.close()
    close(it)
    assert told(places) == {"both_ok": 11, "challenger_error": 1}
    rows = parts(places)
    assert rows.loc[rows["position"] == 5, "error"].tolist() == ["ZeroDivisionError"]
    learned = Learned.from_state(snapshot(places.lane(CHALLENGER.role, 4).state).summaries)
    assert learned.requests == 12
    assert learned.outputs.disagreement.n == 11
    assert "s3cret" not in caplog.text
    assert "position" not in caplog.text
    assert "cannot be compared: ZeroDivisionError" in caplog.text


def test_a_file_that_cannot_be_read_is_no_requests_fault(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answer(places, records(2))
    it = lane(places, opaque(double))
    it.take_up()

    class Away:
        def learn(self, *_):
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        salvage.learn(Away(), (), ())
    close(it)
