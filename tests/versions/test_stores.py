from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.versions.stores import Uris, preflight, redact, uris


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def both(uri: str) -> Uris:
    return Uris(uri, uri)


def test_an_explicit_address_wins_over_everything_in_the_environment() -> None:
    environ = {
        "MLFLOW_TRACKING_URI": "http://wrong:1",
        "MLFLOW_REGISTRY_URI": "http://also-wrong:1",
    }
    assert uris("http://right:5000", environ=environ) == both("http://right:5000")
    assert uris("http://right:1", "http://reg:2", environ=environ) == Uris(
        "http://right:1", "http://reg:2"
    )


def test_mlflows_own_variables_come_next() -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://t:1", "MLFLOW_REGISTRY_URI": "http://r:2"}
    assert uris(environ=environ) == Uris("http://t:1", "http://r:2")
    assert uris(environ={"MLFLOW_TRACKING_URI": "http://t:1"}) == both("http://t:1")


def test_the_default_is_mlflow_db_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris(environ={}) == both(f"sqlite:///{tmp_path}/mlflow.db")


def test_relative_sqlite_paths_are_made_absolute_and_others_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris("sqlite:///a b/x.db").tracking == f"sqlite:///{tmp_path}/a b/x.db"
    assert uris("sqlite:////abs/50%25.db?timeout=5").tracking == "sqlite:////abs/50%25.db?timeout=5"
    assert uris("databricks").registry == "databricks"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://user:s3cret@127.0.0.1:1", "http://***@127.0.0.1:1"),
        ("https://s3cret@host/p", "https://***@host/p"),
        ("http://u:s3cr@et/s3cret@host", "http://***@host"),
        ("postgresql+psycopg2://u:s3cret@db/x?sslkey=s3cret", "postgresql+psycopg2://***@db/x?***"),
        ("two http://a:s3cret@b and http://c:s3cret@d?x=s3cret", None),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
    ],
)
def test_no_credential_survives_redaction(text: str, safe: str | None) -> None:
    redacted = redact(text)
    assert "s3cr" not in redacted
    assert safe in {None, redacted}
    assert redact(redacted) == redacted
    assert "s3cr" not in f"{both(text)} {both(text)!r} {Uris(text, 'x')}"


@pytest.mark.parametrize("uri", ["", "./mlruns", "/srv/mlruns", "file:///srv/mlruns", "C:/mlruns"])
def test_a_file_store_is_refused_with_the_way_out(uri: str) -> None:
    with pytest.raises(SettingsError, match="migrate-filestore"):
        preflight(both(uri))


@pytest.mark.parametrize("uri", ["ftp://host/x", "mongodb://u:s3cret@host/x", "sqllite:///x.db"])
def test_an_unknown_kind_of_store_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError, match="no known kind") as caught:
        preflight(both(uri))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "sqlite:///"])
def test_a_store_without_a_file_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError, match="names no file"):
        preflight(both(uri))


def test_a_missing_sqlite_file_is_named_and_never_made(tmp_path: Path) -> None:
    missing = tmp_path / "mlflow.db"
    (tmp_path / "mlruns").mkdir()
    with pytest.raises(UnreachableError, match="not made silently") as caught:
        preflight(both(f"sqlite:///{missing}"))
    assert str(missing) in str(caught.value)
    assert "migrate-filestore" in str(caught.value)
    assert not missing.exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all"])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="not an SQLite database"):
        preflight(both(f"sqlite:///{path}"))


def test_both_addresses_are_checked(tmp_path: Path) -> None:
    good = tmp_path / "x.db"
    good.write_bytes(b"SQLite format 3\x00")
    preflight(both(f"sqlite:///{good}"))
    with pytest.raises(UnreachableError, match="does not exist"):
        preflight(Uris(f"sqlite:///{good}", f"sqlite:///{tmp_path}/other.db"))


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql"])
def test_a_server_that_is_down_is_unreachable_and_no_password_is_told(
    free_port: int, scheme: str
) -> None:
    uri = f"{scheme}://user:s3cret@127.0.0.1:{free_port}/x"
    with pytest.raises(UnreachableError, match=r"No answer from .*refused") as caught:
        preflight(both(uri))
    assert caught.value.exit_code == 4
    assert "s3cret" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up(silent_port: int) -> None:
    with pytest.raises(UnreachableError, match="timed out"):
        preflight(both(f"http://127.0.0.1:{silent_port}"))


def test_an_answer_of_any_kind_means_reachable() -> None:
    program = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler); print(s.server_port, flush=True); s.handle_request()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        preflight(both(f"http://user:secret@127.0.0.1:{port}/"))


def test_nothing_here_imports_mlflow() -> None:
    program = "import shadowserve.versions.registry, shadowserve.scorer.loading, shadowserve.versions.stores, sys; print('mlflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "False"
