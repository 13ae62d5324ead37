"""A lane that cannot work is named."""

from __future__ import annotations

import dataclasses

from rig.judging import found, known_of
from rig.scoring import double, opaque


def test_a_lane_that_cannot_work_is_named(tmp_path):
    known = known_of(tmp_path, opaque(double), n=30)
    known = dataclasses.replace(known, lane=dataclasses.replace(known.lane, state="degraded", reason="it died"))  # fmt: skip
    assert "it died" in found(known)["coverage"].message
