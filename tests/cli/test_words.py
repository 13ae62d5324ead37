"""What is said of a challenger says what its numbers are of, and points only at what is there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rig.deployment import OPTIONS
from rig.judging import known_of, policy
from rig.printed import printed
from rig.report import report, text_of
from rig.scoring import double, opaque
from shadowserve.cli.judging import _needs
from shadowserve.cli.report_text import print_report
from shadowserve.comparison.failures import Poison
from shadowserve.judgement.findings import look
from shadowserve.judgement.verdict import judge
from shadowserve.report.page import render
from shadowserve.statistics.tally import Worst

DOCS = Path(__file__).parents[2] / "docs"
QUIET = {"divergence": {}, "latency": {"cost_to_callers": []}}


def found(known, kind):
    return next(one for one in look(known, policy()) if one.kind == kind)


def probabilities(n_classes, *, by):
    def said(frame, _):
        first = 0.1 + 0.3 * (frame["age"].to_numpy() % 7) / 7 + by
        rest = np.repeat(((1 - first) / (n_classes - 1))[:, None], n_classes - 1, axis=1)
        return np.column_stack([first, rest])

    return said


@pytest.mark.parametrize(
    ("n_classes", "whose"),
    [(2, "; the positive class is on"), (3, "; the class that the champion holds likeliest is on")],
)
def test_of_two_classes_the_positive_one_is_told_and_of_several_the_likeliest(
    tmp_path, n_classes, whose
):
    champion = opaque(probabilities(n_classes, by=0.0), number=3)
    known = known_of(tmp_path, opaque(probabilities(n_classes, by=0.5)), champion=champion, n=120)
    message = found(known, "prediction_divergence").message
    assert whose in message
    assert "of several" not in message


def test_the_worst_requests_are_pointed_at_where_there_are_some(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: -double(f, p)), n=120)
    assert "the report names them" in found(known, "prediction_divergence").message
    known.learned.outputs.worst = Worst(5)
    assert "worst" not in found(known, "prediction_divergence").message


def even(frame, _):
    return frame["age"].to_numpy() % 2 == 0


def test_a_change_says_what_its_shares_are_of(tmp_path):
    known = known_of(tmp_path, opaque(even), champion=opaque(even, number=3), n=30)
    jump = np.random.default_rng(0).random(2_000) < np.repeat([0.1, 0.8], 1_000)
    known.learned.outputs.change.add(jump.astype(float), np.arange(2_000))
    message = found(known, "change_point").message
    assert re.search(r"v4 gives another label for \d+ % of requests, before for", message)


def test_a_slice_of_labels_says_what_its_shares_are_of(tmp_path):
    def turned(frame, params):
        return even(frame, params) ^ (frame["title"] == "red red").to_numpy()

    known = known_of(tmp_path, opaque(turned), champion=opaque(even, number=3), n=300)
    message = found(known, "slice_divergence").message
    assert re.search(r"v4 gives another label for \d+ % of requests, elsewhere for", message)


def test_a_slice_of_numbers_says_that_its_shares_are_ranks_of_differences(tmp_path):
    def off(frame, params):
        return double(frame, params) * (1 + 0.5 * (frame["title"] == "red red").to_numpy())

    known = known_of(tmp_path, opaque(off), n=400)
    message = found(known, "slice_divergence").message
    assert "a difference there is on average larger than" in message
    assert "exceed" not in message


def test_who_is_told_to_send_requests_again_is_told_where_their_ids_are(tmp_path):
    known = known_of(tmp_path, opaque(double), n=30)
    known.learned.failures.poisoned(Poison(7, "r-7", "deadline", "predict", 9e3, {"title": 25}))
    message = found(known, "poison_request").message
    assert "Replay" not in message
    assert "slow requests begin with them" in message
    assert known.learned.slow_requests()[0]["payload"]["request_id"] == "r-7"


def test_what_a_sampled_deployment_still_needs_is_told_in_traffic(tmp_path):
    options = {**OPTIONS, "sample_rate": 0.1, "verdict": {"min_requests": 901}}
    known = known_of(tmp_path, opaque(double), n=100, options=options)
    told = judge(known, [], policy(min_requests=901)).to_dict()
    coverage = next(one for one in told["limits"] if one["name"] == "coverage")
    assert (coverage["more"], coverage["more_traffic"]) == (801, 8010)
    says = "8,010 requests, of which 801 are sampled"
    assert says in _needs({**coverage, "more_seconds": None})
    shown = report(**QUIET, judgement={"limits": [coverage]})
    shown["features"] = []
    assert f"about {says} more" in printed(print_report, shown)
    assert "8,010 requests, of which 801 are sampled" in text_of(render(shown))


def test_where_all_is_compared_no_share_is_told_and_labels_are_labels():
    limit = {"name": "coverage", "state": "undecided", "says": "", "more": 1, "more_traffic": 1}
    assert _needs({**limit, "more_seconds": None}) == "about 1 request"
    of_labels = {**limit, "name": "loss", "more": 40, "more_traffic": None, "more_seconds": None}
    assert _needs(of_labels) == "about 40 labels"


def test_the_share_of_a_part_is_set_apart_from_its_steps():
    told = report(**QUIET)
    step = told["features"][0] | {"columns": [], "step": "model", "share": 0.6, "within": None}
    part = step | {"step": "model/look_up", "share": 0.4, "within": "model"}
    told["features"] = [step, part]
    for text in (printed(print_report, told), text_of(render(told))):
        assert "(40 %)" in text
        assert "(60 %)" not in text
        assert "part within a step" in text
    told["features"] = [step]
    assert "part within a step" not in printed(print_report, told) + text_of(render(told))


def test_people_read_numbers_that_count_and_ids_and_no_positions():
    far = 2**40 + 5
    told = report(**QUIET, worst_requests=[{"key": 0.9, "position": far, "payload": "order-17"}])
    told["features"] = []
    told["findings"][0] |= {"examples": [far], "example_requests": [1410], "since_request": None}
    text = printed(print_report, told)
    assert "for example request 1,410" in text
    assert "order-17 (0.9)" in text
    assert str(far) not in text
    page = text_of(render(told))
    assert "order-17" in page
    assert str(far) not in page


def test_the_tags_that_fill_the_columns_of_pins_are_documented():
    told = (DOCS / "check.md").read_text()
    assert "training_data.from" in told
    assert "training_data.to" in told
    assert "shadowserve pins" in told
