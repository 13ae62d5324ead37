"""What callers and the team get over HTTP from a healthy deployment."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig import tiny
from rig.served import Served, expected
from shadowserve.comparison.bursts import BURST_EVERY

pytestmark = pytest.mark.live

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def served(tmp_path_factory, store):
    options = ("--max-body", "1MiB", "--entity-header", "X-Customer")
    with Served(tmp_path_factory.mktemp("serving"), store, *options) as deployment:
        yield deployment


def test_an_answer_carries_the_callers_id_and_the_champions_name(served):
    told = served.post(**{"X-Request-ID": "my-id"})
    assert told.status_code == 200
    assert told.headers["x-request-id"] == "my-id"
    assert told.headers["x-shadowserve-model"] == "tiny/1"
    assert served.post().headers["x-request-id"] != served.post().headers["x-request-id"]


def test_the_answer_is_the_champions(served):
    (value,) = served.post("nnnn", x=2.0).json()["predictions"]
    assert value == pytest.approx(expected(2.0, "nnnn"), abs=0.5)


def test_a_header_names_whom_a_request_is_for(served):
    def unit():
        served.settled()
        return served.report()["judgement"]["unit"]

    before = unit()
    for who in ("ann", "bob", "ann"):
        assert served.post(**{"X-Customer": who}).status_code == 200
    after = unit()
    assert after["name"] == "x-customer"
    assert (after["n"] - before["n"], after["without"] - before["without"]) == (2, 0)
    served.post()
    assert unit()["without"] - before["without"] == 1


def refused(served, body: bytes, status: int, *, path="/invocations", headers=JSON, method="POST"):
    told = served.client.request(method, served.url + path, content=body, headers=headers)
    assert told.status_code == status, told.text
    return told.json()["error"]


@pytest.mark.parametrize(
    ("record", "code", "column"),
    [
        ({"x": 1.0}, "missing_column", "note"),
        ({"x": "warm", "note": "n"}, None, "x"),
        ({"x": 1.0, "note": 3}, None, "note"),
    ],
)
def test_bad_input_is_named_by_column_and_rule(served, record, code, column):
    error = refused(served, json.dumps({"dataframe_records": [record]}).encode(), 400)
    assert set(error) == {"code", "message", "column", "row", "request_id"}
    assert error["column"] == column
    assert code is None or error["code"] == code


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"dataframe_records": 3}', b'{"what": []}', b"[" * 100_000,
     b'{"dataframe_records":' + b'[{"x":' * 50_000],
)  # fmt: skip
def test_what_is_no_request_is_a_400_not_a_500(served, body):
    assert refused(served, body, 400)["request_id"]


def test_other_refusals_have_the_same_form(served):
    assert refused(served, b"x" * (2**20 + 1), 413)["code"] == "too_large"
    assert refused(served, b"a;b", 415, headers={"content-type": "text/x-unknown"})["code"]
    assert refused(served, b"{}", 415, headers={**JSON, "content-encoding": "gzip"})["code"]
    assert refused(served, b"", 405, method="GET")["code"] == "method_not_allowed"


def test_an_unknown_path_is_a_404(served):
    assert served.client.get(f"{served.url}/nowhere").status_code == 404
    assert served.client.post(f"{served.url}/v2/models/other/infer").status_code == 404


def test_health_metrics_and_metadata_answer(served):
    get = served.client.get
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/v2"):
        assert get(served.url + path).status_code == 200, path
    about = get(f"{served.url}/v2/models/tiny").json()
    assert about["name"] == "tiny"
    assert "1" in about["versions"]
    assert get(f"{served.console}/livez").status_code == 200
    assert "shadowserve_requests_total" in get(f"{served.url}/metrics").text


def test_the_inference_protocol_answers_what_invocations_answers(served):
    inputs = [
        {"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [1.5]},
        {"name": "note", "datatype": "BYTES", "shape": [1, 1], "data": ["nn"]},
    ]
    told = served.client.post(f"{served.url}/v2/models/tiny/infer", json={"inputs": inputs}).json()
    assert told["outputs"][0]["data"] == served.post("nn", x=1.5).json()["predictions"]


CLIENT = """
import json, sys, bentoml
with bentoml.SyncHTTPClient(sys.argv[1]) as client:
    print(json.dumps(client.predict(rows=json.loads(sys.argv[2]))))
"""


def test_bentomls_own_client_is_answered(served):
    rows = json.dumps([tiny.row(1.5, "nn"), tiny.row(0.5, "n")])
    run = [sys.executable, "-W", "ignore", "-c", CLIENT, served.url, rows]
    told = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert told[0] == served.post("nn", x=1.5).json()["predictions"][0]
    assert len(told) == 2


def test_each_of_many_callers_gets_the_answer_to_its_own_row(served):
    """SS-027: answers of a shared batch are not mixed up."""
    xs = [i / 100 for i in range(-100, 100)]
    with ThreadPoolExecutor(32) as pool:
        told = list(pool.map(lambda x: served.post("nn", x=x).json()["predictions"], xs))
    alone = [served.post("nn", x=x).json()["predictions"] for x in xs[::20]]
    assert all(len(one) == 1 for one in told)
    assert [one[0] for one in told] == pytest.approx([expected(x, "nn") for x in xs], abs=0.5)
    for together, single in zip(told[::20], alone, strict=True):
        assert together == pytest.approx(single, rel=1e-9, abs=1e-12)


def test_wide_and_unknown_columns_do_no_harm(served):
    """SS-036: nothing of a request's width goes into a header."""
    record = tiny.row() | {f"unknown_{i}": i for i in range(1000)}
    told = served.client.post(f"{served.url}/invocations", json={"dataframe_records": [record]})
    assert told.status_code == 200
    extra = served.ledger()["extra_columns"]
    assert (extra["count"], extra["more"], len(extra["names"])) == (1000, True, 50)
    assert extra["names"][:2] == ["unknown_0", "unknown_1"]
    assert "unknown_0" not in json.dumps(served.report(tiny.BETTER))


