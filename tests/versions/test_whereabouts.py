"""Whether a process is gone is said only where that can be seen."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from shadowserve.versions import whereabouts
from shadowserve.versions.whereabouts import Whereabouts

OWN = Whereabouts.own()


def ended() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_process_that_runs_is_not_gone_and_one_that_has_ended_is():
    assert OWN.is_gone is False
    assert replace(OWN, pid=ended()).is_gone is True


def test_another_process_of_the_same_id_is_not_the_one_that_was_meant():
    assert replace(OWN, began="1").is_gone is True


@pytest.mark.parametrize("change", [{"place": "another start"}, {"place": ""}, {"pid": 0}])
def test_of_another_machine_nothing_can_be_said(change):
    assert replace(OWN, **change).is_gone is None


def test_a_process_that_the_system_hides_from_this_user_may_run_all_the_same(monkeypatch, tmp_path):
    # As with hidepid: no directory of its own, and signals tell that somebody has the id.
    monkeypatch.setattr(whereabouts, "_PROC", tmp_path)
    assert OWN.is_gone is None
    assert replace(OWN, pid=ended()).is_gone is True


def test_an_id_that_no_process_can_have_is_gone():
    assert replace(OWN, pid=10**30).is_gone is True


def test_what_was_told_is_read_as_it_was_and_what_is_missing_stays_unknown():
    assert Whereabouts.of(OWN.to_dict()) == OWN
    assert Whereabouts.of({}).is_gone is None
