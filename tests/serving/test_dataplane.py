"""The data plane's routes: who is let in, what is told, and what leads nowhere."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading

import httpx
import pytest

from rig.asgi import calling
from rig.plane import JSON, Plane, error_of
from rig.scoring import body, record
from shadowserve.settings.gate import Gate


def test_the_callers_id_is_echoed_and_else_a_new_one_made(tmp_path):
    with Plane(tmp_path) as plane:
        assert plane.post(x_request_id="mine").headers["x-request-id"] == "mine"
        made = {plane.post().headers["x-request-id"] for _ in range(5)}
        assert len(made) == 5
        assert plane.post(x_request_id="x" * 300).headers["x-request-id"] != "x" * 300
        assert plane.serving.journaled()[0].request_id == "mine"
        assert plane.ask("GET", "/invocations", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"  # fmt: skip


def test_until_the_champion_is_ready_every_question_gets_a_503(tmp_path):
    with Plane(tmp_path, opened=False, ready=False) as plane:
        assert plane.post().status_code == 503
        for path in ("/readyz", "/ping", "/health", "/v2/health/ready", "/v2/models/films", "/v2/models/films/ready"):  # fmt: skip
            assert plane.ask("GET", path).status_code == 503, path
        assert plane.post(path="/v2/models/films/infer").status_code == 503
        assert plane.ask("GET", "/livez").status_code == 200


def test_readiness_is_that_of_every_worker(tmp_path):
    with Plane(tmp_path, ready=False) as plane:
        assert plane.ask("GET", "/readyz").json() == {"ready": False, "model": "films/3"}
        assert plane.post().status_code == 200  # this worker's own champion can answer
    with Plane(tmp_path / "all") as plane:
        for path in ("/readyz", "/livez", "/ping", "/health", "/v2/health/live", "/v2/health/ready", "/v2/models/films/ready"):  # fmt: skip
            assert plane.ask("GET", path).status_code == 200, path
            assert plane.ask("HEAD", path).status_code == 200, path


def test_another_method_is_refused_and_the_right_one_named(tmp_path):
    with Plane(tmp_path) as plane:
        response = plane.ask("GET", "/invocations")
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert error_of(response)["code"] == "method_not_allowed"
        assert plane.ask("POST", "/readyz").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other/infer",
        "/v2/models/films/versions/4",
        "/v2/models/films/nothing",
        "/v2/nothing",
    ],
)
def test_another_model_or_version_is_not_found(tmp_path, path):
    with Plane(tmp_path) as plane:
        response = plane.post(path=path)
        assert response.status_code == 404
        assert "films, version 3" in response.json()["error"]  # in that protocol's own form


def test_mlflows_clients_find_its_routes_with_and_without_a_slash(tmp_path):
    with Plane(tmp_path) as plane:
        for path in ("/invocations/", "/v2/models/films/infer/"):
            assert plane.ask("GET", path).status_code == 405, path
        assert plane.post(path="/invocations/").content == plane.post().content
        assert plane.ask("GET", "/ping/").status_code == 200
        assert plane.ask("GET", "/version").text == importlib.metadata.version("mlflow")


def test_bentomls_own_documents_are_behind_and_unknown_paths_are_counted_refusals(tmp_path):
    with Plane(tmp_path) as plane:
        for path in ("/docs.json", "/schema.json", "/static_content/index.css"):
            assert plane.ask("GET", path).content == b"behind"
        for method, path in (("GET", "/admin"), ("POST", "/invocation"), ("GET", "/assets/x.js")):
            told = plane.ask(method, path)
            assert (told.status_code, error_of(told)["code"]) == (404, "not_found")
        assert plane.counts.turned_away == 3
        assert plane.counts.rejected == 0


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/"])
def test_the_page_loads_nothing_from_elsewhere(tmp_path, path):
    with Plane(tmp_path) as plane:
        told = plane.ask("GET", path)
    assert told.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in told.headers["content-security-policy"]
    assert "//" not in told.text
    assert "googletagmanager" not in told.text


def test_the_gate_stands_before_every_route_but_health(tmp_path):
    gate = Gate.of("127.0.0.1", guarded=False)
    with Plane(tmp_path, gate=gate) as plane:
        for method, path in (
            ("POST", "/invocations"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/"),
            ("GET", "/v2/models/films"), ("GET", "/nowhere"), ("GET", "/docs.json"),
        ):  # fmt: skip
            told = plane.ask(method, path, headers={**JSON, "host": "evil.example"})
            assert told.status_code == 421, path
            assert "evil" not in told.text
        for site in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            assert plane.post(host="localhost", **site).status_code == 403
        assert plane.ask("GET", "/readyz", headers={"host": "evil.example"}).status_code == 200
        assert plane.post(host="localhost:3000").status_code == 200
        assert plane.counts.appended == 1
        assert plane.counts.turned_away == 9


def test_callers_are_answered_while_metrics_are_added_up(tmp_path):
    begun, answered = threading.Event(), threading.Event()

    def metrics() -> bytes:
        begun.set()
        assert answered.wait(10)
        return b"shadowserve_requests_total 1\n"

    async def both(plane) -> tuple[httpx.Response, httpx.Response]:
        async with calling(plane) as client:
            scrape = asyncio.create_task(client.get("/metrics"))
            await asyncio.to_thread(begun.wait, 10)
            response = await client.post("/invocations", content=body(record(1)), headers=JSON)
            answered.set()
            return response, await scrape

    with Plane(tmp_path, metrics=metrics) as plane:
        response, scraped = asyncio.run(both(plane.plane))
    assert (response.status_code, scraped.status_code) == (200, 200)


def test_metadata_and_metrics_are_told(tmp_path):
    with Plane(tmp_path) as plane:
        told = plane.ask("GET", "/v2/models/films").json()
        assert (told["name"], told["versions"]) == ("films", ["3"])
        assert [one["name"] for one in told["inputs"]] == ["age", "title"]
        assert plane.ask("GET", "/v2").json()["name"] == "shadowserve"
        metrics = plane.ask("GET", "/metrics")
        assert metrics.text == "shadowserve_requests_total 0\n"
        assert metrics.headers["content-type"].startswith("text/plain")


def test_a_caller_without_the_token_is_turned_away(tmp_path):
    with Plane(tmp_path, token=b"abc") as plane:
        response = plane.post()
        assert response.status_code == 401
        assert error_of(response)["code"] == "unauthorized"
        assert plane.post(authorization="Bearer abc").status_code == 200
        assert plane.ask("GET", "/livez").status_code == 200
        assert plane.counts.appended == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/livez"),
        ("HEAD", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v2"),
        ("GET", "/v2/models/films"),
        ("GET", "/v2/models/films/versions/3/ready"),
        ("GET", "/schema.json"),
        ("GET", "/nowhere"),
        ("PUT", "/invocations"),
        ("POST", "/invocations"),
    ],
)
def test_every_answer_bears_the_requests_id_and_the_served_version(tmp_path, method, path):
    with Plane(tmp_path) as plane:
        told = plane.ask(method, path, headers={"x-request-id": "mine"})
        assert told.headers.get_list("x-request-id") == ["mine"]
        assert told.headers.get_list("x-shadowserve-model") == ["films/3"]
        other = plane.ask(method, path).headers["x-request-id"]
        assert other != plane.ask(method, path).headers["x-request-id"]


def test_a_server_that_is_stopped_says_so_and_keeps_no_connection(tmp_path):
    with Plane(tmp_path) as plane:
        assert plane.ask("GET", "/readyz").status_code == 200
        plane.plane.leave()
        assert plane.ask("GET", "/readyz").status_code == 503
        answered = plane.post()
        assert (answered.status_code, answered.headers["connection"]) == (200, "close")


def test_a_path_of_a_former_version_is_gone_and_its_successor_named(tmp_path):
    with Plane(tmp_path, former=(2,)) as plane:
        for method, path in (
            ("POST", "/v2/models/films/versions/2/infer"),
            ("GET", "/v2/models/films/versions/2"),
        ):
            answer = plane.ask(method, path)
            assert answer.status_code == 410
            assert "its successor is films, version 3" in answer.text
        assert plane.ask("GET", "/v2/models/films/versions/1").status_code == 404
        assert plane.ask("GET", "/v2/models/films/versions/3").status_code == 200
        assert plane.ask("GET", "/v2/models/films").status_code == 200
