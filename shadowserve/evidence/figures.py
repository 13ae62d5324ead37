"""Pictures beside the report, as SVG that MLflow's artifact viewer shows: small, and drawn without a library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10
from typing import Any, NamedTuple

from shadowserve.report.page.html import Html, element
from shadowserve.report.wording import percent, short

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 340, 72, 24, 56, 44
MOST_STEPS, BAR = 24, 15
_ROLES = ("champion", "control", "challenger")
_LEAST_MS = 1e-3
_STYLE = """
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #4b5563 }
.title { font-size: 15px; font-weight: 600; fill: #111827 }
.end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #e5e7eb } .axis { stroke: #9ca3af }
.challenger { stroke: #c2410c; fill: #c2410c } .control { stroke: #6b7280; fill: #6b7280 }
.champion { stroke: #1d4ed8; fill: #1d4ed8 }
.line { fill: none; stroke-width: 2 } .whisker { stroke-width: 1.5 } .range { stroke-width: 5 }
text.challenger, text.control, text.champion { stroke: none }
"""


class Moment(NamedTuple):
    """One window of a lane: when it was closed, since the epoch, and a figure of it."""

    at_s: float
    value: float


def divergence(lanes: Mapping[str, Sequence[Moment]], *, names: Mapping[str, str]) -> str | None:
    """Draw the disagreement by window over time, the control's beside the challenger's.

    Parameters
    ----------
    lanes : mapping of role to sequence of Moment
        From 0, the same, to 1, disjoint.
    names : mapping of role to text
        What each is called.

    Returns
    -------
    str or None
        None before the first window.
    """
    times = [one.at_s for moments in lanes.values() for one in moments]
    if not times:
        return None
    most = max(0.01, *(one.value for moments in lanes.values() for one in moments))
    x = _Scale(min(times), max(max(times), min(times) + 1.0), LEFT, WIDTH - RIGHT)
    y = _Scale(0.0, min(1.0, most * 1.1), HEIGHT - BOTTOM, TOP)
    drawn: list[Html] = [
        *_shares(y),
        *_clock(x),
        *(
            element(f"g.{role}", _line(x, y, moments), _dots(x, y, moments))
            for role, moments in lanes.items()
            if moments
        ),
        *_legend({role: names[role] for role, moments in lanes.items() if moments}),
    ]
    return _picture("Disagreement by window", drawn)


def steps(features: Sequence[Mapping[str, Any]]) -> str | None:
    """Draw each step's time in each role, from the median over the p90 to the maximum; logarithmic.

    Parameters
    ----------
    features : sequence of mapping
        As in the report: the slowest are drawn where they are many.
    """
    timed = [one for one in features if one["p50_ms"] is not None and one["max_ms"] is not None]
    if not timed:
        return None
    slowest: dict[str, float] = {}
    for one in timed:
        slowest[one["step"]] = max(slowest.get(one["step"], 0.0), one["max_ms"])
    shown = sorted(slowest, key=lambda step: -slowest[step])[:MOST_STEPS]
    order = [step for step in slowest if step in shown]
    left = 280
    x = _Log.over(
        [one[key] for one in timed for key in ("p50_ms", "max_ms")], left, WIDTH - 2 * RIGHT
    )
    rows, y = [], float(TOP)
    for step in order:
        own = [o for r in _ROLES for o in timed if (o["step"], o["role"]) == (step, r)]
        middle = y + len(own) * BAR / 2 + 4
        rows.append(element("text.end", _shortened(step), x=left - 12, y=_at(middle)))
        rows += [_range(x, one, y + (i + 0.5) * BAR) for i, one in enumerate(own)]
        y += len(own) * BAR + 12
    roles = {role: role for role in _ROLES if any(one["role"] == role for one in timed)}
    drawn = [*x.grid("ms", top=TOP - 8, bottom=y), *rows, *_legend(roles)]
    return _picture("Time by step: median, p90 and maximum", drawn, height=y + BOTTOM)


def growth(features: Sequence[Mapping[str, Any]], slow: Sequence[Mapping[str, Any]]) -> str | None:
    """Draw how steps follow the size of their input: the fitted power, and the slowest requests.

    Parameters
    ----------
    features : sequence of mapping
        As in the report.
    slow : sequence of mapping
        The report's slowest requests.

    Returns
    -------
    str or None
        None where no step grows.
    """
    grown = [one for one in features if one["growth"] and one["role"] in ("challenger", "control")]
    worst = max((one for one in grown if one["role"] == "challenger"), key=_tail, default=None)
    if worst is None:
        return None
    column = worst["growth"]["column"]
    curves = [one for one in grown if one["growth"]["column"] == column]
    points = [
        (row["payload"]["size"], row["payload"]["step_ms"])
        for row in slow
        if (row["payload"] or {}).get("step") == worst["step"] and row["payload"].get("size")
    ]
    largest = max([10.0, *map(_largest, curves), *(size for size, _ in points)])
    sizes = [10.0 ** (log10(largest) * i / 60) for i in range(61)]
    heights = {id(one): [_predicted(one["growth"], size) for size in sizes] for one in curves}
    x = _Log.over([1.0, largest], LEFT, WIDTH - RIGHT)
    every = [ms for own in heights.values() for ms in own] + [ms for _, ms in points]
    y = _Log.over(every, HEIGHT - BOTTOM, TOP)
    drawn: list[Html] = [*x.grid("", top=TOP, bottom=HEIGHT - BOTTOM), *y.levels("ms")]
    for one in curves:
        path = _path(
            [(x.at(size), y.at(ms)) for size, ms in zip(sizes, heights[id(one)], strict=True)]
        )
        told = f"{one['role']}, {_shortened(one['step'])}: size to the power of {short(one['growth']['exponent'])}"
        # Two steps of one role may grow with the same column: only the worst is drawn in full.
        faint = None if one is worst or one["role"] != "challenger" else 0.35
        drawn.append(element(f"g.{one['role']}", element("title", told), path, opacity=faint))
    drawn += [
        element("circle.challenger", cx=_at(x.at(size)), cy=_at(y.at(ms)), r=3.5, opacity=0.7)
        for size, ms in points
    ]
    title = f"{_shortened(worst['step'])} by the length of {_shortened(column)}"
    named = {"challenger": f"challenger, power {short(worst['growth']['exponent'])}"}
    if any(one["role"] == "control" for one in curves):
        named["control"] = "control's steps that read it"
    return _picture(title, [*drawn, *_legend(named)])


class _Scale:
    """A linear axis."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self.low, self.high, self._begin, self._end = low, high, begin, end

    def at(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return self._begin + part * (self._end - self._begin)


class _Log:
    """A logarithmic axis over whole powers of ten."""

    def __init__(self, low: int, high: int, begin: float, end: float) -> None:
        self._scale = _Scale(low, max(high, low + 1), begin, end)

    @classmethod
    def over(cls, numbers: Sequence[float], begin: float, end: float) -> _Log:
        # Zero has no logarithm.
        exponents = [log10(max(number, _LEAST_MS)) for number in numbers]
        return cls(floor(min(exponents)), ceil(max(exponents)), begin, end)

    def at(self, value: float) -> float:
        return self._scale.at(log10(max(value, _LEAST_MS)))

    def _powers(self) -> list[float]:
        return [10.0**n for n in range(int(self._scale.low), int(self._scale.high) + 1)]

    def grid(self, unit: str, *, top: float, bottom: float) -> Iterator[Html]:
        """Yield upright lines, each with its number below."""
        for power in self._powers():
            x = _at(self.at(power))
            yield element("line.grid", x1=x, x2=x, y1=_at(top), y2=_at(bottom))
            # A long last number, in its middle, would reach beyond the picture's edge.
            last = self.at(power) > WIDTH - RIGHT - 1
            css, at = ("end", _at(WIDTH - 4)) if last else ("middle", x)
            yield element(f"text.{css}", f"{_power(power)} {unit}", x=at, y=_at(bottom + 18))

    def levels(self, unit: str) -> Iterator[Html]:
        """Yield level lines, each with its number to the left."""
        for power in self._powers():
            y = self.at(power)
            yield element("line.grid", x1=LEFT, x2=WIDTH - RIGHT, y1=_at(y), y2=_at(y))
            yield element("text.end", f"{_power(power)} {unit}", x=LEFT - 8, y=_at(y + 4))


def _picture(title: str, drawn: Sequence[Html], *, height: float = HEIGHT) -> str:
    size = {"viewBox": f"0 0 {WIDTH} {height:.0f}", "width": WIDTH, "height": f"{height:.0f}"}
    told = element("title", title)
    paper = element("rect", width=WIDTH, height=f"{height:.0f}", fill="#ffffff")
    head = element("text.title", title, x=16, y=24)
    style = Html(f"<style>{_STYLE}</style>")
    svg = element("svg", told, style, paper, head, list(drawn), role="img", **size)
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _shares(y: _Scale) -> Iterator[Html]:
    for i in range(5):
        value = y.high * i / 4
        at = y.at(value)
        yield element("line.grid", x1=LEFT, x2=WIDTH - RIGHT, y1=_at(at), y2=_at(at))
        yield element("text.end", percent(value), x=LEFT - 8, y=_at(at + 4))


def _clock(x: _Scale) -> Iterator[Html]:
    days = x.high - x.low > 2 * 86_400
    for i in range(5):
        value = x.low + (x.high - x.low) * i / 4
        moment = datetime.fromtimestamp(value, UTC)
        said = f"{moment:%d %b %H:%M}" if days else f"{moment:%H:%M:%S}"
        css = ("", ".middle", ".middle", ".middle", ".end")[i]
        yield element(f"text{css}", said, x=_at(x.at(value)), y=HEIGHT - BOTTOM + 20)
    began = datetime.fromtimestamp(x.low, UTC)
    yield element("text.end", f"since {began:%Y-%m-%d}, UTC", x=WIDTH - RIGHT, y=24)


def _line(x: _Scale, y: _Scale, moments: Sequence[Moment]) -> Html:
    return _path([(x.at(one.at_s), y.at(one.value)) for one in moments])


def _path(points: Sequence[tuple[float, float]]) -> Html:
    # Written here, since an element cuts what is as long as the way through many windows.
    told = " ".join(f"{_at(x)},{_at(y)}" for x, y in points)
    return Html(f'<polyline class="line" points="{told}"/>')


def _dots(x: _Scale, y: _Scale, moments: Sequence[Moment]) -> list[Html]:
    # A few windows are points; of many the line says enough.
    if len(moments) > 60:
        return []
    return [
        element("circle", cx=_at(x.at(one.at_s)), cy=_at(y.at(one.value)), r=3) for one in moments
    ]


def _range(x: _Log, one: Mapping[str, Any], y: float) -> Html:
    median, high, most = (
        _at(x.at(one[k] or one["p50_ms"])) for k in ("p50_ms", "p90_ms", "max_ms")
    )
    told = f"{one['role']}: median {short(one['p50_ms'])} ms, maximum {short(one['max_ms'])} ms"
    level = {"y1": _at(y), "y2": _at(y)}
    return element(
        f"g.{one['role']}",
        element("title", told),
        element("line.whisker", x1=median, x2=most, **level),
        element("line.range", x1=median, x2=high, **level),
        element("circle", cx=median, cy=_at(y), r=3.5),
        element("circle", cx=most, cy=_at(y), r=2),
    )


def _legend(names: Mapping[str, str]) -> Iterator[Html]:
    at = 16.0
    for role, name in names.items():
        yield element(f"circle.{role}", cx=_at(at + 4), cy=40, r=4)
        yield element("text", _shortened(name), x=_at(at + 14), y=44)
        at += 40 + 7 * len(_shortened(name))


def _tail(one: Mapping[str, Any]) -> float:
    return float(one["growth"].get("max_ms") or 0.0)


def _predicted(fit: Mapping[str, Any], size: float) -> float:
    return float(fit["fixed_ms"] + fit["per_unit_ms"] * size ** fit["exponent"])


def _largest(one: Mapping[str, Any]) -> float:
    """Return the size at which the fit takes what it is said to take at most."""
    fit = one["growth"]
    beyond = (fit["max_ms"] or 0.0) - fit["fixed_ms"]
    if beyond <= 0.0 or not fit["per_unit_ms"] or not fit["exponent"]:
        return 1.0
    return float(min((beyond / fit["per_unit_ms"]) ** (1.0 / fit["exponent"]), 1e12))


def _shortened(name: str) -> str:
    return name if len(name) <= 40 else f"…{name[-39:]}"


def _power(value: float) -> str:
    return f"{value:,.0f}" if value >= 1.0 else f"{value:g}"


def _at(value: float) -> str:
    return f"{value:.1f}"
