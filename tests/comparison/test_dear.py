"""Requests that were dear survive a restart of their lane."""

from __future__ import annotations

import json

from rig.slow_steps import (
    WORDS,
    alike,
    priced,
)
from shadowserve.comparison.dear import Dear


def test_what_is_dear_survives_its_state(tmp_path):
    dear = priced(alike(tmp_path), {"Oslo": 30.0}).learned.dear
    back = Dear.from_state(json.loads(json.dumps(dear.state())))
    assert back.state() == dear.state()
    assert back.steps == {WORDS: dear.steps[WORDS]}
