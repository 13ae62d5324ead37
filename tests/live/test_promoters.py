"""Two promoters in processes of their own meet at one alias: one wins, and the other is told."""

from __future__ import annotations

import pytest

from benchmarks.promoters import race
from rig.promotable import registered

pytestmark = pytest.mark.live


def test_of_two_promoters_one_wins_each_time(tmp_path):
    uri = registered(tmp_path)
    won = [race(uri, tmp_path / "state", seed=n)[0] for n in range(6)]
    assert len(won) == 6
