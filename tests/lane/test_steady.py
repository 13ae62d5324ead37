"""Recorded requests give the same record however often the lane that scores them is ended, and live ones the same."""

from __future__ import annotations

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.equality import CASES, TIMES, likeness
from rig.lane import answer, close, in_a_child, lane, parts, told, work
from rig.rescored import fed, journaled, killed_at, scored
from shadowserve.lane.run import Lane
from shadowserve.lane.steady import BLOCK, CALL_ROWS, Steady
from shadowserve.state import deployment as deployments
from shadowserve.state import fed as source
from shadowserve.state.places import Places

N = 3_000
OF_TIMES = (*TIMES, "alone", "inclusion", "champion_ms", "champion_steps_ms", "response_ms")


@pytest.fixture(scope="module")
def case():
    return CASES["dense ridge"](N)


@pytest.fixture(scope="module")
def live(tmp_path_factory, case) -> Places:
    """What callers asked, scored by an ordinary lane as it came."""
    places = made(tmp_path_factory.mktemp("live"), CHALLENGER, CONTROL)
    deployments.write(places, deployment())
    answer(places, case.sent, champion=case.champion, segment_bytes=2**20)
    work(places, case.challenger)
    return places


@pytest.fixture(scope="module")
def whole(tmp_path_factory, case, live) -> Places:
    """The same requests, rescored by a lane that nobody ended."""
    return scored(fed(tmp_path_factory.mktemp("whole"), journaled(live)), case.challenger)


def bytes_of(places: Places) -> dict[str, bytes]:
    found = places.lane(CHALLENGER.role, CHALLENGER.version).parts.glob("*.parquet")
    return {path.name: path.read_bytes() for path in found}


def test_live_and_rescored_comparisons_of_the_same_requests_are_equal(live, whole):
    columns = [name for name in parts(live) if name not in OF_TIMES]
    one, other = (
        parts(places)[columns].sort_values("position", ignore_index=True)
        for places in (live, whole)
    )
    seen = likeness(other, one)
    assert (seen.unlike, seen.rows) == ((), N)
    assert told(whole) == {"both_ok": N}


def test_a_lane_ended_thrice_leaves_the_same_bytes(tmp_path, case, live, whole):
    places = fed(tmp_path, journaled(live))
    for after in (BLOCK, 2 * BLOCK + 1, 2_500):
        assert in_a_child(lambda after=after: killed_at(places, case.challenger, after=after)) == 0
    scored(places, case.challenger)
    assert bytes_of(places) == bytes_of(whole)
    assert len(bytes_of(whole)) == 3


def test_a_kill_between_a_commit_and_the_end_of_its_window_changes_nothing(
    tmp_path, case, live, whole, monkeypatch
):
    places = fed(tmp_path, journaled(live))

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Lane, "_close_if_full", die)
        with pytest.raises(SystemExit):
            in_one(places, case)
    scored(places, case.challenger)
    assert bytes_of(places) == bytes_of(whole)


def in_one(places: Places, case) -> None:
    """Score until the first window is full."""
    one = lane(places, case.challenger, steady=True)
    try:
        one.commits.take_up()
        while one.turn():
            pass
    finally:
        close(one)


def test_a_lane_with_scorers_leaves_the_same_bytes(tmp_path, case, live, whole):
    places = scored(fed(tmp_path, journaled(live)), case.challenger, scorers=1)
    assert bytes_of(places) == bytes_of(whole)


def test_a_lane_that_is_asked_to_end_cuts_nothing(tmp_path, case, live, whole):
    places = fed(tmp_path, journaled(live))
    work(places, case.challenger, steady=True, upto=700)
    scored(places, case.challenger)
    assert bytes_of(places) == bytes_of(whole)


def test_only_whole_blocks_are_read_until_the_end_is_known(tmp_path):
    places = made(tmp_path, CHALLENGER)
    answer(places, [{"age": 1.0, "title": "red"}] * (BLOCK + 3))
    steady = Steady(places, tmp_path / "call_rows", deadline_s=10.0)
    assert steady.bound() == {0: BLOCK}
    source.tell(places, requests=BLOCK + 3)
    assert steady.bound() == {0: BLOCK + 3}
    assert steady.is_over({0: BLOCK + 3})
    assert not steady.is_over({0: BLOCK})


def test_calls_stay_far_below_the_deadline_and_do_not_change(tmp_path):
    quick, slow = (
        Steady(Places(tmp_path), tmp_path / name, deadline_s=10.0) for name in ("quick", "slow")
    )
    quick.settle(0.1)
    slow.settle(100.0)
    assert (quick.call_rows, slow.call_rows) == (CALL_ROWS, 16)
    slow.shrink()
    assert Steady(Places(tmp_path), tmp_path / "slow", deadline_s=10.0).call_rows == 4
