"""A running server against its own OpenAPI document: no 500, no status that the document lacks."""

from __future__ import annotations

import httpx
import pytest

from benchmarks.fuzz import WELL_FORMED, fuzz

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # schemathesis' and its dependencies' own
]

ROUTES = {
    "/invocations", "/predict", "/livez", "/readyz", "/metrics", "/openapi.json",
    "/v2", "/v2/health/live", "/v2/health/ready",
    "/v2/models/typed", "/v2/models/typed/ready", "/v2/models/typed/infer",
    "/v2/models/typed/versions/1", "/v2/models/typed/versions/1/ready",
    "/v2/models/typed/versions/1/infer",
}  # fmt: skip


@pytest.fixture(scope="module")
def url(champion_of):
    return champion_of("typed").url


def test_every_route_is_described_and_says_what_a_wrong_method_gets(url):
    described = httpx.get(f"{url}/openapi.json").json()
    assert set(described["paths"]) == ROUTES
    for path, operations in described["paths"].items():
        ((method, operation),) = operations.items()
        told = httpx.request("DELETE" if method == "get" else "PUT", url + path)
        assert told.status_code == 405, path
        assert "405" in operation["responses"]
        error = told.json()["error"]
        assert isinstance(error, str if path.startswith("/v2") else dict)


def test_no_generated_request_gets_a_500_or_an_undocumented_answer(url):
    outcome = fuzz(url, requests=400)
    assert not outcome.faults, outcome.faults[:5]
    assert 300 < outcome.sent <= 500
    assert {200, 400} <= {status for *_, status in outcome.statuses}
    well = {status: n for (_, kind, status), n in outcome.statuses.items() if kind == WELL_FORMED}
    assert set(well) == {200}
    assert len(outcome.forms) == 10
