"""A certificate is known to be good before anything slow, or refused in one line."""

from __future__ import annotations

import pytest

from rig.certificate import certified
from shadowserve.errors import SettingsError
from shadowserve.http import certificate
from shadowserve.http.certificate import Certificate
from shadowserve.settings.loading import load


def test_a_certificate_and_its_key_may_share_a_file(tmp_path):
    chain, key = certified(tmp_path)
    Certificate(chain, key).context()
    with pytest.raises(SettingsError, match="Give the key with --ssl-keyfile"):
        Certificate(chain).context()
    chain.write_bytes(chain.read_bytes() + key.read_bytes())
    Certificate(chain).context()


def test_what_is_no_certificate_is_named(tmp_path):
    chain, key = certified(tmp_path)
    with pytest.raises(SettingsError, match="nowhere"):
        Certificate(tmp_path / "nowhere", key).context()
    (tmp_path / "other").mkdir()
    _, strange = certified(tmp_path / "other")
    with pytest.raises(SettingsError, match="MISMATCH"):
        Certificate(chain, strange).context()


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path):
    with pytest.raises(SettingsError, match="encrypted"):
        Certificate(*certified(tmp_path, password=b"secret")).context()


def test_bentoml_is_told_in_its_own_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = load({"champion": "3", "ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"})
    told = certificate.of(asked.ssl_certfile, asked.ssl_keyfile).options()
    assert told == (
        *("--ssl-certfile", str(tmp_path / "c.pem")),
        *("--ssl-keyfile", str(tmp_path / "k.pem")),
    )
    assert certificate.of(None, None) is None


def test_a_key_without_a_certificate_is_a_slip():
    with pytest.raises(SettingsError, match="Give --ssl-certfile"):
        load({"champion": "3", "ssl_keyfile": "k.pem"})
