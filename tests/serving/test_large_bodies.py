"""Large bodies: typed in another process as they would be here, whatever becomes of that process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import orjson
import psutil
import pytest

from rig.plane import served
from rig.scoring import SIGNATURE, body, native, pipeline, record
from shadowserve.errors import RequestError
from shadowserve.schema.plain import PlainRows
from shadowserve.schema.schema import Schema
from shadowserve.serving import large_bodies
from shadowserve.serving.large_bodies import LargeBodies, ParserFaultError
from shadowserve.wire.protocols import protocols

MIB = 2**20
HERE = Path(__file__).resolve().parent
SCHEMA = Schema.from_signature(SIGNATURE)
PROTOCOLS = protocols("films", 3)


def opened(kind: type[LargeBodies] = LargeBodies, schema: Schema = SCHEMA) -> LargeBodies:
    return kind(schema, model="films", version=3, title="shadowserve parser test")


@pytest.fixture(scope="module")
def large():
    found = opened()
    yield found
    found.close()


def typed(large: LargeBodies, sent: bytes, name="invocations", kind="application/json", **options):
    strict = options.get("strict", False)
    return asyncio.run(large.parse(PROTOCOLS[name], sent, kind, strict=strict))


def outcome(parse):
    """What a body is typed as, to the byte; or all of its refusal."""
    try:
        parsed = parse()
    except RequestError as error:
        return str(error), error.code, error.column, error.row, error.status
    outside, parts = PlainRows.of(parsed.rows)
    return outside, b"".join(parts), parsed.echo


def rows_of(n_bytes: int) -> list[dict]:
    one = {"age": 41.5, "title": "a long title " * 80}
    return [one] * (n_bytes // len(orjson.dumps(one)) + 1)


ROWS = rows_of(2 * MIB)
WHOLE = orjson.dumps({"dataframe_records": ROWS})
LINES = b"age,title\n" + b"41.5,a long title\n" * 60_000
TENSORS = {
    "id": "mine",
    "inputs": [
        {"name": "age", "shape": [20_000], "datatype": "FP64", "data": [41.5] * 20_000},
        {"name": "title", "shape": [20_000], "datatype": "BYTES", "data": ["a long title" * 5] * 20_000},
    ],
}  # fmt: skip


def changed(key: str, value: object) -> bytes:
    """The last of many rows is another."""
    return orjson.dumps({"dataframe_records": [*ROWS, {**ROWS[0], key: value}]})


BODIES = {
    "records": (WHOLE, "invocations", "application/json"),
    "a page's": (WHOLE, "invocations", "text/html"),
    "cut off": (WHOLE[:-1], "invocations", "application/json"),
    "cut off in a text": (WHOLE[:-20], "invocations", "application/json"),
    "no UTF-8": (WHOLE[:-20] + b"\xff" + WHOLE[-20:], "invocations", "application/json"),
    "two documents": (WHOLE + b"{}", "invocations", "application/json"),
    "a wrong type": (changed("age", "x"), "invocations", "application/json"),
    "a null": (changed("age", None), "invocations", "application/json"),
    "another column": (changed("x", 1), "invocations", "application/json"),
    "a row that is none": (
        orjson.dumps({"dataframe_records": [*ROWS, 1]}), "invocations", "application/json",
    ),
    "a key twice": (
        WHOLE[:-2] + b',{"age": 1, "age": 2, "title": "x"}]}', "invocations", "application/json",
    ),
    "too deep": (WHOLE[:-2] + b"," + b"[" * 70 + b"]" * 70 + b"]}", "invocations", "application/json"),
    "brackets alone": (b"[" * 2 * MIB, "invocations", "application/json"),
    "NaN": (
        WHOLE[:-2] + b',{"age": NaN, "title": "NaN"}]}', "invocations", "application/json",
    ),
    "too many rows": (
        orjson.dumps({"dataframe_records": [{"age": 1}] * 100_001}), "invocations", "application/json",
    ),
    "split": (
        orjson.dumps({"dataframe_split": {"columns": ["title", "age"], "data": [["x" * 90, 1]] * 20_000}}),
        "invocations", "application/json",
    ),
    "no rows": (b'{"dataframe_records": [' + b" " * 2 * MIB + b"]}", "invocations", "application/json"),
    "CSV": (LINES, "invocations", "text/csv"),
    "CSV, a short line": (LINES + b"1\n", "invocations", "text/csv"),
    "CSV, a quote without end": (LINES + b'1,"', "invocations", "text/csv"),
    "predict": (orjson.dumps({"rows": ROWS}), "predict", "application/json"),
    "predict, a wrong type": (orjson.dumps({"rows": [*ROWS, {"age": "x", "title": "y"}]}), "predict", "application/json"),
    "predict, another key": (WHOLE, "predict", "application/json"),
    "infer": (orjson.dumps(TENSORS), "infer", "application/json"),
    "infer, a value too few": (
        orjson.dumps({**TENSORS, "inputs": [{**TENSORS["inputs"][0], "shape": [20_001]}, TENSORS["inputs"][1]]}),
        "infer", "application/json",
    ),
    "infer, cut off": (orjson.dumps(TENSORS)[:-1], "infer", "application/json"),
}  # fmt: skip


STRICTLY = ("records", "NaN", "no UTF-8", "cut off", "split", "infer")
"""Bodies that are also read by strict JSON, of each kind one: NaN alone is told otherwise."""


@pytest.mark.parametrize(
    ("name", "strict"), [*((name, False) for name in BODIES), *((name, True) for name in STRICTLY)]
)
def test_a_body_is_typed_or_refused_as_it_is_here(large, name, strict):
    sent, protocol, kind = BODIES[name]

    def here():
        if strict:
            large_bodies.refuse_nan(sent)
        return PROTOCOLS[protocol].timed_parse(sent, kind, SCHEMA)

    apart = outcome(lambda: typed(large, sent, protocol, kind, strict=strict))
    assert apart == outcome(here)


def test_the_battery_has_rows_and_refusals():
    found = [outcome(lambda b=b: PROTOCOLS[b[1]].timed_parse(b[0], b[2], SCHEMA)) for b in BODIES.values()]  # fmt: skip
    codes = {one[1] for one in found if len(one) == 5}
    assert {"bad_json", "duplicate_key", "too_deep", "wrong_type", "too_large", "empty"} <= codes
    assert sum(len(one) == 3 for one in found) >= 5


def test_one_process_serves_many_bodies(large):
    typed(large, WHOLE)
    pid = large._process.pid
    assert psutil.Process(pid).cmdline()[0].startswith("shadowserve parser")
    for _ in range(3):
        typed(large, WHOLE)
    assert large._process.pid == pid


def test_only_what_is_very_large_waits_for_a_parser_to_begin():
    large = opened()
    try:
        assert not large.takes(large_bodies.APART)
        assert large.takes(large_bodies.WAITS)
        typed(large, WHOLE)  # by then it has begun
        pid = large._process.pid
        assert large.takes(large_bodies.APART)
        assert not large.takes(large_bodies.APART - 1)
        typed(large, WHOLE)
        assert large._process.pid == pid
    finally:
        large.close()


class Doomed(LargeBodies):
    """A parser that is killed each time as soon as it has begun; `spared` are left alive."""

    killed = 0
    spared = 10**9

    def _start(self):
        line = super()._start()
        if self.killed < self.spared:
            self.killed += 1
            os.kill(self._process.pid, signal.SIGKILL)
        return line


def test_a_body_whose_parser_is_killed_goes_to_another():
    large = opened(Doomed)
    large.spared = 1
    try:
        assert outcome(lambda: typed(large, WHOLE)) == outcome(
            lambda: PROTOCOLS["invocations"].timed_parse(WHOLE, "application/json", SCHEMA)
        )
        assert large.killed == 1
    finally:
        large.close()


def test_a_body_that_kills_two_parsers_is_refused_and_the_next_is_not():
    large = opened(Doomed)
    try:
        with pytest.raises(RequestError, match="ended over it") as refused:
            typed(large, WHOLE)
        assert refused.value.status == 500
        assert large.killed == 2
        large.spared = 2
        assert typed(large, WHOLE).rows.n_rows == len(ROWS)
    finally:
        large.close()


class LastOne(Doomed):
    """A parser that is killed as soon as it has begun, and that no other can follow: memory is short."""

    def _start(self):
        if self.killed:
            raise OSError("no process can be made")
        return super()._start()


def test_what_has_killed_a_parser_never_comes_near_the_champion():
    large = opened(LastOne)
    try:
        with pytest.raises(RequestError, match="ended over it") as refused:
            typed(large, WHOLE)
        assert refused.value.status == 500
        assert typed(large, WHOLE).rows.n_rows == len(ROWS)  # another one, which has killed none
    finally:
        large.close()


def test_a_parser_killed_amid_a_body_costs_nothing_but_time(large):
    """It stands still with a part of the body read, and is killed."""
    typed(large, WHOLE)
    pid = large._process.pid
    os.kill(pid, signal.SIGSTOP)
    found = []
    asking = threading.Thread(target=lambda: found.append(typed(large, WHOLE)))
    asking.start()
    time.sleep(0.2)
    assert not found
    os.kill(pid, signal.SIGKILL)
    asking.join(60)
    assert found[0].rows.n_rows == len(ROWS)
    assert large._process.pid != pid


def test_a_parser_that_does_not_answer_is_ended(monkeypatch):
    large = opened()
    try:
        typed(large, WHOLE)
        large._line.settimeout(0.2)
        stuck = large._process
        os.kill(stuck.pid, signal.SIGSTOP)
        with pytest.raises(RequestError) as refused:
            typed(large, WHOLE)
        assert refused.value.status == 500
        assert stuck.returncode == -signal.SIGKILL
        assert typed(large, WHOLE).rows.n_rows == len(ROWS)
    finally:
        large.close()


def test_where_none_can_be_started_bodies_are_parsed_here(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    large = opened()
    try:
        assert typed(large, WHOLE).rows.n_rows == len(ROWS)
        assert large._process is None
        with pytest.raises(RequestError, match="strict-json"):
            typed(large, BODIES["NaN"][0], strict=True)
    finally:
        large.close()


def test_a_type_hint_is_tried_on_the_models_own_thread_alone(monkeypatch):
    """It is the model's code, and changes what belongs to the whole process."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    tried = []
    hinted = replace(Schema.from_signature({"inputs": '[{"type": "double"}]'}), fits=tried.append)
    sent = orjson.dumps({"inputs": [1.5] * 90_000})
    PROTOCOLS["invocations"].timed_parse(sent, "application/json", hinted)
    assert len(tried) == 90_000  # where it is asked to
    large = opened(schema=hinted)
    try:
        typed(large, sent)
    finally:
        large.close()
    assert len(tried) == 90_000


