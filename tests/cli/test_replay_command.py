"""`replay`, as a user meets it: to a data plane of our own, over sockets."""

from __future__ import annotations

import json
import signal
import subprocess
import threading

import pytest
from click.testing import CliRunner

from rig.archived import archive, journal
from rig.deployment import CHALLENGER, CONTROL, OPTIONS, deployment, made
from rig.journal import request
from rig.lane import answer, records, work
from rig.misbehaving import OK, always, misbehaving, request_of
from rig.plane import served as plane
from rig.scoring import double, opaque, record
from rig.served import COMMAND
from shadowserve.cli import main
from shadowserve.journal import reader
from shadowserve.journal.writer import Writer
from shadowserve.state import deployment as deployments

METRICS = b'shadowserve_requests_total{outcome="answered"} 0\n'
BODIES = [
    ("invocations", "application/json", b' {"dataframe_records": [ {"title": "x\\u00e9", "age": 1.50} ] } '),
    ("invocations", "application/json; charset=utf-8", '{"dataframe_split": {"columns": ["age", "title"], "data": [[2, "é"]]}}'.encode()),
    ("invocations", "text/csv", b"age,title\r\n3,three\r\n"),
    ("predict", "application/json", b'{"rows": [{"age": 4.0, "title": "x"}]}'),
    ("predict", "", b'{"rows": [{"age": 5.0, "title": "x"}]}'),
    ("infer", "application/json", json.dumps({"inputs": [
        {"name": "age", "shape": [1], "datatype": "FP64", "data": [6.0]},
        {"name": "title", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}).encode()),
]  # fmt: skip


@pytest.fixture
def places(tmp_path):
    found = made(tmp_path / "state")
    deployments.write(found, deployment())
    return found


def recorded(places, bodies=BODIES, *, gap_ns=10**6, **changes):
    writer = Writer(places.journal, worker=0)
    some = [
        request(writer.position(n), protocol=protocol, content_type=kind, body=sent, arrived_wall_ns=n * gap_ns, **changes)
        for n, (protocol, kind, sent) in enumerate(bodies)
    ]  # fmt: skip
    writer.append(some)
    writer.close()
    return some


def asked(places, url, *arguments, source="journal", live=True):
    given = ["replay", source, "--to", url, "--state-dir", str(places.root), *arguments]
    return CliRunner().invoke(main, given + (["--into-live"] if live else []))


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_kind_of_body_arrives_byte_for_byte_and_marked(tmp_path, places):
    some = recorded(places)
    with plane(tmp_path / "plane", metrics=lambda: METRICS) as (target, port):
        found = told(asked(places, f"http://127.0.0.1:{port}", "--json", live=False))
        counts = target.counts
    assert (found["sent"], found["statuses"], found["ended_by"]) == (6, {"200": 6}, "end")
    (there,) = list(tmp_path.glob("plane/**/0-*.db"))
    came = reader.JournalReader(there.parent, cursor={}).read(100).requests
    assert sorted(one[4:7] for one in came) == sorted(one[4:7] for one in some)
    assert {one.replay for one in came} == {found["replay"]}
    assert (counts.answered, counts.replayed, counts.own_ns) == (6, 6, 0)


def test_what_todays_signature_refuses_is_counted_and_listed(tmp_path, places):
    bad = [("invocations", "application/json", b'{"dataframe_records": [{"age": 1}]}')] * 3
    some = recorded(places, [*BODIES, *bad, ("invocations", "application/json", b"{")])
    with plane(tmp_path / "plane", metrics=lambda: METRICS) as (target, port):
        url = f"http://127.0.0.1:{port}"
        found = told(asked(places, url, "--json"))
        said = asked(places, url).stdout
        counts = target.counts
    assert found["refused"]["requests"] == 4
    assert found["refused"]["by"]["missing_column: title"] == 3
    assert {one["position"] for one in found["refused"]["listed"]} == {
        one.position for one in some[len(BODIES) :]
    }
    assert "missing_column: title 3" in said
    assert (counts.rejected, counts.replay_rejected) == (0, 8)


def test_a_token_is_needed_and_passed(tmp_path, places):
    recorded(places)
    file = tmp_path / "token"
    file.write_text("s3cret")
    file.chmod(0o600)
    with plane(tmp_path / "plane", token=b"s3cret", metrics=lambda: METRICS) as (_, port):
        url = f"http://127.0.0.1:{port}"
        without = asked(places, url, "--json", live=False)
        assert (without.exit_code, "--token-file" in without.stderr) == (2, True)
        found = told(asked(places, url, "--json", "--token-file", str(file), live=False))
        assert found["statuses"] == {"200": 6}


def test_one_that_is_in_use_is_refused_and_nothing_is_sent(tmp_path, places):
    recorded(places)
    busy = METRICS + b"shadowserve_last_own_request_age_seconds 3.0\n"
    with plane(tmp_path / "plane", metrics=lambda: busy) as (target, port):
        result = asked(places, f"http://127.0.0.1:{port}", live=False)
        assert (result.exit_code, target.counts.answered) == (2, 0)
        assert "has served another caller 3 s ago" in result.stderr
        assert told(asked(places, f"http://127.0.0.1:{port}", "--json"))["answered"] == 6


def test_somebody_who_comes_meanwhile_ends_it(places, monkeypatch):
    from shadowserve.replay import guard

    monkeypatch.setattr(guard.Guard.__init__, "__kwdefaults__", {"every_s": 0.05})
    recorded(places, BODIES * 200, gap_ns=10**7)
    came = []

    def either(made):
        head = made.recv(65_536)
        if head.startswith(b"GET"):
            age = b"0.0" if came else b"1e9"
            text = METRICS + b"shadowserve_last_own_request_age_seconds " + age + b"\n"
            made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            made.close()
            return
        while head:
            came.append(head)
            made.sendall(OK)
            head = made.recv(65_536)

    with misbehaving(either) as port:
        result = asked(places, f"http://127.0.0.1:{port}", "--json", live=False)
    assert result.exit_code == 2
    assert "serves somebody else since" in result.stderr
    found = json.loads(result.stdout)
    assert found["ended_by"] == "other_caller"
    assert 0 < found["sent"] < 1_200


REFUSED = [
    (["--speed", "2", "--rate", "3"], "--speed and --rate"),
    (["--shape", "ramp"], "--shape needs --rate"),
    (["--find-capacity", "--shape", "ramp", "--rate", "2"], "leave --shape and --speed out"),
    (["--plot", "x.svg"], "Add that"),
    (["--find-capacity", "--plot", "/nowhere/x.svg"], "in a directory that is there"),
    (["--for", "soon"], "is no duration"),
    (["--speed", "0"], "range x>0"),
    (["--limit", "0"], "range x>=1"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_flags_that_cannot_be_are_refused_before_anything_is_sent(places, arguments, words):
    recorded(places)
    result = asked(places, "http://127.0.0.1:9", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_limits_hold(places):
    recorded(places, BODIES * 20, gap_ns=10**7)
    with misbehaving(always(OK)) as port:
        url = f"http://127.0.0.1:{port}"
        assert told(asked(places, url, "--json", "--limit", "7"))["sent"] == 7
        assert told(asked(places, url, "--json", "--for", "195ms"))["sent"] == 20
        many = told(asked(places, url, "--json", "--rate", "2000", "--repeat", "--limit", "500"))
        assert (many["sent"], many["statuses"]) == (500, {"200": 500})
        shaped = ["--rate", "100", "--shape", "ramp", "--for", "1s", "--repeat"]
        assert told(asked(places, url, "--json", *shaped))["sent"] == pytest.approx(55, abs=2)


def test_nobody_who_answers_is_told_with_a_summary(places):
    recorded(places)

    def silent(made):
        request_of(made)
        made.close()

    with misbehaving(silent) as port:
        result = asked(places, f"http://127.0.0.1:{port}", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["lost"] == {"closed": 6}


def test_only_what_lanes_found_divergent_or_slow(tmp_path):
    places = made(tmp_path / "state", CHALLENGER, CONTROL)
    deployments.write(places, deployment())
    some = answer(places, records(40))
    work(
        places,
        opaque(lambda frame, params: double(frame, params) * (1 + (frame["age"].to_numpy() >= 35))),
    )
    came = []

    def handle(made):
        while True:
            came.append(request_of(made)[1])
            made.sendall(OK)

    with misbehaving(handle) as port:
        url = f"http://127.0.0.1:{port}"
        assert told(asked(places, url, "--json", "--only", "divergent"))["sent"] == len(came)
        assert sorted(came) == sorted(one.body for one in some[35:])
        assert told(asked(places, url, "--json", "--only", "slow"))["sent"] > 0
        wrong = asked(places, url, "--only", "nothing")
        assert (wrong.exit_code, "id of a finding" in wrong.stderr) == (2, True)


def test_the_archive_without_a_column_is_refused_by_its_name(tmp_path):
    places = made(tmp_path / "state")
    deployments.write(places, deployment(options={**OPTIONS, "drop_inputs": ("title",)}))
    journal(places, [record(1)])
    archive(places)
    result = asked(places, "http://127.0.0.1:9", source="archive")
    assert result.exit_code == 4  # nobody listens there, which is told first
    with misbehaving(always(OK)) as port:
        result = asked(places, f"http://127.0.0.1:{port}", source="archive")
    assert result.exit_code == 2
    assert "no values of title" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_with_the_summary_so_far(places, number):
    recorded(places, BODIES * 300, gap_ns=5 * 10**6)
    first = threading.Event()

    def handle(made):
        while True:
            request_of(made)
            first.set()
            made.sendall(OK)

    with misbehaving(handle) as port:
        command = [
            COMMAND,
            "replay",
            "journal",
            "--to",
            f"http://127.0.0.1:{port}",
            "--into-live",
            "--json",
        ]
        process = subprocess.Popen(
            [*command, "--state-dir", str(places.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        assert first.wait(60)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False)
    found = json.loads(out)
    assert found["ended_by"] == "interrupt"
    assert 0 < found["sent"] < 1_800
