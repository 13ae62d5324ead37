"""Average precision by stretches of time: what each block says, and that it stays small whatever comes."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from shadowserve.labels.described import ByClass
from shadowserve.labels.losses import Labelled
from shadowserve.labels.over_time import MOST_BLOCKS, MOST_CLASSES, OverTime
from shadowserve.settings.vocabulary import Kind

DAY_NS = 86_400 * 10**9
BEGIN_NS = 1_750_000_000 * 10**9


def both(p: float, q: float) -> list[dict[str, float]]:
    return [{"0": 1 - p, "1": p}, {"0": 1 - q, "1": q}]


def fed(truth, champion, challenger, times) -> OverTime:
    seen = OverTime()
    for t, p, q, at in zip(truth, champion, challenger, times, strict=True):
        seen.add(int(at), str(int(t)), *both(float(p), float(q)))
    return seen


def week(n=4_000):
    """A challenger that ranks as the champion does, until the last two days."""
    rng = np.random.default_rng(3)
    truth = rng.random(n) < 0.05
    score = rng.normal(size=n) + 2.0 * truth - 3.0
    times = BEGIN_NS + np.sort(rng.random(n)) * 7 * DAY_NS
    late = times > BEGIN_NS + 5 * DAY_NS
    other = np.where(late, rng.normal(size=n) - 3.0, score)
    return truth, 1 / (1 + np.exp(-score)), 1 / (1 + np.exp(-other)), times


def test_a_ranking_that_gets_worse_shows_in_its_block():
    blocks = fed(*week()).of("1")
    assert 5 <= len(blocks) <= MOST_BLOCKS
    assert all(one["champion"] == one["challenger"] for one in blocks[:3])
    assert blocks[-1]["challenger"] < 0.5 * blocks[-1]["champion"]


def test_each_block_is_scikit_learns_of_its_time():
    truth, champion, challenger, times = week()
    seen = fed(truth, champion, challenger, times)
    for one in seen.of("1"):
        since_ns = datetime.fromisoformat(one["since"]).timestamp() * 1e9
        within = (times >= since_ns) & (times < since_ns + seen.width_ns)
        assert one["n"] == within.sum()
        assert one["own"] == truth[within].sum()
        for side, scores in (("champion", champion), ("challenger", challenger)):
            wanted = average_precision_score(truth[within], scores[within])
            assert one[side] == pytest.approx(wanted, abs=0.05)


def test_the_order_in_which_labels_come_changes_nothing():
    drawn = week(1_000)
    order = np.random.default_rng(0).permutation(1_000)
    assert fed(*drawn).of("1") == fed(*(part[order] for part in drawn)).of("1")


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=60))
def test_there_are_ten_blocks_at_most_and_no_label_is_lost_whatever_the_times(times):
    seen = OverTime()
    for at in times:
        seen.add(at, "1", *both(0.5, 0.5))
    blocks = seen.of("1")
    assert len(blocks) <= MOST_BLOCKS
    assert sum(one["own"] for one in blocks) == len(times)


def test_classes_that_never_repeat_do_not_make_it_grow():
    seen = OverTime()
    for n in range(300):
        seen.add(BEGIN_NS, f'"{n}"', {f'"{n}"': 1.0}, {f'"{n}"': 1.0})
    assert sum(bool(seen.of(f'"{n}"')) for n in range(300)) == MOST_CLASSES
    assert len(json.dumps(seen.state())) < 2_000


def test_it_goes_on_from_its_state():
    seen = fed(*week(500))
    read = OverTime.from_state(json.loads(json.dumps(seen.state())))
    assert read.of("1") == seen.of("1")
    assert read.width_ns == seen.width_ns


def test_the_report_has_it_beside_the_whole_and_an_older_state_begins_anew():
    found = ByClass()
    for t, p, q, at in zip(*week(300), strict=True):
        sides = both(float(p), float(q))
        answers = [[list(side.values())] for side in sides]
        found.add(Labelled([int(t)], *answers, *sides), Kind.PROBABILITY, arrived_ns=int(at))
    rare = found.to_dict()["classes"][0]
    assert rare["label"] == 1
    assert sum(one["own"] for one in rare["average_precision"]["over_time"]) == rare["n"]
    older = {name: part for name, part in found.state().items() if name != "over_time"}
    assert ByClass.from_state(older).to_dict()["classes"][0]["average_precision"]["over_time"] == []
