"""The README's commands, flags and make targets exist, and none is missing from it."""

from __future__ import annotations

import re

from command_line import FLAG, commands, flags_of
from sources import ROOT

README = (ROOT / "README.md").read_text()
SPANS = re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", README, re.DOTALL)
CODE = "\n".join(block or span for block, span in SPANS)


def uses() -> list[tuple[str, set[str]]]:
    """Each `shadowserve <command>` of the README with the flags on its line."""
    lines = CODE.replace("\\\n", " ").splitlines()
    matches = (
        (re.match(r"(?:\$ |\.venv/bin/)*shadowserve ([a-z]+)", line), line) for line in lines
    )
    return [(match[1], set(FLAG.findall(line))) for match, line in matches if match]


def test_the_readme_shows_the_main_job():
    assert "serve" in {name for name, _ in uses()}


def test_every_command_shown_exists_with_its_flags():
    known = commands()
    for name, flags in uses():
        assert name in known, f"README shows 'shadowserve {name}'; known: {', '.join(known)}"
        assert flags <= flags_of(known[name]), f"'shadowserve {name}' has no {flags}"


def test_every_command_is_shown():
    missing = {name for name, command in commands().items() if not command.hidden}
    missing -= {name for name, _ in uses()}
    assert not missing, f"README does not show {', '.join(sorted(missing))}"


def test_make_targets_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(re.findall(r"\bmake ([a-z]+)", CODE)) == set(phony[1].split())


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
