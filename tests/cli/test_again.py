"""`serve` given again while one runs: it asks, and never starts a second one beside it."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from rig import tiny
from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.once import once
from rig.scoring import version
from shadowserve.cli.again import ask_the_running
from shadowserve.errors import ShadowserveError
from shadowserve.settings.options import Options
from shadowserve.settings.settings import Settings
from shadowserve.state import deployment as deployments
from shadowserve.state import homes, joining, presence
from shadowserve.state.places import Places
from shadowserve.supervisor.desk import Desk

isolated: list[str] = []
"""Those that were to join in an environment of their own."""


@pytest.fixture(scope="module")
def store():
    return tiny.at(once("tiny", tiny.registered))


SERVED = Options.from_settings(Settings())


@contextmanager
def serving(tmp_path, served, refuses=None, over=()):
    """A supervisor that holds the directory and does at once what it is asked for."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    deployments.write(places, served)
    presence.tell(places, data=("127.0.0.1", 1), console=("127.0.0.1", 2))
    asked: list[tuple[str, str]] = []
    isolated.clear()

    def answer(visitor, question) -> None:
        if question["ask"] == "list":
            visitor.end(joining=None)
            return
        if question["ask"] == "hand over":
            asked.append((question["ask"], question["deployment"]))
            if over:
                visitor.refuse(over[0], exit_code=3)
            else:
                visitor.end(served="films:3", took_s=1.5, deployment=question["deployment"])
            return
        asked.append((question["ask"], question["pin"]))
        isolated.append(question["pin"]) if question.get("isolate") else None
        if refuses == question["pin"]:
            visitor.refuse("It cannot be compared.", exit_code=3)
        else:
            visitor.end(joined=question["pin"], left=question["pin"])

    ended = threading.Event()
    desk = Desk(places, answer)

    def turn() -> None:
        while not ended.is_set():
            desk.turn()
            time.sleep(0.001)

    held = os.open(places.lock, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()
        desk.close("over")
        os.close(held)


def give(tmp_path, *challengers: str, champion: str = "v3", **changes) -> list[str]:
    said: list[str] = []
    named = {"champion": champion, "challengers": challengers, "model": "films", **changes}
    settings = Settings(state_dir=tmp_path, **named)
    assert ask_the_running(settings, say=said.append)
    return said


def test_where_nothing_runs_nothing_is_asked(tmp_path):
    settings = Settings(champion="v3", challengers=("v4",), state_dir=tmp_path)
    assert not ask_the_running(settings, say=print)


def test_the_same_command_changes_nothing(tmp_path):
    with serving(tmp_path, deployment(options=SERVED)) as asked:
        (said,) = give(tmp_path, "v4")
        assert f"films:3 is served already (process {os.getpid()})" in said
        assert "Nothing has changed" in said
        assert asked == []


def test_others_join_first_and_then_those_leave_that_are_not_named(tmp_path):
    with serving(tmp_path, deployment(options=SERVED)) as asked:
        said = give(tmp_path, "films:5", "6")
        assert asked == [("add", "films:5"), ("add", "films:6"), ("remove", "films:4")]
        assert said[-1].endswith("with films:5, films:6.")


def test_what_joins_by_it_runs_isolated_where_the_command_says_so(tmp_path):
    with serving(tmp_path, deployment(options=SERVED)) as asked:
        give(tmp_path, "v4", "films:5", "v6", isolate=("v5",))
        assert asked == [("add", "films:5"), ("add", "films:6")]
        assert isolated == ["films:5"]


def test_who_joined_isolated_stays_so_whatever_the_command_says(tmp_path):
    at = "2026-01-02T00:00:00+00:00"
    served = joining.joined(deployment(options=SERVED), version(5), path="/5", at=at, isolated=True)
    with serving(tmp_path, served) as asked:
        give(tmp_path, "v4", "v5")
        assert asked == []


def test_the_command_that_began_it_does_not_undo_who_has_joined_since(tmp_path):
    served = deployment(options=SERVED, challengers=(version(4), version(5)), asked=(4,))
    with serving(tmp_path, served) as asked:
        (said,) = give(tmp_path, "v4")
        assert "its challengers are films:4, films:5" in said
        assert asked == []
        give(tmp_path, "v5")
        assert asked == [("remove", "films:4")]


def test_what_cannot_join_is_told_and_nobody_leaves_for_it(tmp_path):
    with serving(tmp_path, deployment(options=SERVED), refuses="films:5") as asked:
        with pytest.raises(ShadowserveError, match="cannot be compared") as raised:
            give(tmp_path, "v5")
        assert raised.value.exit_code == 3
        assert asked == [("add", "films:5")]


def test_one_that_is_being_stopped_does_not_pass_for_one_that_serves(tmp_path):
    with serving(tmp_path, deployment(options=SERVED)):
        Places(tmp_path).desk.unlink()  # closed first of all in a stop
        with pytest.raises(ShadowserveError, match="being stopped") as raised:
            give(tmp_path, "v4")
        assert raised.value.exit_code == 4


def test_another_model_is_nothing_that_takes_over(tmp_path):
    with serving(tmp_path, deployment(options=SERVED)) as asked:
        with pytest.raises(ShadowserveError, match="Another 'shadowserve serve' runs on"):
            give(tmp_path, "v4", champion="other:3")
        assert asked == []


def test_a_tapped_deployment_is_told_to_restart(tmp_path):
    tapped = deployment(options=replace(SERVED, tap=True))
    with serving(tmp_path, tapped) as asked:
        with pytest.raises(ShadowserveError, match="needs a restart here, which no caller notices"):
            give(tmp_path, "v4", tap=True, champion="v5")
        assert asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"champion": "9"},
        {"entity": "note"},
        {"verdict": {"alpha": 0.01}},
        {"control": False},
    ],
)
def test_what_begins_a_new_deployment_is_prepared_and_takes_over(tmp_path, store, changes):
    """The supervisor is told where it lies; what it refuses is cleared away."""
    champion, challenger = changes.get("champion", "1"), "8"
    served = replace(
        deployment(options=SERVED),
        champion=replace(version(1), model="tiny"),
        challengers=(replace(version(8), model="tiny"),),
        salt="secret",
    )
    given = {"tracking_uri": f"sqlite:///{store.path}", "model": "tiny", "entity": None, **changes}
    refuses: list[str] = []
    with serving(tmp_path, served, over=refuses) as asked:
        give(tmp_path, challenger, **{**given, "champion": champion})
        ((what, found),) = asked
        assert what == "hand over"
        home = next(homes.left_behind(tmp_path))
        prepared = deployments.read(home)
        assert prepared.id == found != served.id
        assert prepared.champion.number == int(champion)
        assert prepared.former == ((1,) if champion != "1" else ())
        assert prepared.salt != served.salt
        assert deployments.read(Places(tmp_path)) == served
        homes.discard(home)
        refuses.append("It fails on recorded requests.")
        with pytest.raises(ShadowserveError, match="It fails on recorded requests"):
            give(tmp_path, challenger, **{**given, "champion": champion})
        assert list(homes.left_behind(tmp_path)) == []


def test_a_restart_asks_for_the_present_deployment_again(tmp_path):
    served = deployment(options=SERVED)
    with serving(tmp_path, served) as asked:
        said = give(tmp_path, "v4", restart=True)
        assert asked == [("hand over", served.id)]
        assert said == ["films:3 is served, after 1.5 s."]
