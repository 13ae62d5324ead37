"""The short run of `benchmarks.chaos`: random faults under load harm and lose nothing."""

from __future__ import annotations

import pytest

from benchmarks.chaos.__main__ import run

pytestmark = [
    pytest.mark.live,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # sockets of killed servers, and MLflow's own
]


def test_chaos_harms_nothing_and_loses_nothing(tmp_path, store):
    outcome = run(tmp_path, store, minutes=0.5, seed=2, pause=0.5, rate=20.0)
    assert outcome.faults == [], outcome.table()
    assert sum(outcome.drawn.values()) >= 3
