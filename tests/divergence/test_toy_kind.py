"""A kind of output is one class and one line: a toy one is compared, remembered, told and labelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import shadowserve
from rig.judging import shadowed
from rig.printed import printed
from rig.scoring import opaque
from shadowserve.cli.report_text import print_report
from shadowserve.divergence import (
    KINDS,
    Compared,
    KindTally,
    Measure,
    OutputKind,
    Usual,
    detect,
    output_kind,
    registered,
    resumed,
)
from shadowserve.divergence.align import align
from shadowserve.divergence.compared import compared
from shadowserve.divergence.kind import Given, forget, register
from shadowserve.labels import Losses
from shadowserve.labels.constant import Constant
from shadowserve.labels.losses import Labelled, losses_of
from shadowserve.labels.terms import Terms
from shadowserve.legible import share
from shadowserve.report.build import build
from shadowserve.report.page import render
from shadowserve.statistics.tally import Moments

SOURCES = Path(shadowserve.__file__).parent
HOUR = 3_600
CLOCK = re.compile(r"\d+:\d\d")


def seconds(text: str) -> int:
    minutes, _, rest = text.partition(":")
    return 60 * int(minutes) + int(rest)


class DurationDivergence:
    """Compare durations such as "2:05": their difference as a share of an hour."""

    kind = "duration"
    measures = (Measure("hours_apart", 0, 1, meaning="difference as a share of an hour"),)

    def compare(self, champion, lane) -> Compared:
        aligned = align(champion, lane)

        def measure(rows):
            both = [(seconds(aligned.champion[i]), seconds(aligned.lane[i])) for i in rows.tolist()]
            apart = np.array([min(1.0, abs(a - b) / HOUR) for a, b in both])
            return {"hours_apart": apart}, np.zeros(len(rows), dtype=bool)

        return compared(
            aligned, measures=self.measures, measured=aligned.comparable, measure=measure
        )


class Duration(OutputKind):
    """Durations, as minutes and seconds."""

    name = "duration"
    measures = DurationDivergence.measures
    unit = "share of an hour"
    usual = Usual("durations", least_range=1.0)
    decisive = "late"
    bounds: Mapping[str, float] = {"late": 1.0}

    def make(self, options, *, signature=None, sample=()):
        return DurationDivergence()

    def is_shown_by(self, sample):
        return sample.types == {str} and all(map(CLOCK.fullmatch, sample.rows))

    def parts(self, divergence):
        return {"longer": Moments()}

    def feed(self, parts, champion, lane, compared):
        longer = [seconds(b) - seconds(a) for a, b in zip(champion, lane, strict=True)]
        parts["longer"].add(np.asarray(longer, dtype=np.float64))

    def figures(self, parts):
        return {"longer": parts["longer"].summary()}

    def tell(self, figures, rate):
        longer = figures["longer"]["mean"]
        return f"lasts {longer:.0f} s longer, otherwise on {share(rate)} of requests"

    def placed(self, side):
        return [float(seconds(value)) for value in side]

    def wrong(self, truth, answer):
        return {"late": float(seconds(answer) > seconds(truth))}

    def wrong_always(self, truths, answers, always):
        return {"late": [0.0 for _ in truths]}


@pytest.fixture
def duration():
    kind = Duration()
    register(kind)
    yield kind
    forget(kind)


def durations(*, more: int):
    return lambda frame, _: [
        f"{(int(age) % 7) + more}:{int(age) % 60:02}" for age in frame["age"].tolist()
    ]


def report_of(root):
    champion = opaque(durations(more=0), number=3)
    places, deployment = shadowed(root, opaque(durations(more=2)), champion=champion, n=200)
    return build(places, deployment, challenger=4)


def test_a_toy_kind_is_recognised_before_those_that_are_asked_later(duration):
    assert detect(None, ["2:05", "0:40"]) == "duration"
    assert detect(None, ["2:05", "soon"]) == "label"
    forget(duration)
    assert detect(None, ["2:05", "0:40"]) == "label"
    register(duration)


def test_a_toy_kind_goes_from_the_lane_to_the_report_and_its_text(tmp_path, duration):
    told = report_of(tmp_path)
    assert told["divergence"]["kind"] == "duration"
    assert told["divergence"]["longer"]["mean"] == pytest.approx(120)
    one = next(f for f in told["findings"] if f["kind"] == "prediction_divergence")
    assert "v4 lasts 120 s longer, otherwise on 100 % of requests" in one["message"]
    assert one["effect"]["unit"] == duration.unit
    assert one["effect"]["value"] == pytest.approx(120 / HOUR)
    text = printed(print_report, told)
    assert "Output: duration" in text
    assert "hours apart: difference as a share of an hour" in text
    assert "difference as a share of an hour" in render(told)


def test_a_toy_tally_goes_on_from_its_state(duration):
    divergence = output_kind("duration").make(Given())
    before = KindTally(divergence)
    before.add(["1:00"], ["1:30"], divergence.compare(["1:00"], ["1:30"]))
    after = KindTally.from_state(before.state())
    assert after.summary() == before.summary()
    assert after.of is duration
    assert resumed(after).kind == "duration"


def test_labels_judge_a_toy_kind_by_its_own_loss(duration):
    request = Labelled(["2:00"], ["1:00"], ["3:00"])
    found = losses_of(request, "duration", Constant(), Terms())[duration.decisive]
    assert (found.champion, found.challenger) == (0, 1)
    losses = Losses("duration")
    assert losses.measure("late").scale.cap == 1
    assert losses.decisive.measure == "late"


def test_no_source_names_a_kind_but_its_own_module():
    """A new one is its module, a line in the registry, and a word that a team may set."""
    turned = {"divergence/revision.py"}  # labels that prove to be numbers
    for kind in KINDS:
        name = f"Kind.{kind.name.name}"
        files = {
            str(path.relative_to(SOURCES))
            for path in SOURCES.rglob("*.py")
            if re.search(rf"\b{re.escape(name)}\b", path.read_text("utf-8"))
        }
        own = type(kind).__module__.removeprefix("shadowserve.").replace(".", "/") + ".py"
        assert files - turned == {own}
    assert [kind.name for kind in registered()] == [kind.name for kind in reversed(KINDS)]
