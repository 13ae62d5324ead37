"""Every example in a docstring does what it shows."""

from __future__ import annotations

import doctest
import importlib

from sources import PACKAGE, modules


def test_examples_hold():
    outcomes = {
        name: doctest.testmod(importlib.import_module(f"{PACKAGE}.{name}".rstrip(".")))
        for name, path in modules().items()
        if ">>> " in path.read_text()
    }
    assert [name for name, outcome in outcomes.items() if outcome.failed] == []
    assert [name for name, outcome in outcomes.items() if not outcome.attempted] == []
