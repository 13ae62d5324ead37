"""`report` as files: the same words in each form, whole or not there, `-` for stdout."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from rig.report import text_of
from shadowserve.cli import main


@pytest.fixture
def run(differing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(
        main, ["report", *words, "--state-dir", str(differing.root)]
    )


def test_all_forms_are_written_from_one_look_and_say_the_same(run, tmp_path):
    told = run("--html", "r.html", "--markdown", "r.md", "--json", "r.json")
    assert told.exit_code == 0, told.output
    assert told.stdout == ""
    report = json.loads((tmp_path / "r.json").read_text())
    page, markdown = (tmp_path / "r.html").read_text(), (tmp_path / "r.md").read_text()
    assert len(report["findings"]) > 1
    for one in report["findings"]:
        assert one["message"] in text_of(page)
        assert one["message"].partition("(")[0].strip() in markdown
    assert report["verdict"] in text_of(page)
    assert markdown.startswith(f"### {report['verdict']}: ")


def test_a_page_of_its_own_needs_nothing_else_and_does_not_ask_again(run, tmp_path):
    run("--html", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert 'http-equiv="refresh"' not in page
    for outside in ("src=", "<script", "<link", "@import", "url("):
        assert outside not in page, outside
    assert page.count("href=") == page.count('href="#')  # places on the page itself
    assert "@media print" in page


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (("--html",), "<!doctype html>"),
        (("--html", "-"), "<!doctype html>"),
        (("--markdown",), "### "),
        (("--markdown", "-"), "### "),
        (("--json",), "{"),
        (("--json", "-"), "{"),
        (("--challenger", "v4", "--json"), "{"),
    ],
)
def test_minus_or_nothing_is_stdout_and_nothing_else_is_on_it(run, words, begins):
    told = run(*words)
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(begins)
    if begins == "{":
        json.loads(told.stdout)


def test_json_may_go_to_stdout_beside_files(run, tmp_path):
    told = run("--json", "--html", "r.html")
    json.loads(told.stdout)
    assert (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--html", "--json"), 2, "Only one form can go to stdout"),
        (("--html", "."), 2, "is a directory"),
        (("--markdown", "no/such/r.md"), 2, "there is no directory"),
        (("--html", "r.html", "--challenger", "v9"), 2, "No such challenger"),
        (("--html", "/proc/r.html"), 4, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_told_and_leaves_nothing(run, tmp_path, words, code, says):
    told = run(*words)
    assert told.exit_code == code, told.output
    assert says in told.stderr
    assert told.stdout == ""
    assert list(tmp_path.iterdir()) == []
