"""What browsers ask of the console: pages, what renews them, and buttons that nobody else's page can press."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rig.asgi import called, calling
from rig.evidence import close_windows, deployment, state_directory, version
from rig.report import Reader, text_of
from shadowserve.console.app import Console
from shadowserve.console.board import Board
from shadowserve.state.places import Places

NOWHERE = "sqlite:///none.db"
LANE = deployment(NOWHERE).lane_of(4)
BROWSER = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "user-agent": "Mozilla/5.0"}


@pytest.fixture
def places(tmp_path) -> Places:
    served = deployment(NOWHERE)
    places = state_directory(tmp_path, served)
    close_windows(places, served.lanes[0], 2)
    return places


def mark_of(page: str) -> str:
    return re.search(r'name="mark" value="([^"]+)"', page).group(1)


async def events(app, path: str, n: int) -> AsyncIterator[dict]:
    """The first n messages of a stream; then the viewer goes away."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": [],
        "query_string": query.encode(), "http_version": "1.1", "scheme": "http", "server": ("test", 80),
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    came: asyncio.Queue = asyncio.Queue()
    gone = asyncio.Event()

    async def receive() -> dict:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def answer() -> None:
        try:
            await app(scope, receive, came.put)
        finally:
            await came.put({"body": b"data: null\n\n" * n})

    task = asyncio.create_task(answer())
    text = ""
    try:
        while n:
            text += (await came.get()).get("body", b"").decode()
            *whole, text = text.split("\n\n")
            for line in whole:
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
                    n -= 1
    finally:
        gone.set()
        await task


def told(app, path: str, n: int) -> list[dict]:
    async def gather() -> list[dict]:
        return [one async for one in events(app, path, n)]

    return asyncio.run(gather())


def test_a_stream_brings_all_parts_to_whoever_has_none(places):
    app = Console(places).app()
    (first,) = told(app, "/events?challenger=4", 1)
    assert {"head", "now", "findings", "ledger", "steering"} <= set(first["parts"])
    assert "challenger v4" in first["parts"]["head"]


def test_a_page_that_was_written_of_the_newest_report_lacks_nothing(places):
    app = Console(places).app()

    async def ask() -> tuple[str, dict]:
        async with calling(app) as client:
            page = (await client.get("/")).text
            tick = re.search(r'data-tick="([^"]+)"', page).group(1)
            return tick, (await client.get("/live.json", params={"tick": tick})).json()

    tick, news = asyncio.run(ask())
    assert news["tick"] == tick
    assert news["parts"] == {}


def test_ten_viewers_at_once_see_one_report(places):
    async def look() -> set[str]:
        board = Board(places)
        seen = await asyncio.gather(*(board.latest(deployment(NOWHERE), 4) for _ in range(10)))
        return {one.tick for one in seen}

    assert len(asyncio.run(look())) == 1


def test_a_report_is_built_anew_once_something_was_changed(places):
    async def look() -> tuple[str, str]:
        board = Board(places)
        first = await board.latest(deployment(NOWHERE), 4)
        board.outdate()
        return first.tick, (await board.latest(deployment(NOWHERE), 4)).tick

    first, second = asyncio.run(look())
    assert first != second


def test_traffic_now_is_what_came_since_the_report_before(places):
    async def look() -> list:
        board = Board(places)
        first = await board.latest(deployment(NOWHERE), 4)
        # As if it had been made a minute ago.
        board._counted[LANE] = replace(board._counted[LANE], at=first.made - 60)
        return [first.report["now"], (await board.anew(deployment(NOWHERE), 4)).report["now"]]

    first, second = asyncio.run(look())
    assert first is None
    assert second["rate_per_s"] == 0
    assert second["over_s"] >= 60


def test_the_buttons_pause_and_resume(places):
    app = Console(places).app()
    mark = mark_of(called(app, "GET", "/").text)

    async def press() -> list[str]:
        async with calling(app) as client:
            pressed = []
            for action in ("/pause", "/resume"):
                answer = await client.post(
                    action, data={"mark": mark, "challenger": "4"}, headers=BROWSER
                )
                assert answer.status_code == 200
                pressed.append((await client.get("/")).text)
            return pressed

    paused, resumed = asyncio.run(press())
    assert "Resume scoring" in text_of(paused)
    assert "Lanes stand still" in text_of(paused)
    assert "Pause scoring" in text_of(resumed)


def test_without_a_script_a_button_leads_back_to_its_page(places):
    app = Console(places).app()
    mark = mark_of(called(app, "GET", "/").text)
    head = {**BROWSER, "accept": "text/html"}
    answer = called(app, "POST", "/pause", data={"mark": mark, "challenger": "4"}, headers=head)
    assert answer.status_code == 303
    assert answer.headers["location"] == "./?challenger=4"


