"""What the pages in docs/ name exists, and what exists is named."""

from __future__ import annotations

import json
import re

import pytest
from command_line import FLAG, commands, flags_of
from sources import ROOT

from shadowserve.judgement.findings import kinds

PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = {page.name: page.read_text() for page in PAGES}
SCHEMA = json.loads((ROOT / "docs/report.schema.json").read_text())


def test_every_kind_of_finding_is_explained_and_in_the_schema():
    built = {kind.told for kind in kinds()}
    explained = set(re.findall(r"^### `(\w+)`", TEXTS["findings.md"], re.MULTILINE))
    assert explained == built
    assert built == set(SCHEMA["$defs"]["finding"]["properties"]["kind"]["enum"])


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_the_docs_say_when_a_finding_fires_as_its_module_does(kind):
    _, _, section = TEXTS["findings.md"].partition(f"### `{kind.told}`\n")
    assert kind.fires in section.partition("\n#")[0]


def test_every_part_of_the_report_is_explained():
    spans = set(re.findall(r"`([\w.\[\]]+)`", TEXTS["report.md"]))
    assert set(SCHEMA["properties"]) - spans == set()


def test_links_lead_somewhere():
    for page in PAGES:
        text = TEXTS[page.name]
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            assert not target or (page.parent / target).exists(), (page.name, target)
            assert not anchor or target or anchor in anchors, (page.name, anchor)


def test_every_command_shown_exists_with_its_flags():
    known = commands()
    for page, text in TEXTS.items():
        for name, rest in re.findall(r"shadowserve ([a-z]+)\b([^`\n]*)", text):
            if name in known:
                assert set(FLAG.findall(rest)) <= flags_of(known[name]), (page, f"{name}{rest}")
            else:
                assert f"`shadowserve {name}" not in text, (page, name)
