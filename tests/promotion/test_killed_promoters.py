"""A promoter may be killed at any instant: the next one finishes what it had begun, or shows that nothing was changed."""

from __future__ import annotations

import os
import signal
import warnings
from dataclasses import replace

import pytest

from shadowserve.promotion.promoting import Wanted, promote, roll_back
from shadowserve.state.switches import TAG
from shadowserve.versions.calls import Calls
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Registry
from shadowserve.versions.stores import Uris

WRITES = ("register", "set_alias", "tag_version", "unregister")
ANN, BOB = Wanted("champion", "ann@shop"), Wanted("champion", "bob@shop")
AT_CALLS = {
    "before the lock": 0,
    "with the lock": 1,
    "with the alias moved": 2,
    "with one version tagged": 3,
    "with all told": 4,
    "with the lock let go": 5,
}


def killed_at(here, n, what):
    """Do something in a process that is killed before its n-th write to the registry, or at its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking beside threads, which the child does not use
        pid = os.fork()
    if pid == 0:
        try:
            _count_down(n)
            # Connections of its own: those of the parent must not be used in two processes.
            uri = f"{here.uri}?timeout=30"
            what(Registry(Uris(uri, uri)))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def _count_down(n):
    left = [n]

    def counted(real):
        def call(*arguments, **options):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*arguments, **options)

        return call

    for name in WRITES:
        setattr(Calls, name, counted(getattr(Calls, name)))


@pytest.mark.parametrize("n", AT_CALLS.values(), ids=AT_CALLS)
def test_a_killed_promotion_is_finished_or_had_changed_nothing(here, n):
    pin = Pin("films", 4)
    killed_at(here, n, lambda registry: promote(registry, pin, here.places, ANN))
    moved = n >= 2
    assert here.champion() == (4 if moved else 3)
    said = []
    done = promote(here.registry, pin, here.places, BOB, say=said.append)
    assert (done.stands_for, here.champion()) == (4, 4)
    assert (done.switch is None) == moved
    assert any("Finishing" in line for line in said) == (2 <= n < 5)
    assert any("Undone" in line for line in said) == (n == 1)
    by = "ann@shop" if moved else "bob@shop"
    assert [here.tags(number)[f"{TAG}.by"] for number in (3, 4)] == [by, by]
    assert [here.tags(number)[TAG] for number in (3, 4)] == ["replaced", "promoted"]
    assert here.names() == ["films"]


@pytest.mark.parametrize("n", [1, 2, 3], ids=["with the lock", "moved", "half told"])
def test_a_killed_rollback_is_finished_or_had_changed_nothing(here, n):
    promote(here.registry, Pin("films", 4), here.places, ANN)
    killed_at(here, n, lambda registry: roll_back(registry, "films", here.places, ANN))
    assert here.champion() == (3 if n >= 2 else 4)
    said = []
    if n >= 2:
        with pytest.raises(Exception, match="since ann@shop rolled back from v4"):
            roll_back(here.registry, "films", here.places, BOB, say=said.append)
        assert any("Finishing" in line for line in said)
    else:
        roll_back(here.registry, "films", here.places, BOB, say=said.append)
    assert here.champion() == 3
    assert [here.tags(number)[TAG] for number in (3, 4)] == ["restored", "rolled back"]
    assert here.names() == ["films"]


def test_who_promotes_another_version_is_told_that_the_dead_one_had_moved_the_alias(here):
    killed_at(here, 2, lambda registry: promote(registry, Pin("films", 4), here.places, ANN))
    said = []
    done = promote(here.registry, Pin("films", 5), here.places, BOB, say=said.append)
    assert done.switch is None
    assert [one.code for one in done.objections] == ["pair"]
    assert any("Finishing      the move of v4" in line for line in said)
    assert here.tags(4)[TAG] == "promoted"
    forced = promote(here.registry, Pin("films", 5), here.places, replace(BOB, force="so"))
    assert (forced.switch.former, here.champion()) == (4, 5)
