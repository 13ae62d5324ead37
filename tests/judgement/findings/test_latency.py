"""A slower version is named beyond the margin, and only where both took turns."""

from __future__ import annotations

import pytest

from rig.judging import found, known_of, timed
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity


def test_a_slower_version_is_named_beyond_the_margin_only(tmp_path):
    known = known_of(tmp_path, opaque(double))
    assert found(timed(known, times=1.5))["latency"].effect.value == pytest.approx(1.5, rel=0.02)
    assert "latency" not in found(timed(known, times=1.05))
    assert "latency" not in found(timed(known, times=0.5))


def test_a_version_that_was_slower_in_its_own_time_only_is_a_note_that_says_so(tmp_path):
    one = found(timed(known_of(tmp_path, opaque(double)), times=1.5, in_turn=False))["latency"]
    assert one.severity is Severity.NOTE
    assert "restart its lane" in one.message
