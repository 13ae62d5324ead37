"""Callers are let in by name, by page and by token; a health probe by none of them."""

from __future__ import annotations

import pytest

from shadowserve.http.admission import Admission
from shadowserve.settings.gate import Gate
from shadowserve.wire.protocols import PROTOCOLS, probes

BEARER = (b"authorization", b"Bearer abc")
EVIL = (b"host", b"evil.example")
GATE = Gate.of("127.0.0.1", guarded=False)


def scope(path="/invocations", method="POST", *headers):
    return {"type": "http", "path": path, "method": method, "headers": list(headers)}


def test_without_gate_and_token_everybody_comes_in():
    assert Admission().why_not(scope()) is None


def test_with_a_token_only_its_bearer_comes_in():
    admission = Admission(token=b"abc")
    assert admission.why_not(scope("/invocations", "POST", BEARER)) is None
    for given in ((), ((b"authorization", b"Bearer abd"),)):
        refused = admission.why_not(scope("/invocations", "POST", *given))
        assert (refused.status, refused.code) == (401, "unauthorized")


def test_a_page_is_turned_away_before_its_token_is_looked_at():
    """A browser adds the password that it remembers, whichever page asks."""
    refused = Admission(GATE, b"abc").why_not(scope("/invocations", "POST", BEARER, EVIL))
    assert refused.status == 421


@pytest.mark.parametrize("path", probes())
def test_a_probe_asks_under_any_name_and_without_a_token(path):
    admission = Admission(GATE, b"abc")
    assert admission.why_not(scope(path, "GET", EVIL)) is None
    assert admission.why_not(scope(path, "POST", EVIL)).status == 421


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_no_route_that_scores_or_tells_of_the_model_is_open(protocol):
    admission = Admission(token=b"abc")
    for route in protocol.routes:
        told = admission.why_not(scope(route.of("films", 3), "GET"))
        assert (told is None) == route.is_probe
