"""What stands against a start is said in one line with the next step, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from rig import tiny
from rig.certificate import certified
from rig.served import COMMAND, Served, run

pytestmark = pytest.mark.live


def serve(root, uri, *more, champion="1", **environ):
    arguments = ("--champion", champion, "--tracking-uri", uri, "--state-dir", str(root / "state"))
    ports = () if "--port" in more else ("--port", "0")
    console = () if "--console-port" in more else ("--console-port", "0")
    return run("serve", *arguments, *ports, *console, *more, cwd=root, **environ)


def is_refusal(ended, code, *words):
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    line = ended.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in line, line
    assert ended.stdout == ""


@pytest.fixture
def uri(tmp_path, store):
    """A registry of its own for each test: a refused start must not write to it."""
    import shutil

    shutil.copyfile(store.path, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_busy_port_names_the_flag(tmp_path, uri):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        is_refusal(serve(tmp_path, uri, "--port", port), 4, port, "in use", "--port")
        ended = serve(tmp_path, uri, "--console-port", port)
        is_refusal(ended, 4, port, "in use", "--console-port")


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    missing = tmp_path / "nowhere.db"
    is_refusal(serve(tmp_path, f"sqlite:///{missing}"), 4, "nowhere.db", "does not exist")
    assert not missing.exists()


def test_the_file_store_is_refused(tmp_path):
    ended = serve(tmp_path, str(tmp_path / "mlruns"))
    assert ended.returncode in (2, 4)
    assert "Traceback" not in ended.stderr


def test_an_unreachable_server_hides_its_password(tmp_path, free_port):
    """SS-121."""
    ended = serve(tmp_path, f"http://user:s3cret@127.0.0.1:{free_port}")
    is_refusal(ended, 4)
    assert "s3cret" not in ended.stderr
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes()


def test_unknown_model_version_and_alias_list_what_exists(tmp_path, uri):
    is_refusal(serve(tmp_path, uri, "--model", "cars"), 2, "cars", "tiny")
    is_refusal(serve(tmp_path, uri, champion="v77"), 2, "77", "v8")
    is_refusal(serve(tmp_path, uri, champion="@nobody"), 2, "@nobody", "@production")
    is_refusal(serve(tmp_path, uri, champion="latest"), 2, "latest")
    is_refusal(serve(tmp_path, uri, "--challenger", "99"), 2, "99")


def test_a_champion_that_cannot_be_loaded_ends_the_start_with_its_reason(tmp_path, uri):
    ended = serve(tmp_path, uri, champion=str(tiny.UNLOADABLE))
    is_refusal(ended, 2, "a_module_that_is_nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_directory_without_rights_is_named(tmp_path, uri):
    (tmp_path / "state").mkdir(mode=0o500)
    is_refusal(serve(tmp_path, uri), 2, "--state-dir")


def test_a_state_directory_that_is_a_file_is_named(tmp_path, uri):
    (tmp_path / "state").write_text("")
    is_refusal(serve(tmp_path, uri), 2, "--state-dir")


def test_every_fault_of_the_settings_is_told_together(tmp_path, uri):
    ended = serve(tmp_path, uri, "--sample-rate", "2", "--deadline", "soon", "--max-body", "x")
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 3
    assert not (tmp_path / "state").exists()


def test_a_console_for_others_wants_a_token(tmp_path, uri):
    is_refusal(serve(tmp_path, uri, "--console-host", "0.0.0.0"), 2, "--token-file")


@pytest.mark.parametrize(("text", "mode"), [("", 0o600), ("two words", 0o600), ("word", 0o644)])
def test_a_token_file_is_one_word_that_others_cannot_read(tmp_path, uri, text, mode):
    token = tmp_path / "token"
    token.write_text(text)
    token.chmod(mode)
    is_refusal(serve(tmp_path, uri, "--token-file", str(token)), 2, "--token-file")


def test_digests_and_library_versions_are_refused_on_demand(tmp_path, uri):
    ended = serve(tmp_path, uri, "--allow-digest", "0" * 64)
    is_refusal(ended, 2, "--allow-digest", "tiny:1")
    digest = next(w.strip(".,") for w in ended.stderr.split() if len(w.strip(".,")) == 64)
    again = serve(tmp_path, uri, "--allow-digest", digest, "--challenger", "8")
    is_refusal(again, 2, "tiny:8")


def test_cheap_checks_come_before_anything_slow(tmp_path, uri):
    """A busy port is told without importing MLflow or starting a worker."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        serve(tmp_path, uri, "--port", str(busy.getsockname()[1]))
    assert not (tmp_path / "state" / "logs" / "champion-0.log").exists()
    assert not (tmp_path / "state" / "deployment.json").exists()


