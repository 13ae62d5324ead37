"""The token is one word in a file of one's own, borne as a bearer token or as a password."""

from __future__ import annotations

import base64
import os

import pytest

from shadowserve.errors import SettingsError
from shadowserve.http import tokens


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_the_files_one_word(tmp_path):
    assert tokens.read(write(tmp_path / "t", "  abc\n")) == b"abc"


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "0 words"),
        ("x" * 70_000, 0o600, "longer"),
        ("a b", 0o600, "2 words"),
        ("secret", 0o640, "chmod 600"),
    ],
)
def test_what_is_no_token_is_refused_without_being_told(tmp_path, text, mode, said):
    with pytest.raises(SettingsError, match=said) as refused:
        tokens.read(write(tmp_path / "t", text, mode))
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match="nowhere"):
        tokens.read(tmp_path / "nowhere")


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("given", "admitted"),
    [
        (b"Bearer abc", True),
        (b"bearer abc", True),
        (b"Bearer abcd", False),
        (b"abc", False),
        (b"Digest abc", False),
        (None, False),
        (basic("anyone:abc"), True),
        (basic("abc:"), False),
        (basic("abc"), False),
        (b"Basic !", False),
    ],
)
def test_who_bears_the_token_is_admitted(given, admitted):
    assert tokens.admits(b"abc", given) is admitted


def test_without_a_token_everybody_is_admitted():
    assert tokens.admits(None, None)


def test_the_token_is_inherited_whatever_becomes_of_its_file(tmp_path, monkeypatch):
    """A worker that is replaced asks for the token that the others ask for."""
    monkeypatch.delenv(tokens.VARIABLE, raising=False)
    assert tokens.from_environment() is None
    held = tokens.hold(write(tmp_path / "t", "abc\n"))
    (tmp_path / "t").unlink()
    for _ in range(2):
        monkeypatch.setenv(tokens.VARIABLE, str(os.dup(held)))
        assert tokens.from_environment() == b"abc"
        assert tokens.VARIABLE not in os.environ
    os.close(held)
    assert list(tmp_path.iterdir()) == []
