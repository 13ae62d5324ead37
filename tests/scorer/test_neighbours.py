"""Models drawn at random that depend on their neighbours: no caller gets what another's row did."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from benchmarks import neighbours
from shadowserve.scorer import scoring
from shadowserve.settings.options import Options

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def few_callers(monkeypatch):
    monkeypatch.setattr(neighbours, "CALLERS", 10)


@pytest.mark.parametrize("kind", range(6))
def test_no_drawn_model_leaks_as_champion_or_challenger(kind):
    """Five of each kind; 'python -m benchmarks.neighbours' draws them all, and as many as one likes."""
    for seed in range(6 * kind + kind, 6 * 40, 6 * 8):
        found = neighbours.leaks_under_auto(seed)
        assert (found.wrong_as_champion, found.wrong_as_challenger) == (0, 0), found


@pytest.mark.parametrize("leak", ["sorted", "mean", "the row after", "last row"])
def test_the_same_models_leak_where_calls_are_shared_untried(leak):
    """So the draw can fail: served as --batch on serves what nothing was tried on."""
    packed = neighbours.model_of("pyfunc", neighbours.Drawn(leak, 1.0, 0.5))
    fresh = partial(neighbours.loaded, "pyfunc", packed, None)
    sent = neighbours.bodies(10, np.random.default_rng(0))
    alone = scoring.opened(neighbours.VERSION, fresh, options=Options(batch="off"))
    shared = scoring.opened(neighbours.VERSION, fresh, options=Options(batch="on"))
    expected = neighbours.answers_one_by_one(alone, sent)
    assert neighbours.answers_of_champion(shared, sent) != expected
    assert neighbours.answers_of_lane(shared, sent, batched=True) != expected