def test_a_refused_start_leaves_no_process(tmp_path, uri):
    import psutil

    serve(tmp_path, uri, champion="v77")
    time.sleep(0.2)
    state = str(tmp_path / "state")
    found = [p for p in psutil.process_iter(["cmdline"]) if state in str(p.info["cmdline"])]
    assert not found


class Mute(BaseHTTPRequestHandler):
    """A registry that is there and never comes to an answer."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send_response(200)
            self.end_headers()
        else:
            self.server.asked.set()
            self.server.over.wait()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_stop_does_not_wait_for_a_registry_that_hangs(tmp_path):
    arguments = [COMMAND, "serve", "--model", "tiny", "--champion", "1"]
    arguments += ["--port", "0", "--console-port", "0", "--state-dir", str(tmp_path / "state")]
    with ThreadingHTTPServer(("127.0.0.1", 0), Mute) as server:
        server.asked, server.over = threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        started = subprocess.Popen(
            [*arguments, "--tracking-uri", uri],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "MLFLOW_HTTP_REQUEST_TIMEOUT": "600"},
        )
        try:
            assert server.asked.wait(60)
            started.send_signal(signal.SIGTERM)
            _, said = started.communicate(timeout=60)
        finally:
            started.kill()
            server.over.set()
            server.shutdown()
    assert (started.returncode, "Traceback" in said) == (0, False), said


def test_the_token_is_asked_for_on_both_ports_except_by_probes(tmp_path, store):
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    token.chmod(0o600)
    bearer = {"authorization": "Bearer open-sesame"}
    options = ("--token-file", str(token), "--no-control")
    with Served(tmp_path, store, *options) as served:
        assert served.post().status_code == 401
        assert served.post(authorization="Bearer wrong").status_code == 401
        assert served.post(**bearer).status_code == 200
        get = served.client.get
        for url in (f"{served.url}/livez", f"{served.url}/readyz", f"{served.console}/livez"):
            assert get(url).status_code == 200, url
        for url in (
            f"{served.url}/metrics",
            f"{served.url}/docs.json",
            f"{served.console}/status.json",
        ):
            assert get(url).status_code == 401, url
        assert served.client.post(f"{served.console}/pause").status_code == 401
        assert get(f"{served.console}/status.json", headers=bearer).status_code == 200
        assert get(f"{served.console}/status.json", auth=("me", "open-sesame")).status_code == 200
        token.unlink()  # or another one: who is replaced asks for what the others ask for
        pid = served.worker_pid()
        os.kill(pid, signal.SIGKILL)
        served.until(lambda: served.worker_pid() not in (0, pid), "a new worker")
        served.until(lambda: served.post(**bearer).status_code == 200, "answers again")
        assert served.post().status_code == 401


def test_both_ports_speak_https_where_there_is_a_certificate(tmp_path, store):
    chain, key = certified(tmp_path)
    options = ("--ssl-certfile", str(chain), "--ssl-keyfile", str(key), "--no-control")
    with Served(tmp_path, store, *options, challengers=()) as served:
        assert f"Ready          https://127.0.0.1:{served.facts['port']}/" in served.said()
        trusting = ssl.create_default_context(cafile=str(chain))
        with httpx.Client(verify=trusting, trust_env=False, timeout=30) as client:
            url = served.url.replace("http:", "https:")
            body = {"dataframe_records": [tiny.row()]}
            assert client.post(f"{url}/invocations", json=body).status_code == 200
            console = served.console.replace("http:", "https:")
            assert client.get(f"{console}/livez").status_code == 200
        with pytest.raises(httpx.HTTPError):
            served.post()


def test_a_lane_without_network_cannot_call_out(tmp_path, store):
    """SS-034: the call fails inside the challenger and is the challenger's error."""
    from shadowserve.host import isolation

    options = ("--lane-network", "off", "--no-control")
    if (why := isolation.why_not()) is not None:
        served = Served(tmp_path, store, *options).start(wait=False)
        assert served.process.wait(60) == 2
        assert why in served.said()
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        with Served(tmp_path, store, *options, challengers=(tiny.TRICKY,)) as served:
            assert served.post("call").status_code == 200
            (lane,) = served.settled()["lanes"]
            assert lane["challenger_error"] == 1
            routes = Path(f"/proc/{served.lane_pid(tiny.TRICKY)}/net/route").read_text()
            assert len(routes.splitlines()) <= 1
            below = served.processes()
            served.process.kill()
            import psutil

            assert not psutil.wait_procs(below, timeout=5)[1]
