"""A lasting change is dated; without old requests that prove it, it is a note."""

from __future__ import annotations

import numpy as np
import pytest

from rig.judging import found, known_of
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity


def test_a_change_is_dated(tmp_path):
    """The challenger agrees, and from one request on it does not."""
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) * (1 + 2 * (f["age"].to_numpy() >= 300))), n=900)  # fmt: skip
    one = found(known)["change_point"]
    assert abs(one.since - 301) <= 20


@pytest.mark.parametrize("theirs", [0.7, 0.2, -0.7])
def test_a_change_that_no_old_request_proves_is_a_note_whatever_the_champion_does(tmp_path, theirs):
    known = known_of(tmp_path, opaque(double), n=30)
    for side, by in ((known.learned, 0.8), (known.control, theirs)):
        before, after = (0.1, 0.1 + by) if by > 0 else (0.1 - by, 0.1)
        rows = np.random.default_rng(0).random(2_000) < np.repeat([before, after], 1_000)
        side.outputs.change.add(rows.astype(float), np.arange(2_000))
        assert side.outputs.change.change() is not None
    assert found(known)["change_point"].severity is Severity.NOTE
