"""One report for all who look: pages, streams, programs and Prometheus."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rig.asgi import calling
from rig.evidence import CHALLENGER, close_windows, deployment, state_directory
from shadowserve.console import pages
from shadowserve.console.app import Console
from shadowserve.console.board import LEAST_S, Board, Picture
from shadowserve.records import Role
from shadowserve.report import build
from shadowserve.report.memory import Memory
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.state.stays import Left, Stay

NOWHERE = "sqlite:///none.db"


@pytest.fixture
def places(tmp_path) -> Places:
    return state_directory(tmp_path, deployment(NOWHERE, control=True))


@pytest.fixture
def made(monkeypatch) -> Counter[str]:
    """Count reports built and pages laid out; both are made as ever."""
    counted: Counter[str] = Counter()

    def counting(of: Any, name: str) -> None:
        real = getattr(of, name)

        def call(*args: Any, **named: Any) -> Any:
            counted[name] += 1
            return real(*args, **named)

        monkeypatch.setattr(of, name, call)

    counting(build, "build")
    counting(pages, "of_challenger")
    return counted


def asked(places: Places, *paths: str) -> list[httpx.Response]:
    """Ask one console for all of them at once."""

    async def ask() -> list[httpx.Response]:
        async with calling(Console(places).app()) as client:
            return await asyncio.gather(*(client.get(path) for path in paths))

    answers = asyncio.run(ask())
    assert {one.status_code for one in answers} == {200}
    return answers


def test_pages_and_prometheus_share_one_report_and_pages_one_layout(places, made):
    asked(places, *["/"] * 4, *["/metrics"] * 3, *["/live.json"] * 5)
    assert made == {"build": 1, "of_challenger": 1}


def test_programs_get_a_report_that_was_begun_after_they_asked(places, made):
    """A picture of a moment ago would hide what a script has just waited for."""

    async def ask() -> list[int]:
        told = []
        async with calling(Console(places).app()) as client:
            for _ in range(2):
                close_windows(places, CHALLENGER, 1)
                told.append((await client.get("/report.json")).json()["windows"])
        return told

    assert asyncio.run(ask()) == [1, 2]
    assert made["build"] == 2


def test_programs_that_ask_while_a_report_is_built_share_the_next(places, made):
    told = asked(places, *["/report.json"] * 30)
    assert made["build"] <= 2
    assert len({one.content for one in told}) <= 2


def test_a_report_for_programs_has_the_keys_of_the_schema_and_no_others(places):
    (told,) = asked(places, "/report.json")
    assert (
        told.json().keys()
        == build.build(places, deployment(NOWHERE, control=True), challenger=4).keys()
    )


def test_pause_from_elsewhere_is_seen_without_a_new_report(places, made):
    async def ask() -> list[str]:
        async with calling(Console(places).app()) as client:
            before = (await client.get("/")).text
            places.paused.touch()
            return [before, (await client.get("/")).text]

    before, after = asyncio.run(ask())
    assert "Pause scoring" in before
    assert "Resume scoring" in after
    assert made["build"] == 1


def test_rates_are_told_over_a_turn_at_least_however_often_a_report_is_built(places):
    async def look() -> list[Picture]:
        board = Board(places)
        return [await board.anew(deployment(NOWHERE, control=True), 4) for _ in range(3)]

    first, *later = asyncio.run(look())
    assert first.report["now"] is None
    assert all(one.report["now"] is None for one in later)  # a few ms apart, below LEAST_S
    assert later[-1].made - first.made < LEAST_S
    assert len({first.tick, *(one.tick for one in later)}) == 3


def gone(served: Deployment) -> Deployment:
    """Return a deployment whose only challenger has left, and come again."""
    (version,) = served.challengers
    left = Left(version, served.stay_of(4), "2026-01-01T00:01:00+00:00")
    return replace(served, left=(left,), stays={4: Stay(place=2, number=2)})


def test_who_has_left_and_comes_again_is_shown_anew(places):
    """Whoever looks at once is told nothing of the stay before."""
    served = deployment(NOWHERE, control=True)
    close_windows(places, CHALLENGER, 2)

    async def look() -> list[int]:
        board = Board(places)
        await board.latest(served, 4)
        return [(await board.at_hand(one, 4)).report["windows"] for one in (served, gone(served))]

    assert asyncio.run(look()) == [2, 0]


def test_of_who_has_left_nothing_is_kept(places):
    served = deployment(NOWHERE, control=True)
    close_windows(places, CHALLENGER, 2)
    board = Board(places)

    async def look() -> None:
        for one in (served, gone(served)):
            await board.latest(one, 4)

    asyncio.run(look())
    kept = {places.lane(Role.CHALLENGER, 4, 2).state, places.lane(Role.CONTROL, 3).state}
    assert board.memory.lanes._known.keys() == board.memory.history._known.keys() == kept
    assert len(board.memory.lanes._pairs) == 1
    assert [name.stay for name in board._pictures] == [name.stay for name in board._counted] == [2]


def test_a_report_from_memory_says_what_one_without_says(places):
    served, memory = deployment(NOWHERE, control=True), Memory()

    def told(memory: Memory | None) -> dict[str, Any]:
        found = build.build(places, served, challenger=4, memory=memory)
        return {name: part for name, part in found.items() if name not in ("at", "quiet", "ledger")}

    for _ in range(3):
        close_windows(places, CHALLENGER, 2)
        assert told(memory) == told(None)
