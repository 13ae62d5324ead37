"""CONTRIBUTING.md: every room is on its map, and every file it sends a newcomer to exists."""

from __future__ import annotations

import re

from sources import ROOT, modules

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = ("kind of output", "finding", "protocol", "command", "sink of evidence")


def test_every_room_is_on_the_map():
    plan = TEXT[TEXT.index("```text") : TEXT.index("One request")]
    rooms = {
        name for name, path in modules().items() if path.stem == "__init__" and "." not in name
    }
    missing = {room for room in rooms - {""} if not re.search(rf"\b{room}\b", plan)}
    assert not missing


def test_every_file_that_is_named_exists():
    named = re.findall(r"`((?:shadowserve|tests|benchmarks|rig|docs)/[\w./]+)`", TEXT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_recipe_has_few_steps_and_a_test_that_follows_them():
    sections = dict(zip(RECIPES, re.split(r"^### .*$", TEXT, flags=re.MULTILINE)[1:], strict=True))
    for name, text in sections.items():
        recipe = text.split("\n## ")[0]
        assert f"### {name}\n" in TEXT
        assert len(re.findall(r"^\d\. ", recipe, re.MULTILINE)) <= 3
        assert re.search(r"`tests/[\w/]+\.py` adds", recipe), name


def test_make_finds_what_is_live_and_what_must_run_alone():
    """The quick suite passes `tests/live` by, and what runs alone is looked for there only."""
    live, alone = (f"pytest.mark.{name}" for name in ("live", "alone"))
    texts = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    there = {path for path in texts if path.parent == ROOT / "tests/live"}
    assert [str(path) for path in there if live not in texts[path]] == []
    assert [str(path) for path in texts.keys() - there if alone in texts[path]] == []
