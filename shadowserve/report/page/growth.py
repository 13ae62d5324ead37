"""How a step's time grows with its input: timings, the fitted power, and the sizes that production sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadowserve.report.page.html import Html, element, named
from shadowserve.report.page.plot import dots, legend, percent, plot, polyline
from shadowserve.report.page.scales import Log
from shadowserve.report.wording import short

Timed = Mapping[str, Any]

MOST = 3
HEIGHT = 200
N_POINTS = 40


def growing(timed: Sequence[Timed]) -> Iterator[Html]:
    """Yield a picture of each step of the challenger that grows, the steepest cost first."""
    own = [
        one for one in timed if one["role"] == "challenger" and (one["growth"] or {}).get("points")
    ]
    beside = {one["step"]: one for one in timed if one["role"] == "control"}
    for one in sorted(own, key=lambda one: -float(one["growth"]["max_ms"] or one["max_ms"]))[:MOST]:
        yield from _picture(one, beside.get(one["step"]))


def _picture(one: Timed, control: Timed | None) -> Iterator[Html]:
    found = one["growth"]
    points = [(max(size, 1.0), ms) for size, ms in found["points"]]
    sizes = found.get("sizes") or {}
    largest = max([size for size, _ in points] + [float(sizes.get("max") or 1)])
    x = Log.over([*(size for size, _ in points), largest], least=1.0)
    curve = [(at, _predicted(found, at)) for at in _steps(x, largest)]
    y = Log.over([ms for _, ms in (*points, *curve)], unit="ms", least=1e-4)
    theirs = (control or {}).get("growth") or {}
    yield element(
        "h3",
        named(one["step"]),
        " grows with the length of ",
        named(found["column"]),
        " to the power of ",
        f"{short(found['exponent'])} ({short(found['low'])} to {short(found['high'])})",
    )
    names = [("challenger", "challenger: timings and fitted power")]
    names += [("control", "control")] if theirs else []
    yield legend([*names, ("rug", "sizes of all requests")])
    yield plot(
        x,
        y,
        polyline(
            x, y, [(at, _predicted(theirs, at)) for at, _ in curve], css="control", height=HEIGHT
        )
        if theirs
        else None,
        polyline(x, y, curve, css="challenger", height=HEIGHT),
        dots(x, y, points, css="challenger", height=HEIGHT),
        _rug(x, sizes),
        told=f"Time of {one['step']} against the length of {found['column']}, both logarithmic: {_affected(one)}",
        height=HEIGHT,
    )
    yield element(
        "p.note", "Across: characters or items, up: ms, both logarithmic. ", _affected(one)
    )


def _predicted(found: Mapping[str, Any], size: float) -> float:
    return float(found["fixed_ms"] + found["per_unit_ms"] * size ** found["exponent"])


def _steps(x: Log, largest: float) -> list[float]:
    first = 10.0**x.low
    ratio = largest / first if largest > first else 10.0
    return [first * ratio ** (i / (N_POINTS - 1)) for i in range(N_POINTS)]


def _rug(x: Log, sizes: Mapping[str, Any]) -> list[Html]:
    marks = []
    for name in ("p50", "p90", "p99", "max"):
        if sizes.get(name):
            at = percent(x.share(float(sizes[name])))
            title = element("title", f"{name} of all requests: {short(sizes[name])}")
            marks.append(
                element("g.rug", title, element("line", x1=at, x2=at, y1=HEIGHT - 12, y2=HEIGHT))
            )
    return marks


def _affected(one: Timed) -> str:
    """Say for whom the step is slow, and by how much."""
    found = one["growth"]
    sizes, told = found.get("sizes") or {}, []
    ranks = (
        ("p50", "Half of all requests have at most"),
        ("p99", "one in a hundred has more than"),
        ("max", "the longest has"),
    )
    for name, said in ranks:
        if sizes.get(name):
            told.append(
                f"{said} {short(sizes[name])} ({short(_predicted(found, float(sizes[name])))} ms)"
            )
    n = f" (n = {sizes['n']:,})" if sizes.get("n") else ""
    return ("; ".join(told) + f"{n}.") if told else f"The slowest took {short(one['max_ms'])} ms."
