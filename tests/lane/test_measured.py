"""What is charged to the budget of measuring is what was scored for it, and nothing else."""

from __future__ import annotations

from rig.deployment import CHALLENGER, made
from rig.lane import answer, records, work
from rig.scoring import native, pipeline
from shadowserve.comparison.learned import Learned
from shadowserve.state.lane_reading import snapshot


def learnt(root, **options):
    places = made(root, CHALLENGER)
    answer(places, records(300))
    work(places, native(pipeline(), number=4), **options)
    return Learned.from_state(snapshot(places.lane(CHALLENGER.role, 4).state).summaries)


def test_keeping_a_request_is_not_charged_to_measuring(tmp_path):
    """Where nothing is scored a second time, none of the lane's time goes to that."""
    found = learnt(tmp_path, rescore=False).spent.state()["total"]
    assert found["again"] == 0
    assert found["record"] > 0


def test_what_is_scored_a_second_time_is_charged(tmp_path):
    found = learnt(tmp_path, rescore=True)
    assert found.noise.again.n > 0
    assert found.spent.state()["total"]["again"] > 0
