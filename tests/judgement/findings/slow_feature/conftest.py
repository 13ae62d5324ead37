"""Champion, control and challenger are one pipeline; each test puts its own timings in."""

from __future__ import annotations

import pytest

from rig.slow_steps import alike


@pytest.fixture
def known(tmp_path):
    return alike(tmp_path)
