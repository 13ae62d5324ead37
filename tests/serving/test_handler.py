"""A scoring request is answered, or refused in its protocol's form and without a value."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace

import orjson
import pandas as pd
import pytest

from rig.asgi import calling
from rig.plane import JSON, Plane, error_of
from rig.scoring import SIGNATURE, body, double, opaque, pipeline, record
from shadowserve.serving.champion import Overloaded
from shadowserve.serving.handler import LARGE_BODY
from shadowserve.serving.ready import Ready
from shadowserve.state import counters, unknown_columns
from shadowserve.state.sampling import Sampling

SECRET = "s3cret-value"


def test_a_request_gets_the_champions_answer(tmp_path):
    with Plane(tmp_path) as plane:
        response = plane.post(body(record(1), record(2)))
        assert response.status_code == 200
        own = pipeline().predict(pd.DataFrame([record(1), record(2)]))
        assert response.json()["predictions"] == pytest.approx(own.tolist())
        assert response.headers["x-shadowserve-model"] == "films/3"
        assert response.headers["content-type"] == "application/json"
        (journaled,) = plane.serving.journaled()
        assert journaled.answer == response.content
        assert journaled.body == body(record(1), record(2))
        assert (journaled.protocol, journaled.content_type) == ("invocations", "application/json")


@pytest.mark.parametrize(
    ("path", "sent", "read"),
    [
        ("/predict", orjson.dumps({"rows": [record(1)]}), lambda told: told[0]),
        (
            "/v2/models/films/infer",
            orjson.dumps(
                {
                    "id": "own",
                    "inputs": [
                        {"name": "age", "datatype": "FP64", "shape": [1], "data": [1.0]},
                        {"name": "title", "datatype": "BYTES", "shape": [1], "data": ["blue blue"]},
                    ],
                }
            ),
            lambda told: told["outputs"][0]["data"][0] if told["id"] == "own" else None,
        ),
    ],
)
def test_every_protocol_gives_the_same_number(tmp_path, path, sent, read):
    with Plane(tmp_path) as plane:
        expected = plane.post().json()["predictions"][0]
        response = plane.post(sent, path)
        assert response.status_code == 200
        assert read(response.json()) == pytest.approx(expected)
        versioned = path.replace("films", "films/versions/3")
        assert plane.post(sent, versioned).status_code == 200


@pytest.mark.parametrize(
    ("sent", "head", "status", "code"),
    [
        (b"{", {}, 400, "bad_json"),
        (orjson.dumps({"dataframe_records": [{"age": SECRET, "title": "x"}]}), {}, 400, "wrong_type"),
        (orjson.dumps({"dataframe_records": [{"age": 1.0}]}), {}, 400, "missing_column"),
        (orjson.dumps({"dataframe_records": []}), {}, 400, "empty"),
        (orjson.dumps({"rows": [SECRET]}), {}, 400, None),
        (b'{"dataframe_records":[{"age":1e999,"title":"x"}]}', {}, 400, None),
        (b"\xff\xfe" + SECRET.encode(), {}, 400, None),
        (SECRET.encode(), {"content_type": "text/plain"}, 415, "unsupported_media_type"),
        (SECRET.encode(), {"content_encoding": "gzip"}, 415, "content_encoding"),
        (SECRET.encode() * 500, {}, 413, "too_large"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_one_form_and_without_a_value(
    tmp_path, caplog, sent, head, status, code
):
    caplog.set_level(logging.DEBUG)
    with Plane(tmp_path) as plane:
        response = plane.post(sent, **head)
        assert response.status_code == status
        error = error_of(response)
        assert code in (None, error["code"])
        assert SECRET not in response.text + caplog.text
        assert response.headers["x-shadowserve-model"] == "films/3"
        assert plane.counts.rejected == 1
        assert plane.serving.journaled() == []


def test_a_refusal_names_column_and_row(tmp_path):
    with Plane(tmp_path) as plane:
        sent = orjson.dumps({"dataframe_records": [record(1), {"age": "no", "title": "x"}]})
        error = error_of(plane.post(sent))
        assert (error["column"], error["row"]) == ("age", 1)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    """A declared length is enough; an undeclared one is counted as it comes."""

    async def endless():
        while True:
            yield b"x" * 1000

    with Plane(tmp_path) as plane:
        error = error_of(plane.ask("POST", "/invocations", content=endless(), headers=JSON))
        assert error["code"] == "too_large"
        declared = {**JSON, "content-length": str(10**12)}
        assert plane.ask("POST", "/invocations", content=b"", headers=declared).status_code == 413
        assert plane.counts.rejected == 2


def test_a_body_in_pieces_is_put_together(tmp_path):
    async def pieces():
        sent = body(record(1))
        for start in range(0, len(sent), 7):
            yield sent[start : start + 7]

    with Plane(tmp_path) as plane:
        response = plane.ask("POST", "/invocations", content=pieces(), headers=JSON)
        assert response.content == plane.post().content


def test_a_large_body_is_answered_as_a_small_one_is(tmp_path):
    sent = body(*[record(n) for n in range(3000)])
    assert len(sent) > LARGE_BODY
    with Plane(tmp_path, max_body=2**24) as plane:
        assert len(plane.post(sent).json()["predictions"]) == 3000


def test_a_wide_record_is_taken(tmp_path):
    """A thousand features in one request (SS-036)."""
    names = [f"f{n}" for n in range(1000)]
    wide = {"inputs": [{"name": name, "type": "double", "required": True} for name in names]}
    scorer = opaque(lambda frame, _: frame.sum(axis=1).to_numpy(), signature=wide)
    with Plane(tmp_path, scorer, max_body=2**20) as plane:
        response = plane.post(body(dict.fromkeys(names, 1.0)))
        assert response.json()["predictions"] == [1000.0]


def test_the_champions_own_exception_is_a_500_without_its_text(tmp_path, caplog):
    def fail(frame, params):
        raise ValueError(SECRET)

    with Plane(tmp_path, opaque(fail)) as plane:
        response = plane.post(x_request_id="mine")
        assert response.status_code == 500
        assert error_of(response)["code"] == "model_error"
        assert SECRET not in response.text + caplog.text
        assert "mine" in caplog.text
        assert (plane.counts.failed, plane.counts.appended) == (1, 1)


def test_an_overloaded_champion_says_when_to_come_back(tmp_path):
    class Full:
        def submit(self, work):
            raise Overloaded

    with Plane(tmp_path, opened=False) as plane:
        schema, sampling, _ = plane._ready
        plane.plane.open(Ready("films", 3, Full(), schema, sampling))
        response = plane.post()
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert error_of(response)["code"] == "overloaded"
        assert plane.counts.overloaded == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=latin-1", "text/csv"])
@pytest.mark.parametrize("path", ["/predict", "/v2/models/films/infer"])
def test_json_protocols_take_nothing_that_is_called_otherwise(tmp_path, path, kind):
    sent = {
        "/predict": {"rows": [record(1)]},
        "/v2/models/films/infer": {
            "inputs": [
                {"name": "age", "datatype": "FP64", "shape": [1], "data": [1.0]},
                {"name": "title", "datatype": "BYTES", "shape": [1], "data": ["x"]},
            ]
        },
    }[path]
    with Plane(tmp_path) as plane:
        assert plane.post(orjson.dumps(sent), path, content_type=kind).status_code == 415
        assert plane.ask("POST", path, content=orjson.dumps(sent)).status_code == 200
        assert plane.post(b'{"rows": {}}', path).status_code == 400


@pytest.mark.parametrize("path", ["/invocations", "/predict", "/v2/models/films/infer"])
@pytest.mark.parametrize(
    "head",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "text/plain; application/json"},
        {"origin": "http://test"},
        {"sec-fetch-site": "same-origin"},
        {"user-agent": "Mozilla/5.0"},
    ],
)
def test_no_body_is_taken_in_a_form_that_any_page_may_send(tmp_path, path, head):
    with Plane(tmp_path) as plane:
        assert plane.ask("POST", path, content=body(record(1)), headers=head).status_code == 415
        assert plane.counts.appended == 0


def test_programs_need_no_content_type_where_they_needed_none(tmp_path):
    sent = orjson.dumps({"rows": [record(1)]})
    with Plane(tmp_path) as plane:
        assert plane.ask("POST", "/predict", content=sent).status_code == 200


def test_unknown_columns_are_ignored_counted_and_named(tmp_path):
    with Plane(tmp_path) as plane:
        sent = body({**record(1), "tenure": 3, "region": 4})
        assert plane.post(sent).content == plane.post().content
        assert plane.counts.extra_columns == 2
        assert plane.post(body({**record(2), "region": SECRET})).status_code == 200
    assert unknown_columns.read([tmp_path / "0.names"]).to_dict() == {
        "names": ["tenure", "region"], "more": False,
    }  # fmt: skip


def test_a_share_of_the_requests_is_sampled_by_their_id(tmp_path):
    with Plane(tmp_path, sampling=Sampling(rate=0.5, salt="s")) as plane:
        for n in range(40):
            assert plane.post(x_request_id=f"r{n % 10}").status_code == 200
        taken = {one.request_id for one in plane.serving.journaled() if one.body is not None}
        left = {one.request_id for one in plane.serving.journaled() if one.body is None}
    assert taken and left and not taken & left  # noqa: PT018 - one statement: a partition


def test_a_client_that_leaves_before_its_request_is_whole_is_counted(tmp_path):
    async def leave(plane):
        messages = iter(
            [
                {"type": "http.request", "body": b"{", "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive():
            return next(messages)

        async def send(message):
            raise AssertionError(message)

        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": []}
        await plane.plane(scope, receive, send)

    with Plane(tmp_path) as plane:
        asyncio.run(leave(plane))
        assert plane.counts.client_gone == 1


def test_what_nobody_foresaw_is_answered_without_a_text(tmp_path, caplog):
    class Broken:
        def takes(self, request_id, rows):
            raise LookupError(SECRET)

    with Plane(tmp_path, sampling=Broken()) as plane:
        response = plane.post()
        assert response.status_code == 500
        assert error_of(response)["code"] == "internal_error"
        assert SECRET not in response.text + caplog.text


def test_everything_that_was_asked_is_counted_once(tmp_path):
    """Ten good, three that the model refuses, two malformed (SS-074)."""

    def picky(frame, params):
        if (frame["age"] < 0).any():
            raise ValueError
        return double(frame, params)

    with Plane(tmp_path, opaque(picky, signature=SIGNATURE)) as plane:
        for n in range(10):
            plane.post(body(record(n)))
        for _ in range(3):
            plane.post(body({"age": -1.0, "title": ""}))
        for _ in range(2):
            plane.post(b"[")
        found = counters.read(tmp_path / "0.bin")
    assert (found.answered, found.failed, found.rejected) == (10, 3, 2)
    assert found.appended == 13


def test_callers_whose_bodies_do_not_end_leave_room_for_others(tmp_path):
    """Large bodies in hand are bounded together; small ones are answered meanwhile."""
    with Plane(tmp_path, max_body=2**20) as plane:
        plane.plane.scoring._bodies.most = 3 * 2**18

        async def piece_by_piece(going):
            yield b" " * 2**18
            yield b" " * 2**18
            await going.wait()

        async def ask():
            going = asyncio.Event()
            async with calling(plane.plane) as client:
                slow = asyncio.create_task(
                    client.post("/invocations", content=piece_by_piece(going), headers=JSON)
                )
                while not plane.plane.scoring._bodies.held:
                    await asyncio.sleep(0)
                refused = await client.post(
                    "/invocations", content=piece_by_piece(going), headers=JSON
                )
                small = await client.post("/invocations", content=body(record(1)), headers=JSON)
                going.set()
                return refused, small, await slow

        refused, small, slow = asyncio.run(ask())
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert small.status_code == 200
        assert slow.status_code == 400
        assert plane.counts.overloaded == 1
        assert plane.plane.scoring._bodies.held == 0


def test_what_is_in_hand_is_counted_until_it_is_answered(tmp_path):
    """So that whoever buries a worker knows how many requests died with it."""
    seen = []

    def answer(frame, params):
        seen.append(plane.counts.in_hand)
        return double(frame, params)

    with Plane(tmp_path, opaque(answer)) as plane:
        assert plane.post().status_code == 200
        assert plane.post(b"{").status_code == 400
        assert seen[-1] == 1
        assert plane.counts.in_hand == 0


def test_a_request_before_the_champion_is_loaded_is_counted_as_such(tmp_path):
    with Plane(tmp_path, opened=False) as plane:
        response = plane.post()
        assert (response.status_code, error_of(response)["code"]) == (503, "not_ready")
        assert response.headers["retry-after"] == "1"
        assert (plane.counts.not_ready, plane.counts.overloaded) == (1, 0)


def test_a_type_hint_is_tried_where_the_model_is_called(tmp_path):
    """Its validators are the model's own code: on the event loop they would hold up everybody."""
    threads = []

    def fits(value):
        threads.append(threading.current_thread().name)
        if value == 3.0:
            raise SystemExit("s3cret-value")
        return "Age (too_old)" if value == 2.0 else None

    signature = {"inputs": '[{"type": "double"}]'}
    scorer = opaque(lambda frame, _: frame[0].to_numpy() * 2, signature=signature)
    scorer = replace(scorer, schema=replace(scorer.schema, fits=fits))
    with Plane(tmp_path, scorer) as plane:
        found = [plane.post(b'{"inputs": [%d]}' % n) for n in (1, 2, 3, 4)]
        assert [one.status_code for one in found] == [200, 400, 500, 200]
        assert error_of(found[1])["row"] == 0
        assert "Age (too_old)" in error_of(found[1])["message"]
        assert set(threads) == {"champion"}
        counts = plane.counts
        assert (counts.answered, counts.failed, counts.rejected, counts.appended) == (2, 1, 1, 3)


