"""The first source that has a value wins, and everything wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.written_settings import faults_of, load
from shadowserve.settings.settings import Settings


def test_with_nothing_given_the_defaults_hold():
    assert load() == Settings()


def test_flags_go_before_variables_before_the_file_before_defaults():
    toml = "port = 1\nworkers = 2\nmax_body = '3B'\n"
    settings = load(
        {"port": 1000, "model": None, "challengers": ()},
        environ={"SHADOWSERVE_PORT": "100", "SHADOWSERVE_WORKERS": "20"},
        toml=toml,
    )
    found = (settings.port, settings.workers, settings.max_body, settings.console_port)
    assert found == (1000, 20, 3, 3001)


def test_every_field_can_come_from_each_source():
    settings = load(
        environ={
            "SHADOWSERVE_CHAMPION": "films:3", "SHADOWSERVE_CHALLENGERS": "v4, v5",
            "SHADOWSERVE_LANE_NETWORK": "off", "SHADOWSERVE_LOG_INPUTS": "age,genre",
        },
        toml='champion = 2\ndeadline = "500ms"\nsample_rate = 0.5\nrescore = false\n'
        'token_file = "token"\nlog_inputs = "all"\n',
    )  # fmt: skip
    assert settings.champion == "films:3"
    assert settings.challengers == ("v4", "v5")
    assert settings.lane_network is False
    assert settings.rescore is False
    assert settings.log_inputs == ("age", "genre")
    assert settings.deadline == 0.5
    assert settings.token_file == Path("token")


def test_all_faults_come_together_each_on_a_line_that_says_where():
    faults = faults_of(
        {"deadline": "soon", "champion": "films:latest"},
        environ={"SHADOWSERVE_SAMPLE_RATE": "2", "SHADOWSERVE_WORKER": "2"},
        toml="max_bdy = 3\nlane_memory = 'big'\n",
        required=("champion", "challengers"),
    )
    assert sorted(faults) == [
        "--champion: Pin 'films:latest' has no fixed version. Write a number, such as 'v7'; "
        "'shadowserve pins' lists them.",
        "--deadline: 'soon' is no duration. Write 10s, 500ms or 1m.",
        "SHADOWSERVE_SAMPLE_RATE: '2' is no share. Write a number from 0 to 1, such as 0.1.",
        "SHADOWSERVE_WORKER: not known. Did you mean SHADOWSERVE_WORKERS?",
        "challengers: not given. Write --challenger PIN, set SHADOWSERVE_CHALLENGERS, "
        "or add it to shadowserve.toml.",
        "shadowserve.toml: 'max_bdy' is not known. Did you mean max_body?",
        "shadowserve.toml: lane_memory: 'big' is no size. Write 2GiB, 512MiB or a number of bytes.",
    ]


def test_a_value_that_is_overruled_is_not_a_fault():
    assert load({"port": 80}, environ={"SHADOWSERVE_PORT": "http"}).port == 80


@pytest.mark.parametrize(("port", "console_port"), [(80, 80), (3001, 3001)])
def test_two_servers_on_one_port_are_refused(port, console_port):
    assert "both" in faults_of({"port": port, "console_port": console_port})[0]
    assert load({"port": 0, "console_port": 0}).port == 0
    assert load({"port": port, "console_port": console_port, "host": "::1"}).host == "::1"


def test_an_impossible_policy_is_told_with_everything_else_that_is_wrong():
    found = faults_of({"port": "many"}, toml="[verdict]\nalhpa = 0.02\nmin_labels = 0\n")
    assert len(found) == 3
    assert "--port" in found[0]
    assert "Do you mean alpha?" in found[1]
    assert "min_labels" in found[2]


@pytest.mark.parametrize("where", ["environ", "toml"])
def test_a_verdict_that_is_no_table_is_refused(where):
    given = {"environ": {"SHADOWSERVE_VERDICT": "strict"}, "toml": "verdict = 'strict'"}[where]
    assert "[verdict]" in faults_of(**{where: given})[0]


@pytest.mark.parametrize(
    "flags",
    [{"control": False}, {"rescore": False}, {"tap": True}],
    ids=lambda flags: next(iter(flags)),
)
def test_earned_batches_need_what_earns_them(flags):
    assert any("--batch earned" in fault for fault in faults_of({"batch": "earned", **flags}))
    assert load({"batch": "on", **flags}).batch == "on"
