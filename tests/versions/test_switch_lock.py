"""One of two promoters holds the lock; what a dead one left is taken over by one, and by nobody else's word."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import warnings
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from rig.registry import make_store
from shadowserve.versions import switch_lock
from shadowserve.versions.calls import Calls
from shadowserve.versions.stores import Uris
from shadowserve.versions.switch_lock import HeldError, SwitchLock
from shadowserve.versions.whereabouts import Whereabouts

NAME = "films-shadowserve-switching"
DIES = """
import os, sys
from shadowserve.versions.calls import Calls
from shadowserve.versions.stores import Uris
from shadowserve.versions.switch_lock import SwitchLock
uri = sys.argv[1]
with SwitchLock(Calls(Uris(uri, uri)), "films").held(by="ann@shop", intent="v4"):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on first use
        return make_store(tmp_path_factory.mktemp("registry")).uris.tracking


@pytest.fixture
def calls(uri):
    """A registry without a lock in it."""
    calls = Calls(Uris(uri, uri))
    for name in calls.registered():
        if name.startswith(NAME):
            calls.unregister(name)
    return calls


def lock_of(calls):
    return SwitchLock(calls, "films")


def die(uri):
    """Let a promoter die that holds the lock."""
    ended = subprocess.run([sys.executable, "-c", DIES, uri], capture_output=True, check=False)
    assert ended.returncode == -9, ended.stderr


def left_elsewhere(calls, monkeypatch, *, age_s=0.0, by="bob@far"):
    """Leave a lock as a process of another machine would; return its token."""
    real = Whereabouts.own()
    with monkeypatch.context() as there:
        there.setattr(Whereabouts, "own", lambda: replace(real, host="far", place="another start"))
        there.setattr(SwitchLock, "_let_go", lambda *_: None)
        if age_s:
            now = switch_lock.time.time()
            there.setattr(switch_lock.time, "time", lambda: now - age_s)
        with lock_of(calls).held(by=by, intent="v5") as held:
            return held.own.token


def test_the_lock_is_a_registered_model_while_it_is_held_and_no_model_to_anybody(calls):
    with lock_of(calls).held(by="ann@shop", intent="v4") as held:
        held.check()
        assert calls.registered() == ["films", NAME]
        assert calls.models() == ["films"]
    assert calls.registered() == ["films"]


def test_whoever_comes_second_is_told_who_holds_it(calls):
    said = []
    with (
        lock_of(calls).held(by="ann@shop", intent="v4"),
        pytest.raises(HeldError, match=r"ann@shop has been moving an alias.*It runs"),
        lock_of(calls).held(by="bob@shop", intent="v5", wait_s=0.3, say=said.append),
    ):
        raise AssertionError
    assert said == ["Waiting        for ann@shop, who is moving an alias just now"]
    assert calls.registered() == ["films"]


def test_whoever_waits_gets_it_once_it_is_let_go(calls):
    got = threading.Event()

    def wait():
        with lock_of(Calls(calls.uris)).held(by="bob@shop", intent="v5"):
            got.set()

    with lock_of(calls).held(by="ann@shop", intent="v4"):
        second = threading.Thread(target=wait)
        second.start()
        assert not got.wait(0.5)
    second.join(20)
    assert got.is_set()
    assert calls.registered() == ["films"]


def test_what_a_killed_promoter_left_is_taken_over_with_what_it_had_begun(uri, calls):
    die(uri)
    assert calls.registered() == ["films", NAME]
    assert lock_of(calls).is_left()
    with lock_of(calls).held(by="bob@shop", intent="v5") as held:
        assert [(one.by, one.intent) for one in held.left] == [("ann@shop", "v4")]
        held.check()
    assert calls.registered() == ["films"]


def test_one_that_took_over_and_died_is_succeeded_too(uri, calls):
    die(uri)
    die(uri)
    assert len(lock_of(calls).chain()) == 2
    with lock_of(calls).held(by="bob@shop", intent="v5") as held:
        assert [one.by for one in held.left] == ["ann@shop", "ann@shop"]
    assert calls.registered() == ["films"]


