"""Whom recorded requests may go to: this machine, or a host that was named, and nobody else by any trick."""

from __future__ import annotations

import socket

import pytest

from rig.misbehaving import OK, always, misbehaving
from rig.ports import free_port
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.replay import target as targets
from shadowserve.replay.target import paths, target


@pytest.fixture
def port():
    with misbehaving(always(OK)) as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9"])
def test_this_machine_may_be_sent_to(port, host):
    if host == "127.9.9.9":
        with pytest.raises(UnreachableError, match="Nobody listens"):
            target(f"http://{host}:{free_port()}")
        return
    found = target(f"http://{host}:{port}")
    assert found.address == ("127.0.0.1", port)
    assert found.name == f"{host}:{port}"


ELSEWHERE = ["192.0.2.7", "0.0.0.0", "[2001:db8::1]", "2130706434.example", "10.0.0.1", "169.254.169.254"]  # fmt: skip


@pytest.mark.parametrize("host", ELSEWHERE)
def test_another_machine_is_refused_before_it_is_asked(host, monkeypatch):
    monkeypatch.setattr(targets.socket, "create_connection", lambda *_a, **_k: pytest.fail("asked"))
    if host.endswith(".example"):
        monkeypatch.setattr(
            targets.socket,
            "getaddrinfo",
            lambda *_a, **_k: [(2, 1, 6, "", ("127.0.0.1", 80)), (2, 1, 6, "", ("192.0.2.7", 80))],
        )
    with pytest.raises(SettingsError, match="--allow-host"):
        target(f"http://{host}:3000")


def test_a_host_that_was_named_is_taken_and_no_other(monkeypatch):
    made = []

    class Connected:
        def close(self):
            made.append("closed")

    monkeypatch.setattr(targets.socket, "create_connection", lambda *_a, **_k: Connected())
    found = target("http://192.0.2.7:3000/models/films/", allow_hosts=["192.0.2.7"])
    assert (found.address, found.prefix, made) == (("192.0.2.7", 3000), "/models/films", ["closed"])
    with pytest.raises(SettingsError, match="not this machine"):
        target("http://192.0.2.70:3000", allow_hosts=["192.0.2.7", "example", "*"])


def test_a_name_is_asked_once(port, monkeypatch):
    """What it leads to later is nobody's concern: connections go to the address that was looked at."""
    found = target(f"http://localhost:{port}")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: pytest.fail("asked again"))
    assert found.address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:3000", "https://127.0.0.1:3000", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999",
        "http://127.0.0.1:x", "http://127.0.0.1:3000?a=b", "http://127.0.0.1:3000#a", "http://user:pass@127.0.0.1:3000",
        "http://127.0.0.1:3000/a b", "http://127.0.0.1:3000/a\r\nx: y", "http://[::1", "http://127.0.0.1@192.0.2.7:3000",
        "file:///etc/passwd", "unix:/run/x",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused_in_a_line(url):
    with pytest.raises(SettingsError) as told:
        target(url)
    assert "\n" not in str(told.value)
    assert "pass" not in str(told.value).replace("password", "").replace("/etc/passwd", "")


def test_an_unknown_name_and_a_port_where_nobody_listens_are_told():
    with pytest.raises(UnreachableError, match="nobody knows the name"):
        target("http://no-such-host.invalid:3000")
    with pytest.raises(UnreachableError, match="Nobody listens"):
        target(f"http://127.0.0.1:{free_port()}")


def test_a_token_goes_along_and_stands_in_no_text(port):
    found = target(f"http://127.0.0.1:{port}", token=b"s3cret")
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in found.head("/predict", "", 2, mark="r")
    assert "s3cret" not in repr(found)


def test_a_request_without_a_content_type_is_sent_without_one(port):
    head = target(f"http://127.0.0.1:{port}").head("/predict", "", 2, mark="r")
    assert b"content-type" not in head.lower()


def test_the_paths_are_those_of_the_protocols():
    from shadowserve.wire.protocol import Purpose
    from shadowserve.wire.protocols import protocols

    told = protocols("a b/ü", 3)
    assert paths("a b/ü").keys() == told.keys()
    for name, protocol in told.items():
        scoring = [one.path for one in protocol.routes if one.purpose is Purpose.SCORE]
        assert paths("{model}")[name].replace("%7Bmodel%7D", "{model}") in scoring
    assert paths("a b/ü")["infer"] == "/v2/models/a%20b%2F%C3%BC/infer"
