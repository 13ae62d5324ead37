"""Files that come slowly, or not at all: the reader is patient, says how far it is, and blames the right one."""

from __future__ import annotations

import os
import sqlite3
import threading

import pytest
from sklearn.linear_model import LinearRegression

from rig.registry import FRAME, register, shared_store
from shadowserve.errors import RegistryError, ShadowserveError, UnreachableError
from shadowserve.versions import downloads
from shadowserve.versions.pins import Pin, parse
from shadowserve.versions.registry import Registry

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


@pytest.fixture
def registry(monkeypatch):
    for name in downloads.CALL_PATIENCE:
        monkeypatch.delenv(name, raising=False)
    return Registry(shared_store().uris)


def lying_at(source: str) -> Pin:
    """A version that was registered with files in another place."""
    store = shared_store()
    name = f"lies-{abs(hash(source))}"
    store.client.create_registered_model(name)
    return Pin(name, int(store.client.create_model_version(name, source).version))


def test_files_are_waited_for_longer_than_a_call(registry):
    with downloads.reading("m:1", "s3://bucket"):
        assert float(os.environ[TIMEOUT]) >= 300
    assert os.environ[TIMEOUT] == "10"


def test_a_users_own_patience_stays(monkeypatch):
    monkeypatch.setenv(TIMEOUT, "7")
    with downloads.patient():
        assert os.environ[TIMEOUT] == "7"


def test_whoever_waits_is_told_how_far_a_download_is(tmp_path):
    said, heard = [], threading.Event()
    with downloads.told(
        lambda line: (said.append(line), heard.set()), "m:3", tmp_path, 300_000_000, every_s=0.01
    ):
        (tmp_path / "part").write_bytes(b"x" * 3_000_000)
        heard.clear()
        assert heard.wait(60)
    assert said[-1].startswith("Downloading    m:3: 3 of 300 MB")


def test_a_download_that_comes_at_once_says_nothing(tmp_path):
    said = []
    with downloads.told(said.append, "m:3", tmp_path, 0):
        pass
    assert said == []


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        ("s3://bucket/some/model", UnreachableError, ("s3://bucket/some/model", "package 'boto3'", "pip install boto3")),
        ("gs://bucket/model", UnreachableError, ("gs://bucket/model", "google-cloud-storage")),
        ("http://127.0.0.1:1/files/model", UnreachableError, ("http://127.0.0.1:1/files/model", "The registry answers")),
        ("nosuch://place/model", UnreachableError, ("nosuch://place/model", "The registry answers")),
        ("runs:/0123456789abcdef0123456789abcdef/model", RegistryError, ("runs:/0123", "nothing is there")),
    ],
)  # fmt: skip
def test_a_fault_names_the_files_their_place_and_what_is_missing(
    registry, tmp_path, source, kind, told
):
    pin = lying_at(source)
    for read in (registry.describe, lambda pin: registry.fetch(pin, tmp_path)):
        with pytest.raises(kind) as caught:
            read(pin)
        text = str(caught.value)
        assert all(part in text for part in (str(pin), *told)), text
        assert "Check that it runs" not in text


def test_no_fault_of_the_files_quotes_a_password(registry, tmp_path):
    pin = lying_at("http://ann:s3cret@127.0.0.1:1/files?token=abc")
    with pytest.raises(ShadowserveError) as caught:
        registry.fetch(pin, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_an_alias_of_a_version_that_is_gone_says_so(registry):
    store = shared_store()
    for factor in (1, 2):
        model = LinearRegression().fit(FRAME, FRAME["a"] * factor)
        register(store, "dangling", model)
    store.client.set_registered_model_alias("dangling", "champ", "2")
    with sqlite3.connect(store.root / "mlflow.db") as database:
        database.execute("delete from model_versions where name = 'dangling' and version = 2")
    with pytest.raises(
        RegistryError, match=r"'@champ' .* version 2, which is no longer there. It has v1"
    ):
        registry.resolve(parse("dangling@champ"), None)