def test_of_many_who_take_over_at_once_one_holds_it_at_a_time(uri, calls):
    die(uri)
    inside, most, errors = [], [], []
    ready = threading.Barrier(4)

    def take(n):
        own = lock_of(Calls(calls.uris))
        ready.wait()
        try:
            with own.held(by=f"{n}@shop", intent="", wait_s=60) as held:
                inside.append(n)
                most.append(len(inside))
                held.check()
                inside.remove(n)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(90)
    assert (errors, most) == ([], [1, 1, 1, 1])
    assert calls.registered() == ["films"]


def test_a_lock_from_elsewhere_is_nobodys_to_take_without_a_word(calls, monkeypatch):
    token = left_elsewhere(calls, monkeypatch, age_s=3600)
    assert not lock_of(calls).is_left()
    with (
        pytest.raises(HeldError, match=f"cannot be seen from here.*--break-lock {token}"),
        lock_of(calls).held(by="ann@shop", intent="v4", wait_s=0),
    ):
        raise AssertionError


def test_it_is_broken_on_a_word_that_names_it_once_it_is_old_enough(calls, monkeypatch):
    token = left_elsewhere(calls, monkeypatch, age_s=3600)
    for wrong in ("f" * 16, "", token[:8]):
        assert not lock_of(calls).is_left(wrong)
    with lock_of(calls).held(by="ann@shop", intent="v4", broken=token) as held:
        assert [one.by for one in held.left] == ["bob@far"]
    assert calls.registered() == ["films"]


def test_a_young_one_is_not_broken_since_its_holder_may_still_write(calls, monkeypatch):
    token = left_elsewhere(calls, monkeypatch)
    assert not lock_of(calls).is_left(token)


def test_one_whose_holder_is_seen_to_run_is_never_broken(calls, monkeypatch):
    with lock_of(calls).held(by="ann@shop", intent="v4") as held:
        now = switch_lock.time.time()
        monkeypatch.setattr(switch_lock.time, "time", lambda: now + 86_400)
        assert not lock_of(calls).is_left(held.own.token)


def test_a_holder_whose_lock_was_broken_changes_nothing(calls, monkeypatch):
    with lock_of(calls).held(by="ann@shop", intent="v4") as asleep:
        gone = replace(asleep.own.where, began="long ago")
        tags = {f"shadowserve.switching.{k}": v for k, v in gone.to_dict().items()}
        for name, value in tags.items():
            calls.client.set_registered_model_tag(NAME, name, value)
        with lock_of(calls).held(by="bob@shop", intent="v5") as second:
            second.check()
            with pytest.raises(HeldError, match="Somebody broke the lock"):
                asleep.check()
    assert calls.registered() == ["films"]


def test_a_holder_that_took_too_long_changes_nothing_though_nobody_broke_its_lock(calls):
    with lock_of(calls).held(by="ann@shop", intent="v4") as held:
        held._until = 0.0
        with pytest.raises(HeldError, match="longer than 60 s"):
            held.check()


def test_a_link_to_a_lock_that_was_let_go_holds_nothing(calls, uri):
    die(uri)
    (dead,) = lock_of(calls).chain()
    calls.register(f"{NAME}-{dead.token}", tags={"shadowserve.switching.token": "e" * 16}, said="")
    calls.unregister(NAME)
    assert lock_of(calls).chain() == []
    with lock_of(calls).held(by="bob@shop", intent="v5") as held:
        assert held.left == ()
        assert calls.registered() == ["films", NAME]  # what led nowhere is swept away


def test_a_model_of_the_locks_name_that_somebody_made_is_told_of_and_left(calls):
    calls.client.create_registered_model(NAME)
    with (
        pytest.raises(HeldError, match="somebody has been moving an alias"),
        lock_of(calls).held(by="ann@shop", intent="v4", wait_s=0),
    ):
        raise AssertionError
    assert NAME in calls.registered()


def test_a_registry_that_takes_no_writes_is_told_in_a_line(uri, tmp_path, calls):
    source = uri.removeprefix("sqlite:///")
    copy = tmp_path / "mlflow.db"
    shutil.copyfile(source, copy)
    read_only = f"sqlite:///file:{copy}?mode=ro&uri=true"
    bare = Calls(Uris(f"sqlite:///{copy}", f"sqlite:///{copy}"))
    bare.client = MlflowClient(read_only, read_only)
    with (
        pytest.raises(Exception, match="does not let this user do that") as told,
        lock_of(bare).held(by="ann@shop", intent="v4"),
    ):
        raise AssertionError
    assert len(str(told.value).splitlines()) == 1
