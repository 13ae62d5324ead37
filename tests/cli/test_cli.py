"""The command line: data on stdout, talk on stderr, one line and an exit code for what can be mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rig.deployment import CHALLENGER, deployment, made
from rig.judging import shadowed
from rig.lane import answer, records
from rig.scoring import double, opaque
from shadowserve.cli import main
from shadowserve.state import deployment as deployments
from shadowserve.state.counters import Counters
from shadowserve.state.unknown_columns import UnknownColumns
from shadowserve.supervisor import start


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


def served(tmp_path):
    places = made(tmp_path / "state")
    deployments.write(places, deployment())
    answer(places, records(5))
    return places


@pytest.mark.parametrize("command", main.list_commands(click.Context(main)))
def test_every_command_explains_itself_with_an_example(run, command):
    told = run(command, "--help")
    assert told.exit_code == 0
    assert f"Example: shadowserve {command}" in told.output
    assert main.get_command(click.Context(main), command).short_help


def test_status_is_data_for_programs(run, tmp_path):
    places = served(tmp_path)
    told = run("status", "--json", "--state-dir", places.root)
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert found["journal"]["appended"] == 5
    assert [lane["pending"] for lane in found["lanes"]] == [5, 5]
    assert found["balanced"] is True


def test_status_is_a_table_for_people(run, tmp_path):
    told = run("status", "--state-dir", served(tmp_path).root)
    assert told.exit_code == 0
    assert "challenger v4" in told.stdout
    assert "The ledger balances." in told.stdout
    assert "unknown columns" not in told.stdout


def test_status_names_the_columns_that_were_ignored(run, tmp_path):
    places = served(tmp_path)
    counted = Counters(places.counters(0))
    counted.add("extra_columns", 7)
    counted.close()
    met = UnknownColumns(places.unknown_columns(0))
    met.meet(["tenure", "[bold]", ""])
    met.close()
    told = run("status", "--state-dir", places.root)
    assert "ignored 7 unknown columns: tenure, [bold], ''\n" in told.stdout
    told = run("status", "--json", "--state-dir", places.root)
    assert json.loads(told.stdout)["extra_columns"] == {
        "count": 7, "names": ["tenure", "[bold]", ""], "more": False,
    }  # fmt: skip


def test_a_report_is_data_for_programs_and_words_for_people(run, tmp_path):
    places, wanted = shadowed(tmp_path / "state", opaque(lambda f, p: 3 * double(f, p)), n=150)
    deployments.write(places, wanted)
    told = run("report", "--json", "--state-dir", places.root)
    assert json.loads(told.stdout)["verdict"] == "reject"
    told = run("report", "--state-dir", places.root, "--challenger", "v4")
    assert told.exit_code == 0
    assert "reject" in told.stdout
    assert "v4" in told.stdout


def test_a_challenger_that_is_not_there_is_misuse(run, tmp_path):
    told = run("report", "--state-dir", served(tmp_path).root, "--challenger", "v9")
    assert told.exit_code == 2
    assert told.stdout == ""
    assert "Its challengers: v4" in told.stderr


@pytest.mark.parametrize("command", ["status", "report", "pause", "resume"])
def test_nothing_served_could_not_be_reached(run, tmp_path, command):
    told = run(command, "--state-dir", tmp_path / "nowhere")
    assert told.exit_code == 4
    assert told.stdout == ""
    assert "Start 'shadowserve serve'" in told.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", ["status", "report", "verdict", "pause"])
def test_a_directory_that_is_none_could_not_be_reached(run, tmp_path, command):
    """No traceback, and not exit code 1, which says "continue"."""
    (tmp_path / "file").write_text("no directory")
    told = run(command, "--state-dir", tmp_path / "file")
    assert told.exit_code == 4
    assert told.stdout == ""
    assert "file" in told.stderr
    assert "Traceback" not in told.output


def test_a_wish_that_cannot_be_written_down_is_told(run, tmp_path):
    places = served(tmp_path)
    held = start.claim(places)
    try:
        places.paused.symlink_to("/proc/nowhere")  # a full or read-only disk, for root too
        told = run("pause", "--state-dir", places.root)
    finally:
        os.close(held)
    assert told.exit_code == 4
    assert f"{places.paused} cannot be used" in told.stderr


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"id": "old"}'])
def test_a_damaged_deployment_file_is_told_with_the_next_step(run, tmp_path, text):
    places = made(tmp_path / "state")
    places.deployment.write_text(text)
    told = run("verdict", "--state-dir", places.root)
    assert told.exit_code == 2
    assert "give --state-dir another directory" in told.stderr


@pytest.mark.parametrize("command", ["status", "report", "verdict"])
def test_a_record_that_cannot_be_read_is_told_and_is_not_nothing(run, tmp_path, command):
    places = served(tmp_path)
    lane = places.lane(CHALLENGER.role, CHALLENGER.version)
    lane.parts.mkdir(parents=True)
    lane.state.write_bytes(b"no database" * 100)
    told = run(command, "--json", "--state-dir", places.root)
    assert told.exit_code == 4
    assert told.stdout == ""
    assert f"{lane.state} cannot be read now" in told.stderr


def test_an_interrupt_is_no_verdict(run, tmp_path, monkeypatch):
    def interrupted(_places):
        raise KeyboardInterrupt

    monkeypatch.setattr(deployments, "read", interrupted)
    assert run("verdict", "--state-dir", served(tmp_path).root).exit_code == 130


def test_pause_and_resume_leave_the_teams_wish(run, tmp_path):
    places = served(tmp_path)
    held = start.claim(places)
    try:
        assert run("pause", "--state-dir", places.root).exit_code == 0
        assert places.paused.exists()
        assert run("resume", "--state-dir", places.root).exit_code == 0
        assert not places.paused.exists()
        assert places.resume.exists()
    finally:
        os.close(held)


def test_serving_without_a_champion_is_misuse(run):
    told = run("serve")
    assert told.exit_code == 2
    assert "champion" in told.stderr
    assert "Traceback" not in told.output


def test_every_fault_of_the_settings_is_told_at_once(run):
    told = run("serve", "--champion", "latest", "--port", "banana", "--deadline", "soon")
    assert told.exit_code == 2
    assert all(flag in told.stderr for flag in ("champion", "port", "deadline"))


def test_a_policy_that_cannot_be_is_told_before_anything_slow(run):
    Path("shadowserve.toml").write_text("[verdict]\nalhpa = 0.1\nmin_requests = 0\n")
    told = run("serve", "--champion", "v3")
    assert told.exit_code == 2
    assert "Do you mean alpha?" in told.stderr
    assert "min_requests" in told.stderr


HEAVY = ("scipy.stats", "pandas", "sklearn", "mlflow", "pyarrow", "bentoml")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("looking", HEAVY), ("steering", (*HEAVY, "rich"))],
)
def test_looking_and_steering_import_nothing_that_takes_seconds(module, heavy):
    code = f"import shadowserve.cli.{module}, sys; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
