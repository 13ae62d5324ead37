"""A version that cannot keep up is named; one slow request is no want of capacity."""

from __future__ import annotations

import numpy as np

from rig.judging import found, known_of, timed
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity


def busy(known, *, ms):
    """Let requests come faster than one process of the challenger serves them."""
    known.learned.busy_ms.add(np.full(200, ms))
    known.learned.elapsed._workers = {0: (int(known.learned.requests * 1e9 / 150), 0)}
    return known


def test_a_version_that_cannot_keep_up_is_named_where_it_takes_a_quarter_more(tmp_path):
    known = busy(known_of(tmp_path, opaque(double)), ms=20.0)
    assert found(timed(known, times=1.4))["capacity"].severity is Severity.WARNING
    assert "capacity" not in found(timed(known, times=1.1))


def test_one_request_that_takes_seconds_for_both_is_no_want_of_capacity(tmp_path):
    """Timed for one lane only, it would be most of that lane's time."""
    known = busy(known_of(tmp_path, opaque(double)), ms=20.0)
    for own, theirs in ((3_200.0, 3_200.0), (3_200.0, 20.0)):
        same = timed(known, times=1.0)
        ms = np.full(16, 20.0)
        slow = np.where(np.arange(16) == 7, 1.0, 0.0)
        for burst in range(40, 60):
            one = slow * (burst == 42)
            same.learned.pairing.paired.add(
                burst, np.where(one, theirs, ms), np.where(one, own, ms)
            )
        assert "capacity" not in found(same)
