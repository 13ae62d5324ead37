"""What people write is read one way, and what has no meaning is refused with what to write."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.settings import spellings


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10s", 10.0), ("500ms", 0.5), ("1m", 60.0), ("2h", 7200.0), ("7d", 604800.0),
        ("10", 10.0), (10, 10.0), (2.5, 2.5), (" 1.5 s ", 1.5), ("10S", 10.0),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(written, seconds):
    assert spellings.duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "0", "0s", "-1s", "s", "10 lightyears", "1e3s", "inf", math.inf, math.nan, True, None, []],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match="Write 10s, 500ms or 1m"):
        spellings.duration(written)


@pytest.mark.parametrize(
    ("written", "n_bytes"),
    [
        ("2GiB", 2 * 2**30), ("512MiB", 512 * 2**20), ("16mib", 16 * 2**20), ("1TiB", 2**40),
        ("2GB", 2 * 10**9), ("3 kB", 3000), ("1.5KiB", 1536), ("100", 100), (100, 100), ("7B", 7),
    ],
)  # fmt: skip
def test_a_size_is_bytes(written, n_bytes):
    assert spellings.size(written) == n_bytes


@pytest.mark.parametrize(
    "written", ["", "0", "-1", "0.5", "2G", "2 Gi", "GiB", "many", False, None]
)
def test_what_is_no_size_is_refused(written):
    """A bare G could mean either of two sizes, so it means none."""
    with pytest.raises(ValueError, match="Write 2GiB, 512MiB"):
        spellings.size(written)


@given(st.integers(1, 2**50))
def test_a_size_written_in_bytes_or_a_power_of_1024_keeps_its_value(n_bytes):
    assert spellings.size(str(n_bytes)) == n_bytes
    assert spellings.size(f"{n_bytes} KiB") == 1024 * n_bytes


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.booleans(), st.none()))
def test_every_reader_answers_with_a_value_or_a_value_error(written):
    for read in (
        spellings.duration, spellings.size, spellings.share, spellings.port, spellings.count,
        spellings.switch, spellings.text, spellings.texts, spellings.one_of(("a", "b")),
    ):  # fmt: skip
        try:
            read(written)
        except ValueError as error:
            assert str(error).strip()  # noqa: PT017 - most inputs raise, some do not


@pytest.mark.parametrize(
    ("written", "expected"), [("0", 0.0), ("1.0", 1.0), (0.25, 0.25), (1, 1.0)]
)
def test_a_share_includes_its_ends(written, expected):
    assert spellings.share(written) == expected


@pytest.mark.parametrize("written", ["-0.1", "1.01", "nan", "half", "10%", True, None])
def test_what_is_no_share_is_refused(written):
    with pytest.raises(ValueError, match="from 0 to 1"):
        spellings.share(written)


@pytest.mark.parametrize(("written", "expected"), [("0", 0), (65535, 65535), (" 3000 ", 3000)])
def test_a_port_is_a_whole_number(written, expected):
    assert spellings.port(written) == expected


@pytest.mark.parametrize("written", [65536, -1, "http", "3e3", "\u0663", True, "", 9 * "9" + "9"])
def test_what_is_no_port_is_refused(written):
    with pytest.raises(ValueError, match="from 0 to 65535"):
        spellings.port(written)


@pytest.mark.parametrize("written", [0, "-2", 1.5, "two"])
def test_a_count_is_at_least_one(written):
    assert spellings.count("2") == 2
    with pytest.raises(ValueError, match="of at least 1"):
        spellings.count(written)


@pytest.mark.parametrize("written", ["maybe", "", 2, None])
def test_a_switch_is_on_or_off(written):
    assert spellings.switch("Yes") is spellings.switch(True) is True
    assert spellings.switch("0") is spellings.switch("OFF") is False
    with pytest.raises(ValueError, match="neither on nor off"):
        spellings.switch(written)


@pytest.mark.parametrize("written", ["", "  ", True, None, {}, ["a"]])
def test_text_is_not_empty_and_not_a_table(written):
    assert spellings.text(3) == "3"
    with pytest.raises(ValueError, match=r"text is expected|empty"):
        spellings.text(written)


def test_commas_cut_a_text_and_leave_a_list_alone():
    assert spellings.texts("a, b") == ("a", "b")
    assert spellings.texts(["a,b", "c"]) == ("a,b", "c")
    with pytest.raises(ValueError, match="empty"):
        spellings.texts("a,,b")


def test_a_tilde_is_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/ann")
    assert spellings.path("~/state") == Path("/srv/ann/state")


def test_a_choice_names_the_choices():
    with pytest.raises(ValueError, match="Choose from predict, predict_proba"):
        spellings.one_of(("predict", "predict_proba"))("transform")


def test_processes_are_placed_by_a_word_or_by_cpus():
    assert spellings.placement("auto") == "auto"
    assert spellings.placement("0, 4-6,4") == spellings.placement([0, 4, 5, 6]) == (0, 4, 5, 6)
    assert spellings.placement(3) == (3,)


@pytest.mark.parametrize(
    "written", ["", "on", "-1", "6-4", "0-", "0-100000000", "1;2", None, [], "²"]
)
def test_what_names_no_cpus_is_refused(written):
    with pytest.raises(ValueError, match=r"CPUs"):
        spellings.placement(written)