def test_a_fault_of_ours_is_told_without_values(large, caplog):
    unheard = replace(PROTOCOLS["invocations"], name="unheard-of")
    with pytest.raises(ParserFaultError):
        asyncio.run(large.parse(unheard, WHOLE, "application/json", strict=False))
    assert "KeyError" in caplog.text
    assert "a long title" not in caplog.text
    assert typed(large, WHOLE).rows.n_rows == len(ROWS)


class Forgetful(LargeBodies):
    """Its parser may hold next to nothing."""

    def _start(self):
        line = super()._start()
        self.started = getattr(self, "started", 0) + 1
        return line


def test_a_parser_that_has_held_much_is_replaced(monkeypatch):
    large = opened(Forgetful)
    large._beginning = replace(large._beginning, most_memory=1)
    try:
        for _ in range(3):
            assert typed(large, WHOLE).rows.n_rows == len(ROWS)
        assert large.started == 3
    finally:
        large.close()


def test_it_ends_with_its_worker_however_that_ends():
    code = (
        "import asyncio, os, signal, sys\n"
        f"sys.path[:0] = {[str(HERE), str(HERE.parent.parent)]!r}\n"
        "import test_large_bodies as t\n"
        "large = t.opened()\n"
        "t.typed(large, t.WHOLE)\n"
        "print(large._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    _gone(int(ran.stdout))


def test_it_ends_when_its_worker_has_done():
    large = opened()
    typed(large, WHOLE)
    pid = large._process.pid
    os.kill(pid, signal.SIGTERM)  # a stop is the worker's to hear
    assert typed(large, WHOLE).rows.n_rows == len(ROWS)
    assert large._process.pid == pid
    large.close()
    _gone(pid)


def _gone(pid: int, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- behind a real server -------------------------------------------------------------------------


def asking(sent: bytes) -> bytes:
    return (
        b"POST /invocations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(sent)
    ) + sent


def answer(source) -> tuple[int, bytes]:
    status = int(source.readline().split()[1])
    length = 0
    while line := source.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
    return status, source.read(length)


@pytest.fixture(scope="module")
def behind(tmp_path_factory, large):
    scorer = native(pipeline())
    folder = tmp_path_factory.mktemp("large")
    with served(folder, scorer, large=large, max_body=9 * MIB) as (plane, port):
        yield plane, port


def called(port: int, sent: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=120) as caller:
        caller.sendall(asking(sent))
        return answer(caller.makefile("rb"))


MANY = body(*({**record(n), "title": record(n)["title"] * 40} for n in range(3_000)))
"""Six of them fit into the champion's line."""


def test_an_answer_is_to_the_byte_that_of_a_worker_that_parses_itself(behind, tmp_path):
    plane, port = behind
    assert len(MANY) > large_bodies.WAITS
    apart = called(port, MANY)
    with served(tmp_path, plane.serving.scorer, max_body=9 * MIB) as (_, other):
        assert called(other, MANY) == apart
    assert apart[0] == 200


def test_a_small_request_sent_ahead_is_answered_after_the_large_one(behind):
    _, port = behind
    small = body(record(1))
    with socket.create_connection(("127.0.0.1", port), timeout=120) as caller:
        caller.sendall(asking(MANY) + asking(small) + asking(MANY[:-1]) + asking(small))
        read = caller.makefile("rb")
        statuses = [answer(read)[0] for _ in range(4)]
    assert statuses == [200, 200, 400, 200]


def _idle(plane, *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while plane.counts.in_hand:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_many_at_once_are_all_answered(behind):
    plane, port = behind
    found = []
    callers = [
        threading.Thread(target=lambda n=n: found.append((n % 2, called(port, MANY[: -(n % 2)] if n % 2 else MANY)[0])))
        for n in range(12)
    ]  # fmt: skip
    for one in callers:
        one.start()
    for one in callers:
        one.join(120)
    assert sorted(found) == [(0, 200)] * 6 + [(1, 400)] * 6
    _idle(plane)  # an answer leaves just before it is no longer in hand


def test_who_sends_slowly_holds_up_nobody(behind):
    _, port = behind
    sent = asking(MANY)
    with socket.create_connection(("127.0.0.1", port), timeout=120) as slow:
        for at in range(0, len(sent), 2**18):
            slow.sendall(sent[at : at + 2**18])
            assert called(port, body(record(1)))[0] == 200
        assert answer(slow.makefile("rb"))[0] == 200


def test_who_leaves_while_his_body_is_parsed_holds_up_nobody(behind):
    plane, port = behind
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), timeout=120) as caller:
            caller.sendall(asking(MANY))
    assert called(port, MANY)[0] == 200
    _idle(plane)


def test_what_is_too_large_is_refused_before_it_is_handed_on(behind):
    plane, port = behind
    pid = plane._large._process.pid
    status, told = called(port, b" " * (9 * MIB + 1))
    assert (status, json.loads(told)["error"]["code"]) == (413, "too_large")
    assert plane._large._process.pid == pid
