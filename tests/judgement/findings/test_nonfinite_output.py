"""NaN where the champion has a value is named."""

from __future__ import annotations

import numpy as np
import pytest

from rig.judging import found, known_of
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity


def test_nan_is_named(tmp_path):
    def holes(frame, params):
        return np.where(frame["age"].to_numpy() % 10 == 0, np.nan, double(frame, params))

    one = found(known_of(tmp_path, opaque(holes), rescore=True))["nonfinite_output"]
    assert one.severity is Severity.CRITICAL
    assert one.effect.value == pytest.approx(0.1)
    assert one.effect.baseline == 0.0