@pytest.mark.parametrize("challenger", ["4&x=1", "//elsewhere", "<script>", ""])
def test_a_button_leads_nowhere_else(places, challenger):
    app = Console(places).app()
    mark = mark_of(called(app, "GET", "/").text)
    head = {**BROWSER, "accept": "text/html"}
    answer = called(
        app, "POST", "/pause", data={"mark": mark, "challenger": challenger}, headers=head
    )
    assert answer.headers["location"] == "./"


@pytest.mark.parametrize("mark", [None, "", "of-another-console", "\udcff"])
def test_a_browser_without_the_pages_mark_steers_nothing(places, mark):
    data = {} if mark is None else {"mark": mark.encode("utf-8", "surrogateescape")}
    answer = called(Console(places).app(), "POST", "/pause", data=data, headers=BROWSER)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "old_page"
    assert not places.paused.exists()


def test_a_program_needs_no_mark(places):
    assert called(Console(places).app(), "POST", "/pause").status_code == 200
    assert places.paused.exists()


def test_the_marks_of_two_consoles_differ(places):
    marks = {mark_of(called(Console(places).app(), "GET", "/").text) for _ in range(2)}
    assert len(marks) == 2


def test_style_and_script_are_served_and_change_with_their_address(places):
    app = Console(places).app()
    attributes = Reader(called(app, "GET", "/").text).attributes
    addresses = [
        v for n, v in attributes if n in ("href", "src") and ("style.css" in v or "live.js" in v)
    ]
    assert len(addresses) == 2
    for address in addresses:
        answer = called(app, "GET", f"/{address}")
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript")


def test_a_page_has_no_style_or_script_of_its_own(places):
    page = called(Console(places).app(), "GET", "/").text
    read = Reader(page)
    assert "style" not in read.elements
    assert "style" not in {name for name, _ in read.attributes}
    assert not {name for name, _ in read.attributes if name.startswith("on")}
    assert re.search(r"<script[^>]*></script>", page)


def test_a_state_directory_that_cannot_be_read_is_said_on_a_stream(places):
    app = Console(places).app()
    lane = deployment(NOWHERE).lanes[0]
    for file in places.lane(lane.role, lane.version).state.parent.glob("state.db*"):
        file.write_bytes(b"no database" * 100)
    (news,) = told(app, "/events?challenger=4", 1)
    assert "cannot be read now" in news["trouble"]


def test_several_challengers_stand_side_by_side_and_each_has_a_page(tmp_path):
    served = deployment(NOWHERE, challengers=(version(4), version(5)))
    places = state_directory(tmp_path, served)
    for lane in served.lanes:
        close_windows(places, lane, 1)
    app = Console(places).app()
    overview = called(app, "GET", "/").text
    links = [value for name, value in Reader(overview).attributes if name == "href"]
    assert {"?challenger=4", "?challenger=5"} <= set(links)
    assert "2 challengers" in text_of(overview)
    assert overview.count("continue") >= 2
    own = called(app, "GET", "/?challenger=5").text
    assert "challenger v5" in text_of(own)
    assert "challenger v4" in text_of(called(app, "GET", "/report.html").text)
    (news,) = told(app, "/events?challenger=all", 1)
    assert "overview" in news["parts"]


def test_a_page_does_not_wait_for_a_report_that_is_due_and_gets_the_next_by_its_stream(places):
    async def look() -> tuple[str, str, str]:
        board = Board(places)
        first = await board.latest(deployment(NOWHERE), 4)
        board._pictures[LANE] = type(first)(
            first.deployment, first.report, first.made - 60, 0.1, first.tick
        )
        at_hand = await board.at_hand(deployment(NOWHERE), 4)
        return first.tick, at_hand.tick, (await board.latest(deployment(NOWHERE), 4)).tick

    first, at_hand, newest = asyncio.run(look())
    assert first == at_hand
    assert newest != first


def test_a_first_look_after_long_waits_for_a_report_of_now(places):
    async def look() -> tuple[str, str]:
        board = Board(places)
        first = await board.latest(deployment(NOWHERE), 4)
        board._pictures[LANE] = type(first)(
            first.deployment, first.report, first.made - 3_600, 0.1, first.tick
        )
        return first.tick, (await board.at_hand(deployment(NOWHERE), 4)).tick

    first, newest = asyncio.run(look())
    assert first != newest


def test_a_picture_is_at_hand_before_anybody_looks_and_the_keeper_outlives_what_cannot_be_read(
    places,
):
    async def keep() -> int:
        board = Board(places)
        keeper = asyncio.create_task(board.keep())
        while not board._pictures:
            await asyncio.sleep(0.01)
        keeper.cancel()
        return len(board._pictures)

    assert asyncio.run(keep()) == 1
    lane = deployment(NOWHERE).lanes[0]
    for file in places.lane(lane.role, lane.version).state.parent.glob("state.db*"):
        file.write_bytes(b"no database" * 100)

    async def keep_on() -> bool:
        keeper = asyncio.create_task(Board(places).keep())
        await asyncio.sleep(1)
        alive = not keeper.done()
        keeper.cancel()
        return alive

    assert asyncio.run(keep_on())
