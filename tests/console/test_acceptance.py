"""A finding accepted from the console: by whoever may, in one form, and never for a page of another site."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from rig.asgi import called
from rig.deployment import CHALLENGER
from rig.judging import shadowed
from rig.scoring import double, opaque
from shadowserve.console.app import Console
from shadowserve.console.guard import Guard
from shadowserve.settings.gate import Gate
from shadowserve.state import acceptances
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places

KIND = "prediction_divergence"
GOOD = {"finding": KIND, "reason": "Meant so."}


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Places, Any]:
    places, served = shadowed(
        tmp_path_factory.mktemp("scored"), opaque(lambda f, p: 3 * double(f, p))
    )
    deployments.write(places, served)
    return places, served


@pytest.fixture
def state(scored) -> tuple[Places, Any]:
    scored[0].accepted.unlink(missing_ok=True)
    return scored


def post(
    state, path="/accept", *, token: bytes | None = None, headers=None, **body: Any
) -> httpx.Response:
    gate = Gate.of("127.0.0.1", guarded=token is not None)
    app = Guard(Console(state[0], guarded=token is not None).app(), token, gate)
    return called(app, "POST", path, headers={"host": "localhost", **(headers or {})}, **body)


def said(state) -> list[acceptances.Acceptance]:
    return list(acceptances.read(state[0], state[1].id))


def test_a_finding_is_accepted_and_what_that_changes_is_told(state):
    told = post(state, json={**GOOD, "until": "2w", "challenger": 4})
    assert told.status_code == 200, told.text
    found = told.json()
    assert (found["kind"], found["challenger"], found["withdrawn"]) == (KIND, 4, False)
    assert (found["by"], found["reason"], found["verdict"]) == (
        "console@127.0.0.1",
        "Meant so.",
        "continue",
    )
    assert found["until"] > found["at"]
    (event,) = said(state)
    assert event.finding == found["finding"]
    back = post(state, "/withdraw", json={"finding": found["finding"]})
    assert back.status_code == 200, back.text
    assert (back.json()["withdrawn"], back.json()["verdict"]) == (True, "reject")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**GOOD, "finding": "latency"}, 404, "no_such_finding"),
        ({**GOOD, "finding": "0123abcd"}, 404, "no_such_finding"),
        ({**GOOD, "challenger": 9}, 400, "misuse"),
        ({**GOOD, "challenger": "v9"}, 400, "misuse"),
        ({**GOOD, "challenger": True}, 400, "bad_request"),
        ({**GOOD, "challenger": 4.5}, 400, "bad_request"),
        ({**GOOD, "reason": ""}, 400, "misuse"),
        ({"finding": KIND}, 400, "misuse"),
        ({**GOOD, "reason": "x" * 10_240}, 400, "misuse"),
        ({**GOOD, "reason": 3}, 400, "bad_request"),
        ({**GOOD, "until": "soon"}, 400, "misuse"),
        ({**GOOD, "until": "999999w"}, 400, "misuse"),
        ({**GOOD, "columns": "title"}, 400, "bad_request"),
        ({"reason": "Meant so."}, 400, "bad_request"),
        ({**GOOD, "verdict": "promote"}, 400, "bad_request"),
        ([GOOD], 400, "bad_request"),
        ("accept", 400, "bad_request"),
    ],
)
def test_what_is_no_acceptance_is_refused_and_nothing_is_remembered(state, body, status, code):
    told = post(state, json=body)
    assert (told.status_code, told.json()["error"]["code"]) == (status, code), told.text
    assert said(state) == []


def test_what_is_no_json_is_refused(state):
    json = {"content-type": "application/json"}
    assert post(state, content=b"{", headers=json).status_code == 400
    assert post(state, content=b'{"finding": "a", "finding": "b"}', headers=json).status_code == 400
    assert post(state, content=b" " * 100_000, headers=json).status_code == 413
    assert said(state) == []


@pytest.mark.parametrize("path", ["/accept", "/withdraw"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ],
    ids=str,
)
def test_a_page_of_another_site_accepts_nothing(state, path, headers):
    assert post(state, path, json=GOOD, headers=headers).status_code in (403, 421)
    with_token = {"authorization": "Bearer s3cret", **headers}
    if "host" not in headers:  # with a token any name will do: a page cannot send it
        assert post(state, path, token=b"s3cret", json=GOOD, headers=with_token).status_code == 403
    assert said(state) == []


@pytest.mark.parametrize(
    "media",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
def test_what_a_form_of_any_site_can_send_is_refused(state, media):
    told = post(
        state, content=b'{"finding": "latency", "reason": "x"}', headers={"content-type": media}
    )
    assert told.status_code == 415
    assert said(state) == []


def test_with_a_token_who_has_it_accepts_under_the_name_that_is_given(state):
    assert post(state, token=b"s3cret", json=GOOD).status_code == 401
    told = post(state, token=b"s3cret", json=GOOD, headers={"authorization": "Bearer s3cret"})
    assert told.json()["by"] == "console@127.0.0.1"
    basic = base64.b64encode(b"ann:s3cret").decode()
    told = post(state, token=b"s3cret", json=GOOD, headers={"authorization": f"Basic {basic}"})
    assert told.json()["by"] == "ann@127.0.0.1"
    told = post(
        state,
        token=b"s3cret",
        json={**GOOD, "by": "bob\x1b[2J"},
        headers={"authorization": f"Basic {basic}"},
    )
    assert told.json()["by"] == "bob\\x1b[2J@127.0.0.1"
    assert "s3cret" not in state[0].accepted.read_text()


def test_reading_accepts_nothing(state):
    app = Console(state[0]).app()
    for path in ("/accept", "/withdraw"):
        assert called(app, "GET", path).status_code == 405


def test_before_anything_is_served_there_is_nothing_to_accept(tmp_path):
    places = Places(tmp_path / "state")
    places.make()
    assert post((places, None), json=GOOD).status_code == 503


def test_a_damaged_file_is_told_as_what_cannot_be_read(state):
    state[0].accepted.write_text("{")
    told = post(state, json=GOOD)
    assert (told.status_code, told.json()["error"]["code"]) == (503, "unreadable")
    assert state[0].accepted.read_text() == "{"
    assert CHALLENGER.version == 4