def test_of_a_batch_only_the_requests_that_do_not_fit_are_refused(tmp_path):
    signature = {"inputs": '[{"type": "double"}]'}
    scorer = opaque(lambda frame, _: frame[0].to_numpy() * 2, signature=signature)
    scorer = replace(scorer, schema=replace(scorer.schema, fits=lambda v: "odd" if v % 2 else None))

    async def ask(plane):
        async with calling(plane.plane) as client:
            sent = [b'{"inputs": [%d]}' % n for n in range(20)]
            asked = [client.post("/invocations", content=one, headers=JSON) for one in sent]
            return await asyncio.gather(*asked)

    with Plane(tmp_path, scorer) as plane:
        found = asyncio.run(ask(plane))
        assert [one.status_code for one in found] == [200, 400] * 10
        assert [one.json()["predictions"] for one in found[::2]] == [[4.0 * n] for n in range(10)]
        assert (plane.counts.answered, plane.counts.rejected) == (10, 10)


def test_a_body_that_does_not_come_is_given_up(tmp_path):
    async def ask(plane):
        sent = []

        async def receive():
            if sent:
                raise AssertionError
            await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": []}
        await asyncio.wait_for(plane.plane(scope, receive, send), 20)
        return sent

    with Plane(tmp_path, read_timeout_s=0.05) as plane:
        start, rest = asyncio.run(ask(plane))
        assert start["status"] == 408
        assert (b"connection", b"close") in start["headers"]
        assert orjson.loads(rest["body"])["error"]["code"] == "body_timeout"
        assert (plane.counts.rejected, plane.counts.in_hand) == (1, 0)


@pytest.mark.parametrize("strict", [False, True])
def test_a_gap_as_python_writes_it_is_taken_in_every_protocol_unless_strictness_is_asked_for(
    tmp_path, strict
):
    sent = {
        "/invocations": b'{"dataframe_records": [{"age": NaN, "title": "a"}]}',
        "/predict": b'{"rows": [{"age": NaN, "title": "a"}]}',
        "/v2/models/films/infer": b'{"inputs": [{"name": "age", "shape": [1], "datatype": "FP64", "data": [NaN]},'
        b' {"name": "title", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}',
    }  # fmt: skip
    with Plane(tmp_path, opaque(lambda frame, _: [0.0] * len(frame), signature=SIGNATURE)) as plane:
        schema, sampling, _ = plane._ready
        champion = plane.serving.champion
        plane.plane.open(Ready("films", 3, champion, schema, sampling, strict_json=strict))
        for path, content in sent.items():
            told = plane.ask("POST", path, content=content, headers=JSON)
            assert told.status_code == (400 if strict else 200), (path, told.text)
        assert (
            plane.post(b'{"dataframe_records": [{"age": 1.0, "title": "NaN"}]}').status_code == 200
        )
