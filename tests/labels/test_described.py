"""What labels show class by class: it describes, and decides nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import average_precision_score, recall_score

from rig.evidence import CHALLENGER, CONTROL
from rig.labels import Kind, answers, serve, work
from rig.report_schema import SCHEMA, closed, faults
from shadowserve.cli import main
from shadowserve.labels import Losses, take
from shadowserve.labels.described import BINS, MOST_CLASSES, MOST_SHOWN, ByClass
from shadowserve.labels.losses import Labelled
from shadowserve.labels.pairs import Pair
from shadowserve.report import build
from shadowserve.report.page import render


def pair(label, champion, challenger, *, scores=(None, None)) -> Pair:
    """One label with both versions' answers, as the labels' file has them."""
    own, theirs = (json.dumps(one) if one else None for one in scores)
    return Pair(
        json.dumps(label), 2, 1, json.dumps([champion]), json.dumps([challenger]),
        theirs, True, own, True, 1,
    )  # fmt: skip


def fraud(n: int = 3_000, rate: float = 0.03) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of a rare class with a champion that knows it and a challenger that does not."""
    rng = np.random.default_rng(7)
    truth = (rng.random(n) < rate).astype(int)
    knows = 1 / (1 + np.exp(-(rng.normal(size=n) + 3.0 * truth - 4.5)))
    guesses = np.full(n, rate) + rng.uniform(-0.01, 0.01, n)
    return truth, knows, guesses


def described(truth, champion, challenger, names=("0", "1")) -> ByClass:
    found = ByClass()
    for t, a, b in zip(truth, champion, challenger, strict=True):
        sides = [{names[0]: 1 - p, names[1]: p} for p in (float(a), float(b))]
        answers = [[list(side.values())] for side in sides]
        found.add(Labelled([int(t)], *answers, *sides), Kind.PROBABILITY)
    return found


def test_a_challenger_that_finds_no_fraud_is_shown_as_such_the_rare_class_first():
    truth, champion, challenger = fraud()
    rare, common = described(truth, champion, challenger).to_dict()["classes"]
    assert (rare["label"], common["label"]) == (1, 0)
    assert rare["n"] == truth.sum()
    assert rare["recall"]["challenger"] == 0.0
    assert rare["recall"]["champion"] == recall_score(truth, champion > 0.5)
    assert common["recall"]["challenger"] == 1.0


@pytest.mark.parametrize("of", ["champion", "challenger"])
def test_average_precision_is_scikit_learns(of):
    truth, champion, challenger = fraud()
    for one in described(truth, champion, challenger).to_dict()["classes"]:
        scores = champion if of == "champion" else challenger
        own = scores if one["label"] == 1 else 1 - scores
        wanted = average_precision_score(truth == one["label"], own)
        assert one["average_precision"][of] == pytest.approx(wanted, abs=0.01)
        assert one["average_precision"]["n"] == len(truth)


def test_calibration_is_as_counted_in_ten_bins():
    truth = np.array([1, 0, 1, 1])
    one = described(truth, [0.1, 0.15, 0.95, 1.0], [0.5] * 4).to_dict()["classes"][-1][
        "calibration"
    ]
    assert one["champion"]["error"] == pytest.approx((abs(0.25 - 1) + abs(1.95 - 2)) / 4)
    assert [(b["low"], b["n"]) for b in one["champion"]["bins"]] == [(0.1, 2), (0.9, 2)]
    assert one["challenger"] == {
        "error": 0.25,
        "bins": [{"low": 0.5, "high": 0.6, "n": 4, "mean": 0.5, "share": 0.75}],
    }
    assert BINS == 10


def test_labels_without_probabilities_have_a_recall_and_nothing_else():
    losses = Losses(Kind.LABEL)
    losses.add([pair("a", "a", "b"), pair("b", "b", "b"), pair("b", "a", "b")])
    rare, common = losses.to_dict(alpha=0.05)["by_class"]["classes"]
    assert rare["label"] == "a"
    assert (rare["recall"], common["recall"]) == (
        {"champion": 1.0, "challenger": 0.0},
        {"champion": 0.5, "challenger": 1.0},
    )
    assert rare["average_precision"] is rare["calibration"] is None


