"""What a server said is shown as text, and advice goes by what it said."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException, RestException

from shadowserve.evidence import words
from shadowserve.evidence.undelivered import undelivered

ADDRESS = "http://ann:s3cret%2Fpw@mlflow.example:5000"


def refused(status: int, body: str) -> MlflowException:
    """What MLflow's client makes of an answer that is not its server's own."""
    return MlflowException(
        f"API request to endpoint /api/2.0/x failed with error code {status} != 200. "
        f"Response body: '{body}'"
    )


def told(status: int, body: str) -> str:
    return str(undelivered(refused(status, body), doing="opening the experiment", uri=ADDRESS))


def test_a_server_that_does_not_know_its_name_is_no_matter_of_credentials() -> None:
    said = told(403, "Invalid Host header - possible DNS rebinding attack detected")
    assert "403" in said
    assert "Invalid Host header" in said
    assert "--allowed-hosts" in said
    assert "MLFLOW_TRACKING_" not in said
    assert "rights" not in said


@pytest.mark.parametrize(
    ("status", "hint", "hopeless"),
    [
        (401, "MLFLOW_TRACKING_USERNAME", True),
        (403, "rights", True),
        (404, "path and port", True),
        (413, "bodies", True),
        (502, "behind it does not", False),
        (503, "for now", False),
        (504, "too slow", False),
    ],
)
def test_advice_fits_the_status(status: int, hint: str, hopeless: bool) -> None:
    found = undelivered(refused(status, "no"), doing="tagging the run", uri=ADDRESS)
    assert hint in str(found)
    assert (found.status, found.hopeless, found.said) == (status, hopeless, "no")
    others = {401, 403, 404, 413, 502, 503, 504} - {status}
    assert not any(words.advice(other, "no") in str(found) for other in others)


def test_mlflows_own_refusal_is_told_in_its_words() -> None:
    error = RestException({"error_code": "PERMISSION_DENIED", "message": "ann may only read"})
    found = undelivered(error, doing="opening the run", uri="http://mlflow.example")
    assert (found.status, found.said) == (403, "ann may only read")


def test_a_page_of_a_proxy_becomes_a_line_of_text() -> None:
    page = "<html><style>b{x:y}</style>\r\n<h1>502 Bad\tGateway</h1>\x1b[31m\x00<p>nginx</html>"
    assert words.shown(page) == "502 Bad Gateway [31m nginx"


def test_words_without_end_are_cut() -> None:
    assert len(words.shown("long " * 10**6)) <= words.MOST_CHARACTERS


@pytest.mark.parametrize(
    "body",
    [
        "no such user ann:s3cret/pw",
        "tried http://ann:s3cret%2Fpw@inner:80/x?token=abc123",
        "Authorization: Basic YW5uOnMzY3JldA==",
        "bearer: Bearer abc123 is no good",
    ],
)
def test_credentials_that_a_server_repeats_are_struck_out(body: str) -> None:
    said = told(401, body)
    assert not any(secret in said for secret in ("s3cret", "YW5u", "abc123"))


def test_a_token_of_the_environment_is_struck_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0k3n-of-ours")
    assert "t0k3n" not in told(401, "unknown: t0k3n-of-ours")


def test_a_page_that_is_well_and_no_mlflow_is_told_as_such() -> None:
    error = MlflowException(
        "API request to endpoint was successful but the response body was not in a valid JSON "
        "format. Response body: '<title>Sign in</title>'"
    )
    found = undelivered(error, doing="opening the experiment", uri=ADDRESS)
    assert "Sign in" in str(found)
