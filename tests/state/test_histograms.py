"""Histograms in mapped memory are read as Prometheus's own."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from shadowserve.state.histograms import BUCKETS, TimeHistogram


def read(directory):
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))
    return registry.get_sample_value


def test_times_fall_into_the_bucket_whose_bound_they_do_not_exceed(tmp_path):
    one = TimeHistogram("taken", "Told.", {"who": "a"}, directory=tmp_path)
    for bound in BUCKETS:
        one.observe(round(bound * 1e9))
    one.observe(11 * 10**9)
    value = read(tmp_path)
    for n, bound in enumerate(BUCKETS, start=1):
        assert value("taken_bucket", {"who": "a", "le": str(bound)}) == n
    assert value("taken_bucket", {"who": "a", "le": "+Inf"}) == len(BUCKETS) + 1
    assert value("taken_count", {"who": "a"}) == len(BUCKETS) + 1
    assert value("taken_sum", {"who": "a"}) == pytest.approx(sum(BUCKETS) + 11)


def test_series_that_outgrow_the_file_go_on_counting(tmp_path):
    first = TimeHistogram("taken", "Told.", {"step": "first"}, directory=tmp_path)
    first.observe(1)
    for n in range(100):
        TimeHistogram("taken", "Told.", {"step": f"{n} {'long' * 100}"}, directory=tmp_path)
    first.observe(1)
    assert read(tmp_path)("taken_count", {"step": "first"}) == 2
