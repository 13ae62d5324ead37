"""Variables and files are read as they stand, and unknown names are refused with the nearest one."""

from __future__ import annotations

import pytest

from shadowserve.settings.sources import from_environment, from_file

KNOWN = ("port", "sample_rate", "workers")


def test_only_our_variables_are_read_and_empty_ones_mean_not_given():
    faults: list[str] = []
    environ = {"SHADOWSERVE_PORT": "1", "PORT": "2", "SHADOWSERVE_WORKERS": " ", "HOME": "/x"}
    assert from_environment(environ, KNOWN, faults) == {"port": ("SHADOWSERVE_PORT", "1")}
    assert faults == []


def test_a_misspelt_variable_is_refused_and_a_stranger_is_left_alone():
    faults: list[str] = []
    environ = {"SHADOWSERVE_SAMPLERATE": "1", "SHADOWSERVE_SERVICE_HOST": "10.0.0.1"}
    assert from_environment(environ, KNOWN, faults) == {}
    assert faults == ["SHADOWSERVE_SAMPLERATE: not known. Did you mean SHADOWSERVE_SAMPLE_RATE?"]


def test_the_port_that_kubernetes_announces_is_not_ours():
    assert from_environment({"SHADOWSERVE_PORT": "tcp://10.0.0.1:3000"}, KNOWN, []) == {}


def test_a_file_that_must_exist_is_missed(tmp_path):
    faults: list[str] = []
    assert from_file(tmp_path / "absent.toml", KNOWN, faults) == {}
    assert len(faults) == 1
    assert faults[0].endswith("absent.toml: cannot be read (No such file or directory).")


def test_without_a_file_there_is_nothing_to_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faults: list[str] = []
    assert from_file(None, KNOWN, faults) == {}
    assert faults == []


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_broken_file_is_one_line(tmp_path, content):
    place = tmp_path / "shadowserve.toml"
    place.write_bytes(content)
    faults: list[str] = []
    from_file(place, KNOWN, faults)
    assert len(faults) == 1
    assert "not valid TOML" in faults[0]
    assert "\n" not in faults[0]


def test_unknown_keys_are_refused_each_on_a_line_and_known_ones_still_read(tmp_path):
    place = tmp_path / "shadowserve.toml"
    place.write_text('worker = 2\nport = 80\n"odd\\nkey" = 1\n')
    faults: list[str] = []
    assert from_file(place, KNOWN, faults) == {"port": (f"{place}: port", 80)}
    assert faults == [
        f"{place}: 'worker' is not known. Did you mean workers?",
        f"{place}: 'odd\\nkey' is not known. Known are port, sample_rate, workers.",
    ]
