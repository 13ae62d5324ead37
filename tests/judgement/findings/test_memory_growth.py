"""Memory is judged after the plateau, and anew for each process."""

from __future__ import annotations

import pytest

from shadowserve.judgement.findings.memory_growth import growth_per_request


@pytest.mark.parametrize(
    ("leak", "plateau", "named"), [(50_000, 0, True), (0, 16 * 2**20, False), (0, 200 * 2**20, False)]
)  # fmt: skip
def test_memory_is_judged_after_the_plateau(leak, plateau, named):
    """An innocent process grows at first, then no more."""
    notes = [(n, 2**28 + leak * n + min(plateau, n * 2**20)) for n in range(0, 3000, 50)]
    slope = growth_per_request(notes)
    assert (slope is not None) is named
    if named:
        assert slope == pytest.approx(leak)


def test_a_restarted_process_begins_anew():
    first = [(n, 2**28 + 100_000 * n) for n in range(0, 3000, 50)]
    second = [(3000 + n, 2**27) for n in range(0, 3000, 50)]
    assert growth_per_request([*first, *second]) is None
