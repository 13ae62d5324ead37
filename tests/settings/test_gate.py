"""Pages of other sites and callers of other names stay outside; programs go on as before."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from rig.asgi import calling
from shadowserve.console.app import Console
from shadowserve.console.guard import Guard
from shadowserve.http.admission import Admission
from shadowserve.http.passage import Crossing, Prefixed
from shadowserve.settings.gate import Gate, is_page
from shadowserve.state.places import Places

HERE = Gate.of("127.0.0.1", guarded=False)
EVERYWHERE = Gate.of("0.0.0.0", guarded=False)
GUARDED = Gate.of("0.0.0.0", guarded=True)


def why_not(
    gate: Gate, *pairs: tuple[str, str], method: str = "GET", path: str = "/x"
) -> int | None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    turned = Admission(gate).why_not({"path": path, "method": method, "headers": headers})
    return None if turned is None else turned.status


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:3001", "localhost", "LocalHost:3001", "localhost.", "localhost.:1",
        "[::1]", "[::1]:3001", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:80", " localhost ",
    ],
)  # fmt: skip
def test_loopback_names_are_this_servers(host):
    assert why_not(HERE, ("host", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:3001", "localhost.evil.example", "127.0.0.1.evil.example",
        "evil.example.", "0.0.0.0", "10.0.0.1", "[::2]", "127.1", "2130706433", "::1", "", ":3001",
        "localhost:x", "localhost:99999", "localhost@evil.example", "user@localhost", "a b",
        "localhost,evil.example", "loc\xe4lhost", "[::1", "[127.0.0.1]", "x" * 300, "localhost..",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_other_names_are_misdirected(host, method):
    assert why_not(HERE, ("host", host), method=method) == 421


def test_no_header_of_a_proxy_stands_for_the_host():
    forwarded = (("x-forwarded-host", "localhost"), ("forwarded", "host=localhost"))
    assert why_not(HERE, ("host", "evil.example"), *forwarded) == 421
    assert why_not(HERE, ("host", "localhost"), ("x-forwarded-host", "evil.example")) is None


def test_two_hosts_are_one_too_many_also_for_probes_and_with_a_token():
    twice = (("host", "localhost"), ("host", "localhost"))
    for gate in (HERE, GUARDED):
        assert why_not(gate, *twice) == 400
        assert why_not(gate, *twice, path="/livez") == 400


def test_who_sends_no_host_is_no_browser():
    assert why_not(HERE) is None


def test_probes_may_name_what_they_please():
    for path in ("/livez", "/readyz", "/v2/health/ready"):
        assert why_not(HERE, ("host", "evil.example"), path=path) is None
        assert why_not(HERE, ("host", "evil.example"), path=path, method="POST") == 421


def test_a_port_on_all_addresses_takes_any_address_and_this_machines_name():
    import socket

    for host in ("10.1.2.3:3000", "[fe80::1]:3000", "localhost", socket.gethostname()):
        assert why_not(EVERYWHERE, ("host", host)) is None
    assert why_not(EVERYWHERE, ("host", "evil.example")) == 421


def test_further_names_are_allowed_one_by_one_by_domain_or_all():
    named = Gate.of("127.0.0.1", names=("models.example", "*.corp.example"), guarded=False)
    for host in ("models.example:80", "Models.Example.", "a.corp.example", "a.b.corp.example"):
        assert why_not(named, ("host", host)) is None
    for host in ("corp.example", "evilcorp.example", "x.models.example"):
        assert why_not(named, ("host", host)) == 421
    assert why_not(Gate.of("127.0.0.1", names=("*",), guarded=False), ("host", "a.b")) is None


def test_a_token_does_what_names_would():
    assert why_not(GUARDED, ("host", "anything.example")) is None


def test_the_bound_address_and_name_are_this_servers():
    assert why_not(Gate.of("10.0.0.5", guarded=False), ("host", "10.0.0.5:3000")) is None
    assert why_not(Gate.of("10.0.0.5", guarded=False), ("host", "10.0.0.6:3000")) == 421
    assert why_not(Gate.of("fd00::5", guarded=False), ("host", "[FD00::0005]:3000")) is None
    assert why_not(Gate.of("Models.local", guarded=False), ("host", "models.local")) is None


SELF = ("host", "localhost:3001")


@pytest.mark.parametrize("gate", [HERE, GUARDED], ids=["open", "guarded"])
@pytest.mark.parametrize(
    "told",
    [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("origin", "")],
        [("origin", "http://localhost:8888")],
        [("origin", "http://localhost")],
        [("origin", "file://")],
        [("origin", "http://localhost:3001.evil.example")],
        [("origin", "http://localhost:3001@evil.example")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "cross-site"), ("origin", "http://localhost:3001")],
        [("sec-fetch-site", "nonsense")],
    ],
)
def test_pages_of_other_sites_neither_steer_nor_read(gate, told):
    """Also with the password that a browser remembers: the token is another question."""
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"):
        assert why_not(gate, SELF, *told, method=method) == 403


@pytest.mark.parametrize(
    "told",
    [
        [],
        [("user-agent", "curl/8.5.0")],
        [("origin", "http://localhost:3001")],
        [("origin", "HTTP://LOCALHOST:3001")],
        [("sec-fetch-site", "same-origin"), ("origin", "http://localhost:3001")],
        [("sec-fetch-site", "none")],
    ],
)
def test_programs_and_own_pages_go_on(told):
    for method in ("GET", "POST"):
        assert why_not(HERE, SELF, *told, method=method) is None


def test_the_usual_ports_need_not_be_written():
    assert why_not(HERE, ("host", "localhost"), ("origin", "http://localhost:80")) is None
    assert why_not(HERE, ("host", "localhost:443"), ("origin", "https://localhost")) is None


def test_a_link_from_elsewhere_opens_the_page_but_neither_sends_nor_frames_it():
    link = (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"))
    assert why_not(HERE, SELF, *link, ("sec-fetch-dest", "document")) is None
    assert why_not(HERE, SELF, *link, ("sec-fetch-dest", "iframe")) == 403
    assert why_not(HERE, SELF, *link, ("sec-fetch-dest", "document"), method="POST") == 403


def test_pages_of_allowed_origins_may_ask():
    shop = Gate.of("127.0.0.1", origins=("https://shop.example",), guarded=False)
    told = (SELF, ("sec-fetch-site", "cross-site"))
    assert why_not(shop, *told, ("origin", "https://shop.example"), method="POST") is None
    assert why_not(shop, *told, ("origin", "http://shop.example"), method="POST") == 403
    assert why_not(shop, *told, ("origin", "null"), method="POST") == 403


def test_browsers_are_known_by_what_they_always_send():
    assert is_page({b"user-agent": b"Mozilla/5.0 (X11)"})
    assert is_page({b"origin": b"null"})
    assert not is_page({b"user-agent": b"python-requests/2.32", b"accept": b"*/*"})


def test_what_a_process_is_told_is_what_was_asked(monkeypatch):
    gate = Gate.of("127.0.0.1", names=("a",), origins=("https://b:1",), guarded=False)
    monkeypatch.setenv("SHADOWSERVE_GATE", gate.to_json())
    assert Gate.from_environment() == gate


def ask(app: Any, method: str, path: str, **head: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with calling(app, base_url="http://localhost") as client:
            headers = {name.replace("_", "-"): value for name, value in head.items()}
            return await client.request(method, path, headers=headers, content=b"[]")

    return asyncio.run(send())


def test_the_console_is_neither_steered_nor_read_by_other_pages(tmp_path):
    places = Places(tmp_path)
    app = Guard(Console(places).app(), None, HERE)
    for path in ("/pause", "/resume", "/labels", "/tap"):
        told = ask(app, "POST", path, origin="https://evil.example", content_type="text/plain")
        assert (told.status_code, told.json()["error"]["code"]) == (403, "other_site"), path
        assert ask(app, "POST", path, host="evil.example").status_code == 421
    for path in ("/", "/status.json", "/report.json"):
        assert ask(app, "GET", path, host="evil.example").json()["error"]["code"] == "unknown_host"
    assert not places.paused.exists()
    assert not places.resume.exists()
    assert ask(app, "POST", "/pause").status_code == 200
    assert places.paused.exists()


def test_a_remembered_password_does_not_let_other_pages_in(tmp_path):
    app = Guard(Console(Places(tmp_path)).app(), b"abc", GUARDED)
    basic = "Basic OmFiYw=="
    assert ask(app, "POST", "/pause", authorization=basic).status_code == 200
    page = {"authorization": basic, "origin": "https://evil.example"}
    assert ask(app, "POST", "/resume", **page).status_code == 403
    assert ask(app, "POST", "/resume").status_code == 401


def test_unknown_routes_of_the_console_are_refused_in_its_one_form(tmp_path):
    app = Console(Places(tmp_path)).app()
    assert ask(app, "GET", "/nowhere").json()["error"]["code"] == "not_found"
    told = ask(app, "GET", "/pause")
    assert (told.status_code, told.json()["error"]["code"]) == (405, "method_not_allowed")


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_a_prefix_is_taken_off_where_a_proxy_left_it():
    app = Prefixed(echo, "/models/films")
    asked = {
        "/models/films/invocations": "/invocations",
        "/models/films": "/",
        "/models/films/": "/",
        "/invocations": "/invocations",
        "/models/filmsx": "/models/filmsx",
    }
    assert {path: ask(app, "GET", path).text for path in asked} == asked


def test_allowed_pages_may_read_answers_and_others_may_not():
    app = Crossing(echo, Gate(origins=frozenset({"https://shop.example"})))
    told = ask(app, "POST", "/invocations", origin="https://shop.example")
    assert told.headers["access-control-allow-origin"] == "https://shop.example"
    assert "x-request-id" in told.headers["access-control-expose-headers"]
    preflight = {"origin": "https://shop.example", "access_control_request_method": "POST"}
    told = ask(app, "OPTIONS", "/invocations", **preflight)
    assert told.status_code == 204
    assert told.headers["access-control-allow-headers"] == "content-type"
    told = ask(app, "POST", "/invocations", origin="https://evil.example")
    assert "access-control-allow-origin" not in told.headers
    assert told.headers["vary"] == "Origin"
