"""Old requests asked again: a changed version is told from other traffic."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import numpy as np
import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.journal import request
from rig.judging import policy
from rig.lane import answer, close, lane, records
from rig.scoring import double, opaque
from shadowserve.comparison.replayed import Replayed, Seen, Trial, outcome
from shadowserve.judgement.facts import gather
from shadowserve.judgement.findings import Severity, look
from shadowserve.lane import run
from shadowserve.lane.kept import MOST, MOST_BYTES, KeptRequests, read_kept
from shadowserve.schema.disclosure import Disclosure
from shadowserve.statistics.changepoint import Change

ALPHA = 0.01 / 15
CHANGE = Change(1_200, 1_200, 0.0, 0.9, 20.0, 1)


@pytest.fixture(autouse=True)
def _read_as_traffic_comes(monkeypatch):
    """On a busy machine these lanes fall behind, read ahead, and come to their old requests later."""
    monkeypatch.setattr(run, "READ_AHEAD", run.READ_REQUESTS)


def trial(n, *, alone, looks=3, number=1):
    pool = list(range(1, n + 1))
    seen = {p: Seen(alone=p <= alone, other=False, look=1 + p % looks) for p in pool}
    return Trial(number, CHANGE, 0, pool, seen, looks)


def steady(n):
    return {p: Seen(alone=False, other=False) for p in range(1, n + 1)}


def proven(one, theirs):
    return one.is_proven(one.weigh(theirs), alpha=ALPHA)


def test_old_requests_that_only_the_challenger_answers_otherwise_are_proof():
    assert proven(trial(48, alone=40), steady(48))
    assert not proven(trial(48, alone=0), steady(48))


def test_what_the_champions_version_answers_otherwise_too_is_no_proof():
    theirs = {p: Seen(alone=p <= 40, other=False) for p in range(1, 49)}
    assert not proven(trial(48, alone=40), theirs)


def test_what_the_control_has_not_answered_yet_does_not_count():
    assert trial(48, alone=40).weigh(steady(8)).replayed == 8
    assert not proven(trial(48, alone=40), steady(8))
    assert proven(trial(48, alone=40), None)


def test_answers_of_which_any_of_three_stands_alone_by_chance_are_no_proof():
    pool = list(range(1, 97))
    seen = {p: Seen(alone=p % 3 == 0, other=p % 3 != 0, look=1 + p % 3) for p in pool}
    assert not proven(Trial(1, CHANGE, 0, pool, seen, 3), steady(96))


def test_a_change_of_far_fewer_old_requests_than_of_new_ones_is_no_proof():
    assert not proven(trial(256, alone=40), steady(256))


def test_all_in_one_look_are_no_proof():
    assert not proven(trial(16, alone=16, looks=1), steady(16))


def test_each_time_the_screen_speaks_more_is_needed():
    assert proven(trial(48, alone=30, number=1), steady(48))
    assert not proven(trial(48, alone=30, number=40_000), steady(48))


def test_what_is_known_of_replays_goes_on_after_a_restart():
    known = Replayed()
    known.tries, known.trial = 2, trial(48, alone=40, number=2)
    known.traffic = outcome(known.trial, known.trial.weigh(None))
    known.answered(4, steady(3))
    again = Replayed.from_state(json.loads(json.dumps(known.state())))
    assert again.trial == known.trial
    assert again.traffic == known.traffic
    assert again.answers == known.answers
    assert Replayed.from_state({}).trial is None


def test_old_requests_are_bounded_evenly_spread_and_for_the_owner_alone(tmp_path):
    kept = KeptRequests(tmp_path / "kept.db")
    for n in range(1, 10_001):
        kept.keep(request(n, body=b"%d" % n, arrived_wall_ns=n), b"own")
    places = kept.before(10**18)
    assert MOST / 3 <= len(places) <= MOST
    assert np.abs(np.quantile(places, [0.25, 0.5, 0.75]) - [2_500, 5_000, 7_500]).max() < 600
    assert stat.S_IMODE((tmp_path / "kept.db").stat().st_mode) == 0o600
    kept.keep(request(20_000, body=b"x" * (MOST_BYTES + 1)), b"own")
    assert 20_000 not in kept.before(10**18)
    kept.close()
    (one,) = read_kept(tmp_path / "kept.db", places[:1])
    assert (one.request.body, one.lane_answer) == (b"%d" % places[0], b"own")


def test_a_request_that_was_begun_in_a_trial_is_not_begun_again(tmp_path):
    kept = KeptRequests(tmp_path / "kept.db")
    kept.keep(request(1), b"own")
    assert kept.begin(1, 1)
    again = KeptRequests(tmp_path / "kept.db")  # the process died of it
    assert not again.begin(1, 1)
    assert again.begin(1, 2)


def interleaved(root, challenger, champion, *, n, disclosure=None):
    """Let both lanes work in turn, as they do beside each other; return what is known then."""
    places = made(root, CHALLENGER, CONTROL)
    answer(places, records(n), champion=champion)
    given = {} if disclosure is None else {"disclosure": disclosure}
    lanes = [
        lane(places, version, name=name, rescore=True, **given)
        for name, version in ((CHALLENGER, challenger), (CONTROL, champion))
    ]
    for one in lanes:
        one.take_up()
    while [one.turn() for one in lanes] != [False, False]:
        for one in lanes:
            one.flush()
    for one in lanes:
        one.flush()
        close(one)
    return gather(places, deployment(), challenger=4), places


def changing(at, share=1.0, world=None):
    """A version whose answers to the ages of one residue, or all, change at a call."""

    def score(frame, params):
        score.calls += 1
        changed = score.calls >= at and (world is None or world())
        off = changed & (frame["age"].to_numpy() % 10 < 10 * share)
        return np.where(off, -1.0, double(frame, params))

    score.calls = 0
    return score


def change_of(known):
    return {one.kind: one for one in look(known, policy())}.get("change_point")


def test_a_version_that_changed_is_told_from_old_requests(tmp_path):
    version = opaque(changing(at=460), batched=False)
    known, places = interleaved(tmp_path, version, opaque(double, number=3), n=1_200)
    one = change_of(known)
    assert one.severity is Severity.WARNING
    assert "requests of before that were scored again it answers" in one.message
    assert stat.S_IMODE(places.lane(CHALLENGER.role, 4).kept.stat().st_mode) == 0o600


def test_other_traffic_is_told_from_a_changed_version(tmp_path):
    """From request 400 on only such requests come as the versions always disagreed on."""

    def differs(frame, params):
        return np.where(frame["age"].to_numpy() > 400, -1.0, double(frame, params))

    version = opaque(differs, batched=False)
    known, _ = interleaved(tmp_path, version, opaque(double, number=3), n=1_200)
    one = change_of(known)
    assert one.severity is Severity.NOTE
    assert "The traffic changed" in one.message
    assert "request 40" in one.message


def test_where_columns_are_hidden_no_request_is_kept_and_a_change_is_a_note(tmp_path):
    version = opaque(changing(at=300), batched=False)
    disclosure = Disclosure(b"salt", dropped=("title",))
    known, places = interleaved(
        tmp_path, version, opaque(double, number=3), n=800, disclosure=disclosure
    )
    assert not places.lane(CHALLENGER.role, 4).kept.exists()
    options = replace(known.deployment.options, drop_inputs=("title",))
    known = replace(known, deployment=replace(known.deployment, options=options))
    one = change_of(known)
    assert one.severity is Severity.NOTE
    assert "No old requests are kept" in one.message
