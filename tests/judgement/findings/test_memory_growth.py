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


def test_short_lives_of_a_lane_that_is_behind_tell_together():
    """It notes its memory once a block of 64, and each life ends at the limit before five notes make a slope."""
    told = (
        (67, 196), (131, 409), (195, 489), (259, 703), (323, 788), (451, 939),
        (515, 395), (579, 617), (643, 701), (707, 781), (772, 863),
    )  # fmt: skip
    slope = growth_per_request([(n, mb << 20) for n, mb in told])
    assert slope is not None
    assert 0.8 * 2**20 < slope < 3 * 2**20


def test_an_innocent_version_that_dies_often_grows_by_no_life():
    """Each life warms up and ends by itself; alone none tells anything, and together they do not either."""
    life = ((0, 200), (50, 290), (100, 300), (150, 306), (200, 310), (250, 312))
    notes = [(250 * k + n, mb << 20) for k in range(8) for n, mb in life]
    assert growth_per_request(notes) is None
    assert growth_per_request(notes[:5]) is None


def test_one_short_life_tells_nothing_by_itself():
    assert growth_per_request([(64 * k, (200 + 80 * k) << 20) for k in range(5)]) is None
