"""Figures are whole, small SVG whatever the numbers and names are, and absent where nothing is known."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from shadowserve.evidence import figures
from shadowserve.evidence.figures import Moment

NAMES = {"challenger": "v4 beside v3", "control": "the control"}
GROWTH = {
    "column": "text", "exponent": 1.8, "low": 1.7, "high": 1.9, "superlinear": True,
    "fixed_ms": 0.04, "per_unit_ms": 1e-6, "p99_ms": 0.3, "max_ms": 1_800.0,
}  # fmt: skip


def feature(role: str = "challenger", step: str = "phrases", **changes: Any) -> dict[str, Any]:
    times = {"p50_ms": 1.0, "p90_ms": 2.0, "max_ms": 5.0, "growth": None}
    return {"role": role, "step": step, **times, **changes}


def slow(size: int | None, step: str = "phrases") -> dict[str, Any]:
    return {"key": 5.0, "position": 1, "payload": {"step": step, "step_ms": 4.0, "size": size}}


def whole(svg: str | None) -> ElementTree.Element:
    assert svg is not None
    assert "nan" not in svg
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    for one in root.iter():
        for name, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert 0.0 <= float(one.get(name, 0.0)) <= limit, ElementTree.tostring(one)
        if one.get("class") == "middle":  # a figure is about seven wide
            assert float(one.get("x", 0.0)) + 3.5 * len(one.text or "") <= width, one.text
    return root


def texts(svg: str) -> str:
    return " ".join(whole(svg).itertext())


def test_nothing_is_drawn_of_nothing():
    assert figures.divergence({"challenger": []}, names=NAMES) is None
    assert figures.steps([]) is None
    assert figures.steps([feature(p50_ms=None)]) is None
    assert figures.growth([feature()], []) is None
    assert figures.growth([feature(role="control", growth=GROWTH)], []) is None


@pytest.mark.parametrize("n", [1, 2, 50, 721])
@pytest.mark.parametrize("value", [0.0, 1e-9, 0.3, 1.0])
def test_divergence_is_drawn_over_time(n, value):
    moments = [Moment(1.8e9 + 60.0 * i, value) for i in range(n)]
    svg = figures.divergence({"challenger": moments, "control": moments[:1]}, names=NAMES)
    root = whole(svg)
    lines = [one for one in root.iter() if one.tag.endswith("polyline")]
    assert [len(line.get("points").split()) for line in lines] == [n, 1]
    assert len(svg) < 100_000
    assert "the control" in texts(svg)


def test_each_step_has_a_range_a_role():
    found = [feature(role) for role in ("champion", "challenger", "control")]
    told = [one for one in whole(figures.steps(found)).iter() if one.get("class") in NAMES]
    assert len([one for one in told if one.tag.endswith("}g")]) == 2
    assert "phrases" in texts(figures.steps(found))


def test_of_many_steps_the_slowest_are_drawn():
    found = [feature(step=f"step {i}", max_ms=float(i)) for i in range(1, 301)]
    svg = figures.steps(found)
    assert "step 300" in texts(svg)
    assert "step 3 " not in texts(svg)
    assert len(svg) < 50_000


def test_growth_shows_the_fit_and_the_slowest_requests():
    found = [feature(growth=GROWTH), feature("control", "words", growth={**GROWTH, "exponent": 1})]
    svg = figures.growth(found, [slow(100_000), slow(None), slow(10, step="another")])
    root = whole(svg)
    assert len([one for one in root.iter() if one.tag.endswith("polyline")]) == 2
    points = [one for one in root.iter() if one.get("r") == "3.5"]
    assert len(points) == 1
    assert "power 1.8" in texts(svg)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_ms": None, "p99_ms": None},
        {"per_unit_ms": 0.0},
        {"exponent": 0.2, "max_ms": 1e9},
        {"fixed_ms": 0.0, "per_unit_ms": 1e-12},
    ],
)
def test_growth_of_a_strange_fit_is_a_picture_all_the_same(changes):
    whole(figures.growth([feature(growth={**GROWTH, **changes})], []))


@pytest.mark.parametrize("name", ["<b>&amp;", "x" * 500, "\x1b[31m\u202e", '"quoted"', ""])
def test_names_are_text(name):
    growth = {**GROWTH, "column": name}
    svg = figures.steps([feature(step=name)])
    whole(svg)
    whole(figures.growth([feature(step=name, growth=growth)], [slow(9, step=name)]))
    assert "<b>" not in svg
    assert "\x1b" not in svg
