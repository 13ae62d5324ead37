"""Every example in a docstring does what it shows."""

from __future__ import annotations

import doctest
import importlib

import pytest
from sources import PACKAGE, modules

WITH_EXAMPLES = [name for name, path in modules().items() if ">>> " in path.read_text()]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_hold(module):
    loaded = importlib.import_module(f"{PACKAGE}.{module}".rstrip("."))
    outcome = doctest.testmod(loaded)
    assert outcome.attempted > 0
    assert outcome.failed == 0