@pytest.mark.parametrize("named", [("false", "true"), ("0.0", "1.0"), ("0", "1")])
def test_classes_are_one_however_a_version_spells_them(named):
    """A version that was fitted on truth values or floats has its probabilities judged all the same."""
    scores = {named[0]: 0.1, named[1]: 0.9}
    losses = Losses(Kind.LABEL)
    losses.add([pair(label, 1, 1, scores=(scores, scores)) for label in (True, 1, 1.0)])
    assert losses.measures["brier"].challenger == pytest.approx(0.01)
    (one,) = losses.to_dict(alpha=0.05)["by_class"]["classes"]
    assert (one["label"], one["n"], one["average_precision"]["n"]) == (1, 3, 3)


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.RANKING, Kind.TEXT])
def test_what_has_no_classes_has_no_section(kind):
    found = ByClass()
    found.add(Labelled([1.0], [1.0], [2.0]), kind)
    assert found.to_dict() is None


def test_a_label_that_no_version_knows_is_counted_and_not_told():
    found = ByClass()
    for truth in ("yes", "somebody's remark"):
        found.add(Labelled([truth], ["yes"], ["yes"]), Kind.LABEL)
    told = found.to_dict()
    assert (told["n"], told["others"]) == (2, 1)
    assert "remark" not in json.dumps(told)


def test_classes_are_bounded_and_the_rest_is_counted():
    found = ByClass()
    for n in range(500):
        found.add(Labelled([n], [n], [n], {str(n): 0.9}, {str(n): 0.9}), Kind.LABEL)
    told = found.to_dict()
    assert len(told["classes"]) == MOST_SHOWN
    assert told["others"] == 500 - MOST_SHOWN
    assert len(found.state()["classes"]) == MOST_CLASSES


def test_a_request_of_several_rows_counts_row_by_row():
    found = ByClass()
    found.add(Labelled([1, 0, 1], [1, 0, 0], [1, 1, 1]), Kind.LABEL)
    told = {one["label"]: one["recall"] for one in found.to_dict()["classes"]}
    assert told == {
        1: {"champion": 0.5, "challenger": 1.0},
        0: {"champion": 1.0, "challenger": 0.0},
    }


def test_it_goes_on_after_a_restart_and_a_state_of_before_resumes():
    truth, champion, challenger = fraud(400)
    at = 150
    whole = described(truth, champion, challenger)
    half = described(truth[:at], champion[:at], challenger[:at])
    resumed = ByClass.from_state(json.loads(json.dumps(half.state())))
    for t, a, b in zip(truth[at:], champion[at:], challenger[at:], strict=True):
        sides = [{"0": 1 - p, "1": p} for p in (float(a), float(b))]
        resumed.add(Labelled([int(t)], [[0, 0]], [[0, 0]], *sides), Kind.PROBABILITY)
    assert json.dumps(resumed.to_dict()) == json.dumps(whole.to_dict())
    losses = Losses(Kind.LABEL)
    losses.add([pair(1, 1, 0)])
    before = {name: part for name, part in losses.state().items() if name != "by_class"}
    again = Losses.from_state(json.loads(json.dumps(before)))
    assert again.joined == 1
    assert again.to_dict(alpha=0.05)["by_class"] is None


def test_report_page_and_text_show_it_as_the_schema_says(tmp_path):
    places, served = serve(tmp_path)
    truth, rows = answers(300)
    scores = [{"lane_scores": {str(t): 0.8, str(1 - t): 0.2}} for t in truth]
    for row, own in zip(rows, scores, strict=True):
        row |= own
    positions = [row["position"] for row in rows]
    work(places, CHALLENGER, rows, part=True)
    again = [{"position": p, **own} for p, own in zip(positions[:60], scores, strict=False)]
    work(places, CONTROL, again, part=True)
    take(places, served, [(i, f"request-{i}", t) for i, t in enumerate(truth, start=1)])
    told = build.build(places, served, challenger=CHALLENGER.version)
    assert faults(told, closed(SCHEMA)) == []
    rare = told["labels"]["by_class"]["classes"][0]
    assert (rare["n"], rare["calibration"]["n"]) == (min(sum(truth), 300 - sum(truth)), 60)
    assert rare["calibration"]["champion"]["error"] == pytest.approx(0.2)
    page = render(told)
    shown = CliRunner().invoke(main, ["report", "--state-dir", str(places.root)]).output
    for text in ("average precision", "calibration error", "describes and does not decide"):
        assert text in page
        assert text in shown