def test_the_ledger_balances_and_has_its_shape(served):
    told = served.settled()
    assert told["balanced"] is True
    champion, journal = told["champion"], told["journal"]
    assert champion["version"] == 1
    assert champion["answered"] + champion["failed"] == journal["appended"]
    assert champion["rejected"] > 0
    assert [(lane["role"], lane["version"]) for lane in told["lanes"]] == [
        ("challenger", tiny.BETTER),
        ("control", tiny.CHAMPION),
    ]
    for lane in told["lanes"]:
        assert lane["state"] == "running"
        ended = sum(v for k, v in lane.items() if k in OUTCOMES) + sum(lane["skipped"].values())
        assert ended + lane["pending"] == journal["appended"]


OUTCOMES = (
    "both_ok", "challenger_error", "champion_error", "both_error", "timed_out", "crashed",
    "sampled_out",
)  # fmt: skip


def test_the_report_is_the_contracts(served):
    told = served.report(tiny.BETTER)
    wanted = {
        "schema", "model", "champion", "challenger", "requests", "windows", "verdict", "findings",
        "divergence", "latency", "features", "slices", "ledger",
    }  # fmt: skip
    assert wanted <= set(told)
    assert told["verdict"] in {"promote", "continue", "reject"}
    unknown = served.client.get(f"{served.console}/report.json", params={"challenger": "9"})
    assert unknown.status_code == 400


def test_what_the_champion_refuses_is_tried_by_the_challengers_signature(served):
    """Both have one signature here, so the challenger takes none of them either."""
    bad = json.dumps({"dataframe_records": [{"x": 1.0}]})
    assert served.client.post(f"{served.url}/invocations", content=bad, headers=JSON).status_code == 400  # fmt: skip
    served.until(lambda: served.report(tiny.BETTER)["refused"]["tried"], "the lane")
    assert served.report(tiny.BETTER)["refused"]["taken"] == 0


def test_every_series_moves(served):
    """SS-076: champion, challenger and each step are exported."""
    for _ in range(2 * BURST_EVERY):  # the control's first burst is its warm-up
        served.post()
    served.settled()
    text = served.client.get(f"{served.url}/metrics").text
    for role in ("champion", "challenger", "control"):
        assert any(
            f'role="{role}"' in line and not line.endswith(" 0.0")
            for line in text.splitlines()
            if line.startswith("shadowserve_step_seconds_count")
        ), role


def test_the_same_command_given_again_changes_nothing_and_starts_no_second_one(served):
    options = ("--max-body", "1MiB", "--entity-header", "X-Customer")
    other = Served(served.root, tiny.Store("", served.store), *options)
    other.talk = served.root / "other.txt"
    other.start(wait=False)
    assert other.process.wait(60) == 0
    assert "is served already" in other.said()


def test_the_start_says_what_runs_where(served):
    """SS-033: copies, memory, bodies, placement, addresses."""
    said = served.said()
    assert "1 of the champion to serve, 2 in lanes; 3 processes hold a model" in said
    assert served.console in said
    assert " MiB" in said.partition("Lanes  ")[2]
    for word in (
        "Store",
        "Champion",
        "Challenger",
        "Request bodies",
        "Evidence",
        "Placement",
        "Memory",
    ):
        assert word in said


def test_answers_are_the_same_bytes_with_and_without_lanes(served, tmp_path, store):
    """Law 1, one request at a time."""
    xs = [i / 7 for i in range(100)]

    def answers(deployment):
        told = [deployment.post("nn" * (i % 3 + 1), x=x) for i, x in enumerate(xs)]
        return [(one.status_code, one.content) for one in told]

    with Served(tmp_path, store, "--no-control", challengers=()) as alone:
        without = answers(alone)
        assert alone.ledger()["lanes"] == []
        assert alone.ledger()["balanced"]
    assert answers(served) == without


def test_another_entity_takes_over_as_a_deployment_of_its_own(served):
    before, pid = served.ledger()["deployment"], served.facts["pid"]
    other = Served(served.root, tiny.Store("", served.store))
    other.talk = served.root / "unlike.txt"
    other.start(wait=False)
    assert other.process.wait(120) == 0, other.said()
    assert "has taken over" in other.said()
    assert "Traceback" not in other.said()
    assert served.post().status_code == 200
    assert served.facts["pid"] == pid
    served.until(lambda: served.ledger()["deployment"] != before, "the new deployment's console")
