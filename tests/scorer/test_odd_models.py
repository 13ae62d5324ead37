"""A few of the odd models of the benchmark: none stops the process that serves or scores it."""

from __future__ import annotations

from benchmarks.odd_models import run


def test_no_odd_model_stops_what_serves_or_scores_it():
    n, wrong = run(16, first=100)
    assert n == 16
    assert wrong == []
