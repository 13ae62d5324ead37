"""The fields are the one table of options: each says how it is read, and its default is true."""

from __future__ import annotations

import dataclasses

import pytest

from rig.written_settings import faults_of, load
from shadowserve.divergence import KINDS, Kind
from shadowserve.settings.settings import Settings, flag_of

FIELDS = dataclasses.fields(Settings)
TABLES = ("verdict", "alerts")


def test_the_verdict_is_a_table_that_nobody_can_change():
    settings = load(toml="[verdict]\nalpha = 0.02\nloss = 'log_loss'\n")
    assert settings.verdict == {"alpha": 0.02, "loss": "log_loss"}
    with pytest.raises(TypeError):
        settings.verdict["alpha"] = 0.5  # type: ignore[index]


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().port = 4000  # type: ignore[misc]


@pytest.mark.parametrize("option", FIELDS, ids=lambda option: option.name)
def test_the_default_that_people_read_is_the_default_that_holds(option):
    about = option.metadata
    assert about["help"].endswith(".")
    if about["default"]:
        assert about["read"](about["default"]) == option.default
    else:
        assert option.name in TABLES or not option.default


@pytest.mark.parametrize("option", FIELDS, ids=lambda option: option.name)
def test_a_default_reads_as_itself(option):
    """What `load` returns may be written down and read again."""
    if option.default not in (None, "", ()) and option.name not in TABLES:
        assert option.metadata["read"](option.default) == option.default


def test_flags_are_one_to_one():
    flags = [flag_of(option.name) for option in FIELDS if option.metadata["flag"]]
    assert len(set(flags)) == len(FIELDS) - len(TABLES)
    assert all(flag.startswith("--") for flag in flags)


def test_output_kinds_are_those_that_can_be_compared():
    assert set(Kind) == {kind.name for kind in KINDS}


def test_batch_and_probe_have_words_of_their_own():
    assert (load({}).batch, load({}).probe) == ("auto", "example")
    assert "--batch" in faults_of({"batch": "maybe"})[0]
    assert "--probe" in faults_of({"probe": "some"})[0]
