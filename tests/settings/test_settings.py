"""The first source that has a value wins, and everything wrong is said at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from shadowserve.divergence import KINDS, Kind
from shadowserve.errors import SettingsError
from shadowserve.settings.settings import Settings, flag_of

FIELDS = dataclasses.fields(Settings)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(flags=None, *, environ=None, required=(), toml=""):
    if toml:
        Path("shadowserve.toml").write_text(toml)
    return Settings.load(flags or {}, environ=environ or {}, required=required)


def faults_of(*args, **kwargs):
    with pytest.raises(SettingsError) as caught:
        load(*args, **kwargs)
    return str(caught.value).splitlines()


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


def test_a_digest_is_64_hex_digits():
    assert load({"allow_digests": ("A" * 64,)}).allow_digests == ("a" * 64,)
    assert "no SHA-256" in faults_of({"allow_digests": ("abc",)})[0]


def test_the_verdict_is_a_table_that_nobody_can_change():
    settings = load(toml="[verdict]\nalpha = 0.02\nloss = 'log_loss'\n")
    assert settings.verdict == {"alpha": 0.02, "loss": "log_loss"}
    with pytest.raises(TypeError):
        settings.verdict["alpha"] = 0.5  # type: ignore[index]


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
        assert option.name == "verdict" or not option.default


@pytest.mark.parametrize("option", FIELDS, ids=lambda option: option.name)
def test_a_default_reads_as_itself(option):
    """What `load` returns may be written down and read again."""
    if option.default not in (None, "", ()) and option.name != "verdict":
        assert option.metadata["read"](option.default) == option.default


def test_flags_are_one_to_one():
    flags = [flag_of(option.name) for option in FIELDS if option.metadata["flag"]]
    assert len(set(flags)) == len(FIELDS) - 1
    assert all(flag.startswith("--") for flag in flags)


def test_output_kinds_are_those_that_can_be_compared():
    assert set(Kind) == {kind.name for kind in KINDS}


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


@pytest.mark.parametrize(
    "flags",
    [{"control": False}, {"rescore": False}, {"tap": True}],
    ids=lambda flags: next(iter(flags)),
)
def test_earned_batches_need_what_earns_them(flags):
    assert any("--batch earned" in fault for fault in faults_of({"batch": "earned", **flags}))
    assert load({"batch": "on", **flags}).batch == "on"


def test_batch_and_probe_have_words_of_their_own():
    assert (load({}).batch, load({}).probe) == ("auto", "example")
    assert "--batch" in faults_of({"batch": "maybe"})[0]
    assert "--probe" in faults_of({"probe": "some"})[0]
