"""What the team accepted is remembered whole: through races, kills, hostile words and other deployments."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from rig.deployment import deployment, made
from shadowserve.errors import DamagedError, SettingsError, UnreadableError
from shadowserve.host.instant import Instant
from shadowserve.state import acceptances
from shadowserve.state import deployment as deployments
from shadowserve.state.acceptances import Acceptance
from shadowserve.state.places import Places

ID = "films-1"
WHERE = {
    "role": "challenger", "step": "phrases", "columns": ["description"],
    "slice": None, "items": [], "output": None,
}  # fmt: skip
RACE = """
import sys
from pathlib import Path
from shadowserve.state import acceptances
from shadowserve.state.acceptances import Acceptance
from shadowserve.state.places import Places
for n in range(20):
    acceptances.add(Places(Path(sys.argv[1])), "films-1", Acceptance(
        4, f"{sys.argv[2]}{n:07x}", "latency", "warning", {}, None, None, "because", "ann"))
"""


def said(finding="0000aaaa", **changes) -> Acceptance:
    fields = {
        "challenger": 4, "finding": finding, "kind": "slow_feature", "severity": "critical",
        "where": WHERE, "measure": "exponent", "value": 1.8, "reason": "Bounded.", "by": "ann@shop",
    }  # fmt: skip
    return Acceptance(**{**fields, **changes})


@pytest.fixture
def places(tmp_path) -> Places:
    return made(tmp_path / "state")


def standing(places: Places, challenger: int = 4) -> dict[str, Acceptance]:
    return acceptances.standing(acceptances.read(places, ID), challenger)


def test_what_was_said_is_read_as_it_was_said(places):
    assert acceptances.read(places, ID) == ()
    event = said(lasts_s=1_209_600.0)
    acceptances.add(places, ID, event)
    assert acceptances.read(places, ID) == (event,)
    assert places.accepted.stat().st_mode & 0o777 == 0o600


def test_the_last_word_on_a_finding_counts_and_every_word_is_remembered(places):
    first, second = said(value=1.0), said(value=2.0, by="bob@shop")
    back = said(withdrawn=True, reason="")
    for event in (first, second):
        acceptances.add(places, ID, event)
    assert standing(places) == {"0000aaaa": second}
    acceptances.add(places, ID, back)
    assert standing(places) == {}
    assert acceptances.read(places, ID) == (first, second, back)


def test_each_challenger_has_its_own(places):
    acceptances.add(places, ID, said())
    assert standing(places, 5) == {}


def test_what_was_accepted_of_another_deployment_is_not_taken_over(places):
    acceptances.add(places, "another", said())
    assert acceptances.read(places, ID) == ()
    acceptances.add(places, ID, said("0000bbbb"))
    assert list(standing(places)) == ["0000bbbb"]


def test_it_goes_to_the_archive_with_its_deployment(places):
    served = deployment()
    deployments.write(places, served)
    acceptances.add(places, served.id, said())
    shelf = Places(deployments.archive(places, served))
    assert acceptances.read(places, served.id) == ()
    assert len(acceptances.read(shelf, served.id)) == 1


def test_of_accepts_at_the_same_time_none_is_lost(places):
    racing = [
        subprocess.Popen([sys.executable, "-c", RACE, str(places.root), letter])
        for letter in "abcd"
    ]
    assert [one.wait(timeout=120) for one in racing] == [0, 0, 0, 0]
    assert len(standing(places)) == 80


def test_two_who_accept_one_finding_at_the_same_time_are_both_remembered(places):
    racing = [
        subprocess.Popen([sys.executable, "-c", RACE, str(places.root), "a"]) for _ in range(2)
    ]
    assert [one.wait(timeout=120) for one in racing] == [0, 0]
    assert len(standing(places)) == 20
    assert len(acceptances.read(places, ID)) == 40


def test_who_is_killed_leaves_the_file_whole_and_the_lock_free(places):
    acceptances.add(places, ID, said())
    racing = multiprocessing.get_context("fork").Process(target=_for_ever, args=(places,))
    racing.start()
    deadline = time.monotonic() + 60
    while len(standing(places)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(racing.pid or 0, signal.SIGKILL)
    racing.join(60)
    before = len(acceptances.read(places, ID))
    assert before >= 5
    acceptances.add(places, ID, said("ffffffff"))
    assert len(acceptances.read(places, ID)) == before + 1


def _for_ever(places: Places) -> None:
    for n in range(100_000):
        acceptances.add(places, ID, said(f"{n % 50:08x}"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"events": 3, "deployment": "films-1"}',
        '{"deployment": "films-1", "events": [{}]}',
    ],
)
def test_a_damaged_file_is_told_and_never_passes_for_an_empty_one(places, text):
    places.accepted.write_text(text)
    with pytest.raises(DamagedError):
        acceptances.read(places, ID)
    with pytest.raises(DamagedError):
        acceptances.add(places, ID, said())
    assert places.accepted.read_text() == text


def test_a_file_that_cannot_be_read_is_told(places):
    places.accepted.mkdir()
    with pytest.raises(UnreadableError):
        acceptances.read(places, ID)


def test_what_a_later_release_adds_is_left_out(places):
    acceptances.add(places, ID, said())
    told = json.loads(places.accepted.read_text())
    told["events"][0]["mood"] = told["mood"] = "good"
    places.accepted.write_text(json.dumps(told))
    assert list(standing(places)) == ["0000aaaa"]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31mred\x07\x00", "\\x1b[31mred\\x07\\x00"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("lone \ud800 surrogate", "lone \\ud800 surrogate"),
        ("x" * acceptances.LONGEST_REASON, "x" * acceptances.LONGEST_REASON),
        ("\x1b" * acceptances.LONGEST_REASON, "\\x1b" * acceptances.LONGEST_REASON),
    ],
)
def test_a_reason_is_kept_as_text_in_which_nothing_acts(places, reason, kept):
    assert acceptances.checked(reason) == kept
    acceptances.add(places, ID, said(reason=acceptances.checked(reason)))
    assert standing(places)["0000aaaa"].reason == kept


@pytest.mark.parametrize(
    "reason", ["", " \n\t", "x" * (acceptances.LONGEST_REASON + 1), "y" * 10_240]
)
def test_a_reason_that_says_nothing_or_far_too_much_is_refused(reason):
    with pytest.raises(SettingsError, match=r"is empty|are the most"):
        acceptances.checked(reason)


def test_what_counts_no_more_goes_first_and_nothing_that_counts_goes(places, monkeypatch):
    monkeypatch.setattr(acceptances, "KEPT", 5)
    acceptances.add(places, ID, said("0000aaaa"))
    for value in range(9):
        acceptances.add(places, ID, said("0000bbbb", value=float(value)))
    assert len(acceptances.read(places, ID)) == 5
    assert {one.value for one in standing(places).values()} == {1.8, 8.0}


def test_more_than_anybody_looks_at_is_not_accepted_but_may_be_withdrawn(places, monkeypatch):
    monkeypatch.setattr(acceptances, "MOST_STANDING", 2)
    for finding in ("0000aaaa", "0000bbbb"):
        acceptances.add(places, ID, said(finding))
    with pytest.raises(SettingsError, match="Withdraw some"):
        acceptances.add(places, ID, said("0000cccc"))
    acceptances.add(places, ID, said("0000aaaa", value=2.0))
    acceptances.add(places, ID, said("0000aaaa", withdrawn=True))
    acceptances.add(places, ID, said("0000cccc"))
    assert set(standing(places)) == {"0000bbbb", "0000cccc"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs other users")
def test_another_users_directory_gets_no_file_that_its_processes_could_not_read(places):
    os.chown(places.root, 54_321, -1)
    with pytest.raises(SettingsError, match="another user"):
        acceptances.add(places, ID, said())
    assert not places.accepted.exists()


def test_a_planted_lock_that_leads_elsewhere_is_not_followed(places, tmp_path):
    places.accepted_lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        acceptances.add(places, ID, said())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("lasts_s", [1e12, float("inf"), float("nan")])
def test_an_end_that_nobody_lives_to_see_is_refused(lasts_s):
    with pytest.raises(SettingsError, match="ten years"):
        acceptances.limited(lasts_s)


def test_an_acceptance_without_an_end_is_never_over():
    assert not said().is_over(Instant(9e9))
    assert said(at=Instant(0.0), lasts_s=60.0).is_over(Instant(61.0))
