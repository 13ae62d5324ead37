"""Names are kept in the one spelling that the rest compares with, and refused with what is expected."""

from __future__ import annotations

import pytest

from rig.written_settings import faults_of, load


def test_a_version_may_be_a_bare_number_in_the_file():
    assert load(toml="champion = 3\nchallengers = [4, 'v5']").challengers == ("4", "v5")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("none", "none"), (" all ", "all"), ("age", ("age",)),
        (["all"], ("all",)), (["a,b"], ("a,b",)),
    ],
)  # fmt: skip
def test_inputs_are_none_all_or_columns(written, expected):
    """A list always holds columns, so a column may be called ``all``."""
    assert load({"log_inputs": written}).log_inputs == expected


def test_a_digest_is_64_hex_digits():
    assert load({"allow_digests": ("A" * 64,)}).allow_digests == ("a" * 64,)
    assert "no SHA-256" in faults_of({"allow_digests": ("abc",)})[0]


def test_hosts_and_origins_are_kept_in_their_one_spelling():
    settings = load(
        {"allow_hosts": ("Models.Example.", "*.corp.example", "*", "[fd00::5]")},
        environ={"SHADOWSERVE_ALLOW_ORIGINS": "HTTPS://Shop.example, http://localhost:8888, *"},
        toml='root_path = "/models/films/"\n',
    )
    assert settings.allow_hosts == ("models.example", "*.corp.example", "*", "fd00::5")
    assert settings.allow_origins == ("https://shop.example", "http://localhost:8888", "*")
    assert settings.root_path == "/models/films"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"allow_hosts": ("http://a",)}, "no host"),
        ({"allow_hosts": ("a:80",)}, "no host"),
        ({"allow_hosts": ("a b",)}, "no host"),
        ({"allow_hosts": ("*evil.example",)}, "no host"),
        ({"allow_origins": ("shop.example",)}, "no origin"),
        ({"allow_origins": ("null",)}, "no origin"),
        ({"allow_origins": ("https://a/b",)}, "no origin"),
        ({"root_path": "films"}, "no path"),
        ({"root_path": "/a//b"}, "no path"),
        ({"root_path": "/"}, "no path"),
        ({"root_path": "/../a?b"}, "no path"),
    ],
)
def test_what_is_no_host_origin_or_path_is_refused(flags, said):
    (fault,) = faults_of(flags)
    assert said in fault
