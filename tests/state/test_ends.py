"""No death passes in silence: each is counted by cause, where it lasts, and shown."""

from __future__ import annotations

import pytest

from rig.deployment import CHALLENGER, deployment, made
from rig.lane import answer, records, work
from shadowserve.report import build
from shadowserve.state import ends, ledger
from shadowserve.state.metrics import exposition


@pytest.fixture
def places(tmp_path):
    found = made(tmp_path, CHALLENGER)
    ends.note(found, ends.of_lane(CHALLENGER), "deadline", positions=[7], step=2, exit_code=-9)
    ends.note(found, ends.of_lane(CHALLENGER), "deadline", positions=[9], step=-1, exit_code=-9)
    ends.note(found, ends.of_worker(0), "hang", exit_code=70)
    ends.note(found, ends.of_worker(1), "crash", exit_code=3)
    return found


def test_ends_add_up_by_cause_and_the_last_is_kept(places):
    known = ends.read(places)[ends.of_lane(CHALLENGER)]
    assert (known.total, known.ended) == (2, {"deadline": 2})
    assert known.last["positions"] == [9]
    assert ends.workers(ends.read(places)).ended["hang"] == 1


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"champion-0": 3}'])
def test_a_damaged_file_loses_counts_and_nothing_else(places, text):
    places.ends.write_text(text)
    assert ends.read(places) == {}
    ends.note(places, ends.of_worker(0), "crash")
    assert ends.workers(ends.read(places)).total == 1


def test_status_report_metrics_and_findings_show_them(places, tmp_path):
    answer(places, records(20))
    work(places)
    it = deployment(control=False)
    told = ledger.read(places, it).to_dict()
    assert (told["champion"]["restarts"], told["champion"]["ended"]["hang"]) == (2, 1)
    (lane,) = told["lanes"]
    assert (lane["restarts"], lane["ended"]["deadline"]) == (2, 2)
    assert told["balanced"]
    (tmp_path / "maps").mkdir()
    text = exposition(places, tmp_path / "maps").decode()
    assert 'shadowserve_process_ends_total{cause="deadline",process="challenger-v4"} 2.0' in text
    found = build.build(places, it, challenger=4)["findings"]
    (one,) = [finding for finding in found if finding["kind"] == "poison_request"]
    assert one["severity"] == "note"
    assert "ended 2 times (2 past the deadline)" in one["message"]
    assert one["examples"] == [9]
