"""Summaries: what is remembered of millions of comparisons.

A lane sees every request once and keeps none. What it keeps instead are these summaries. All of
them share one contract (`Summary`). They take batches and say what they know in finite JSON values,
and their state outlives a killed process. Memory does not grow with the stream; what a bound cost
is part of the summary.
"""

from __future__ import annotations

from shadowserve.statistics.tally.confusion import Confusion
from shadowserve.statistics.tally.items import Items
from shadowserve.statistics.tally.moments import Moments, Pairs
from shadowserve.statistics.tally.quantiles import Quantiles, histogram, wasserstein
from shadowserve.statistics.tally.samples import Worst, hash_positions
from shadowserve.statistics.tally.state import Summary

__all__ = [
    "Confusion",
    "Items",
    "Moments",
    "Pairs",
    "Quantiles",
    "Summary",
    "Worst",
    "hash_positions",
    "histogram",
    "wasserstein",
]
