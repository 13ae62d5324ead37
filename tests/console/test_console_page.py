"""The console's page: the report for a browser, and a plain word where there is none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rig.asgi import called
from rig.evidence import close_windows, deployment, state_directory
from shadowserve.console.app import Console
from shadowserve.console.pages import REFRESH_S
from shadowserve.state.places import Places

NOWHERE = "sqlite:///none.db"


class Browser:
    """Asks the console of a state directory."""

    def __init__(self, places: Places) -> None:
        self._app = Console(places).app()

    def get(self, path: str, **params: Any) -> httpx.Response:
        return called(self._app, "GET", path, params=params or None)

    def post(self, path: str) -> httpx.Response:
        return called(self._app, "POST", path)


@pytest.fixture
def browser(tmp_path) -> Browser:
    served = deployment(NOWHERE)
    places = state_directory(tmp_path, served)
    close_windows(places, served.lanes[0], 2)
    return Browser(places)


@pytest.mark.parametrize("path", ["/", "/report.html", "/?challenger=4"])
def test_the_report_is_a_page_that_asks_again(browser, path):
    told = browser.get(path)
    assert told.status_code == 200
    assert told.headers["content-type"].startswith("text/html")
    assert f'<meta http-equiv="refresh" content="{REFRESH_S}">' in told.text
    assert "challenger v4" in told.text


def test_the_page_may_load_and_run_what_its_own_server_has_alone(browser):
    policy = browser.get("/").headers["content-security-policy"]
    told = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert told["default-src"] == "'none'"
    assert {told[name] for name in ("style-src", "script-src", "connect-src")} == {"'self'"}


def test_an_unknown_challenger_is_refused_with_the_known_ones(browser):
    told = browser.get("/?challenger=9")
    assert told.status_code == 400
    assert "Its challengers: v4." in told.text


def test_a_challenger_that_is_no_number_is_refused_without_markup(browser):
    told = browser.get("/", challenger="<script>")
    assert told.status_code == 400
    assert "<script>" not in told.text


def test_before_anything_is_served_the_page_says_so(tmp_path):
    places = Places(tmp_path / "state")
    places.make()
    told = Browser(places).get("/")
    assert told.status_code == 503
    assert "Nothing is served yet." in told.text


def test_without_a_challenger_the_page_says_so(tmp_path):
    places = state_directory(tmp_path, deployment(NOWHERE, challengers=()))
    assert "No challenger is served." in Browser(places).get("/").text


def test_what_cannot_be_read_now_is_a_503_and_no_empty_ledger(tmp_path):
    served = deployment(NOWHERE)
    places = state_directory(tmp_path, served)
    name = served.lanes[0]
    places.lane(name.role, name.version).state.write_bytes(b"no database" * 100)
    for path in ("/status.json", "/report.json"):
        told = Browser(places).get(path)
        assert told.status_code == 503
        assert told.json()["error"]["code"] == "unreadable"
    assert "cannot be read now" in Browser(places).get("/").text


def test_a_wish_that_cannot_be_written_is_a_503(tmp_path):
    places = state_directory(tmp_path, deployment(NOWHERE))
    for wish, file in (("/pause", places.paused), ("/resume", places.resume)):
        file.symlink_to("/proc/nowhere")
        told = Browser(places).post(wish)
        assert told.status_code == 503
        assert told.json()["error"]["code"] == "unwritable"
