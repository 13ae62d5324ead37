"""The indexes of reported cases and of faults found in use name tests that exist, and all that name a case."""

from __future__ import annotations

import ast
import re
from functools import cache

from sources import ROOT

TESTS = ROOT / "tests"
INDEX = (TESTS / "cases.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| (SS-\d{3}) \| K\d \| .+? \| (.+) \|$", INDEX, re.MULTILINE))
FAULTS = (TESTS / "defects.md").read_text("utf-8")


@cache
def functions(path: str) -> set[str]:
    """Names of a test file's functions, without importing it."""
    parsed = ast.parse((TESTS / path).read_text("utf-8"))
    return {node.name for node in parsed.body if isinstance(node, ast.FunctionDef)}


def test_every_test_of_a_case_exists():
    named = {case: re.findall(r"`(\S+?)::(\w+)`", row) for case, row in ROWS.items()}
    assert [case for case, tests in named.items() if not tests] == []
    missing = [
        f"{case}: {path}::{name}"
        for case, tests in named.items()
        for path, name in tests
        if name not in functions(path)
    ]
    assert not missing


def test_every_test_of_a_fault_that_was_found_in_use_exists():
    named = re.findall(r"`(\S+?)::(\w+)`", FAULTS)
    assert len(named) >= 150
    missing = [f"{path}::{name}" for path, name in named if name not in functions(path)]
    assert not missing


def test_the_index_is_whole_and_in_order():
    assert len(ROWS) >= 85
    listed = [line for line in INDEX.splitlines() if line.startswith("| SS-")]
    kinds = [line.split(" | ")[1] for line in listed]
    assert kinds == sorted(kinds)
    assert len(listed) == len(ROWS)


def test_whoever_names_a_case_by_number_is_listed():
    files = ("house/test_cases.py", "house/test_cases_faults.py", "live/test_versions.py")
    for name in set().union(*map(functions, files)):
        numbers = re.match(r"test_ss((?:_\d{3})+)_", name)
        for number in numbers[1].split("_")[1:] if numbers else ():
            assert name in ROWS[f"SS-{number}"], name
