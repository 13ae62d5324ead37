"""`promote` says what it did or why not, with the way back, and its exit code says it too."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from shadowserve.cli import main
from shadowserve.host.person import person
from shadowserve.state.switches import TAG


@pytest.fixture
def run(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = ("--tracking-uri", here.uri, "--state-dir", str(here.places.root))
    return lambda *words: CliRunner().invoke(main, ["promote", *words, *where])


def test_it_promotes_says_the_way_back_and_status_tells_of_it(run, here):
    told = run("v4")
    assert told.exit_code == 0, told.output
    assert (
        f"films@champion: v4 was promoted to @champion, in v3's place, by {person()}" in told.stdout
    )
    assert "shadowserve promote --rollback --model films" in told.stdout
    assert "Servers        go on with the version that they were started with" in told.stdout
    status = CliRunner().invoke(main, ["status", "--state-dir", str(here.places.root)])
    assert "Switch: v4 was promoted to @champion" in " ".join(status.stdout.split())
    again = run("v4")
    assert (again.exit_code, "stands for v4 already" in again.stdout) == (0, True)
    back = run("--rollback", "--reason", "so")
    assert (back.exit_code, here.champion()) == (0, 3)
    twice = run("--rollback")
    assert (twice.exit_code, here.champion()) == (3, 3)
    assert "To go further back" in twice.stderr


def test_what_speaks_against_it_is_listed_and_programs_get_it_as_data(run, here):
    told = run("v5")
    assert told.exit_code == 3
    assert "Against it     films:5 is no challenger" in told.stdout
    assert '--force "REASON"' in told.stdout
    data = json.loads(run("v5", "--json").stdout)
    assert (data["moved"], data["version"]) == (False, 3)
    assert [one["code"] for one in data["objections"]] == ["pair"]
    assert here.champion() == 3
    forced = json.loads(run("v5", "--force", " the shop\nasked ", "--json").stdout)
    assert (forced["moved"], forced["switch"]["reason"]) == (True, "the shop asked")
    assert forced["way_back"] == "shadowserve promote --rollback --model films"
    assert here.tags(5)[f"{TAG}.overruled"] == "pair"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "Say which version is promoted"),
        (("v4", "--rollback"), 2, "Say which version is promoted"),
        (("v4", "--force", "  "), 2, "--force is empty"),
        (("v9",), 2, "has no version 9"),
        (("latest",), 2, "no fixed version"),
        (("v4", "--alias", "v3"), 2, "is no alias"),
        (("v4", "--max-age", "soon"), 2, "no duration"),
        (("v4", "--model", "flims"), 2, "No model 'flims'"),
        (("other:4",), 2, "No model 'other'"),
        (
            ("--rollback", "--alias", "nobody"),
            2,
            "no alias @nobody, so nothing is to be rolled back",
        ),
    ],
)
def test_misuse_is_one_line_with_what_to_do_and_changes_nothing(run, here, words, code, says):
    told = run(*words)
    assert (told.exit_code, says in told.stderr) == (code, True), told.output
    assert len(told.stderr.strip().splitlines()) == 1
    assert (here.champion(), here.names()) == (3, ["films"])


def test_a_registry_that_is_not_there_is_told(here, tmp_path):
    words = ["promote", "v4", "--tracking-uri", f"sqlite:///{tmp_path}/none.db"]
    told = CliRunner().invoke(main, [*words, "--state-dir", str(here.places.root)])
    assert told.exit_code == 4
    assert "does not exist" in told.stderr
