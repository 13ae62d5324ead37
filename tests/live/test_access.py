"""A running deployment: who is let in on both ports, and what the start says of the environment."""

from __future__ import annotations

import socket
from http.client import HTTPConnection

import pytest

from rig import tiny
from rig.served import Served

pytestmark = pytest.mark.live

SECRETS = {"DB_PASS": "ZQSECRETQZ", "HF_TOKEN": "ZQTOKENQZ", "TOKENIZERS_PARALLELISM": "false"}


def absolute(url: str, path: str) -> bytes:
    """Ask for a whole address of another host, whatever the header says."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as caller:
        head = f"GET http://evil.example{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        caller.sendall(head.encode())
        return caller.makefile("rb").readline()


def test_pages_stay_outside_and_the_start_names_what_is_withheld(tmp_path, store):
    options = ("--no-control", "--pass-env", "HF_TOKEN", "--keep-prints", "--root-path", "/films")
    with Served(tmp_path, store, *options, environ=SECRETS) as served:
        said = served.said()
        assert "withheld from models: DB_PASS" in said
        assert ".prints.log, values and all" in said
        assert "ZQ" not in said
        evil, page = {"host": "evil.example"}, {"origin": "https://evil.example"}
        get, post = served.client.get, served.client.post
        for url in (f"{served.url}/metrics", f"{served.console}/status.json"):
            assert get(url).status_code == 200
            assert get(url, headers=evil).status_code == 421
            assert get(url, headers=page).status_code == 403
        for url in (f"{served.url}/invocations", f"{served.console}/pause"):
            assert post(url, headers=page).status_code == 403
        assert absolute(served.url, "/metrics").startswith(b"HTTP/1.1 421")
        assert absolute(served.console, "/status.json").startswith(b"HTTP/1.1 421")
        body = {"dataframe_records": [tiny.row()]}
        assert post(f"{served.url}/films/invocations", json=body).status_code == 200
        assert "googletagmanager" not in get(f"{served.url}/").text
        assert get(f"{served.url}/static_content/swagger-ui.css").status_code == 200
        (lane,) = served.settled()["lanes"]
        assert lane["both_ok"] == 1
        assert {path.name for path in (served.state / "logs").glob("*.prints.log")} == {
            "champion-0.prints.log",
            f"lane-challenger-v{tiny.BETTER}.prints.log",
        }


def test_a_connection_is_kept_while_it_is_used_and_hung_up_on_after_the_time_that_was_asked_for(
    tmp_path, store
):
    with Served(tmp_path, store, "--no-control", "--keep-alive", "1s", challengers=()) as served:
        host, port = served.url.removeprefix("http://").split(":")
        caller = HTTPConnection(host, int(port), timeout=30)
        caller.connect()
        kept = caller.sock
        for _ in range(2):
            caller.request("GET", "/livez")
            assert caller.getresponse().read() == b"{}"
            assert caller.sock is kept
        assert kept.recv(1) == b""  # hung up on; by default that is later than this waits
        caller.close()
