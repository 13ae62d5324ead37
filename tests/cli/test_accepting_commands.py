"""`findings` and `accept`: one finding, named so that it is sure which, by somebody, for a reason."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from shadowserve.cli import main
from shadowserve.host.person import person

KIND = "prediction_divergence"


@pytest.fixture
def run(differing, tmp_path, monkeypatch):
    """Run a command on the state directory of a version that differs."""
    differing.accepted.unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(
        main, [*map(str, words), "--state-dir", str(differing.root)]
    )


def test_findings_are_listed_by_id(run):
    listed = json.loads(run("findings", "--json").stdout)
    (one,) = [found for found in listed["findings"] if found["kind"] == KIND]
    told = run("findings")
    assert told.exit_code == 0
    assert f"{one['id']}  critical {KIND}" in told.stdout
    assert one["message"] in " ".join(told.stdout.split())


def test_accept_says_what_it_did_and_every_command_shows_the_mark(run):
    told = run("accept", KIND, "--reason", "Meant so.", "--until", "2w")
    assert told.exit_code == 0, told.output
    assert "stays in the report and does not decide" in told.stdout
    assert "Verdict now: continue" in told.stdout
    for command in ("findings", "report", "verdict"):
        words = " ".join(run(command).stdout.split())
        assert f"Accepted by {person()} on" in words, command
        assert "Meant so." in words, command
    assert run("verdict").exit_code == 1
    found = json.loads(run("findings", "--json").stdout)["acceptances"][0]
    assert (found["by"], found["reason"], found["found"]) == (person(), "Meant so.", True)
    back = run("accept", found["finding"], "--withdraw")
    assert back.exit_code == 0, back.output
    assert "decides again" in back.stdout
    assert run("verdict").exit_code == 3


def test_accept_is_data_for_programs(run):
    told = json.loads(run("accept", KIND, "--reason", "Meant so.", "--json").stdout)
    assert (told["kind"], told["withdrawn"], told["verdict"]) == (KIND, False, "continue")
    assert told["value"] > 0.1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((KIND,), "--reason is missing"),
        ((KIND, "--reason", "  "), "The reason is empty"),
        ((KIND, "--reason", "x" * 10_240), "has 10,240 characters"),
        ((KIND, "--reason", "so", "--until", "soon"), "--until: 'soon' is no duration"),
        ((KIND, "--reason", "so", "--until", "0s"), "--until:"),
        ((KIND, "--reason", "so", "--until", "9999w"), "more than ten years"),
        ((KIND, "--reason", "so", "--challenger", "v9"), "No such challenger"),
        ((KIND, "--reason", "so", "--challenger", "latest"), "no fixed version"),
        ((KIND, "--reason", "so", "--step", "phrases"), "No such finding of v4."),
        (("latncy", "--reason", "so"), "Did you mean latency?"),
        ((KIND, "--withdraw"), "There is no accepted finding of v4"),
        ((KIND, "--withdraw", "--until", "2w"), "--until:"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_accepted_is_told_with_what_to_do(run, words, says):
    told = run("accept", *words)
    assert told.exit_code == 2
    assert says in told.stderr
    assert told.stdout == ""
    assert json.loads(run("findings", "--json").stdout)["acceptances"] == []


def test_where_nothing_was_served_there_is_nothing_to_accept(run, tmp_path):
    told = CliRunner().invoke(
        main, ["accept", KIND, "--reason", "so", "--state-dir", str(tmp_path / "none")]
    )
    assert told.exit_code == 4


def test_a_damaged_file_is_exit_code_4_for_whoever_asks(run, differing):
    differing.accepted.write_text("{")
    for command in (("findings",), ("report",), ("verdict",), ("accept", KIND, "--reason", "so")):
        told = run(*command)
        assert told.exit_code == 4, command
        assert "accepted.json" in told.stderr


def test_what_is_gone_is_listed_as_accepted_and_not_found(run, differing):
    run("accept", KIND, "--reason", "Meant so.")
    kept = differing.accepted.read_text()
    told = json.loads(kept)
    told["events"][0]["finding"] = "0123abcd"
    differing.accepted.write_text(json.dumps(told))
    words = " ".join(run("findings").stdout.split())
    assert f"0123abcd {KIND}" in words
    assert "not found now" in words
