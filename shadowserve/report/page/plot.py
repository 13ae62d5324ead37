"""What pictures are made of: SVG whose shapes follow the width of the screen while its text keeps its size.

Places across are percentages, so one picture serves a desk and a phone. Nothing in it has a style of
its own: colours and widths are the style sheet's, by class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shadowserve.report.page.html import Child, Html, element
from shadowserve.report.page.scales import Scale

TICKS_HEIGHT = 22
MANY_TICKS = 4
_EDGE = 0.02


def percent(share: float) -> str:
    """Write a share of the width as SVG reads it.

    Examples
    --------
    >>> percent(0.12345)
    '12.35%'
    """
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def plot(x: Scale, y: Scale, *shapes: Child, told: str, height: int = 180) -> Html:
    """Return a picture with both axes: the upright one's names beside it, the other's below.

    Parameters
    ----------
    x, y : Scale
    *shapes
        Drawn in the plane, see `polyline` and `upright`.
    told : str
        What a reader hears who does not see it.
    height : int
        Of the plane, in pixels.
    """
    names = [
        element("text", text, x="100%", y=f"{_down(at, height):.0f}", dy="0.32em")
        for at, text in y.ticks
    ]
    lines = [
        element(
            "line.grid",
            x1=0,
            x2="100%",
            y1=f"{_down(at, height):.1f}",
            y2=f"{_down(at, height):.1f}",
        )
        for at, _ in y.ticks
    ]
    whole = height + TICKS_HEIGHT
    return element(
        "div.chart",
        element("svg.y", names, width=62, height=whole, aria_hidden="true"),
        element(
            "svg.plot",
            lines,
            *shapes,
            ticks_below(x, height),
            width="100%",
            height=whole,
            role="img",
            aria_label=told,
        ),
    )


def ticks_below(x: Scale, height: int) -> list[Html]:
    """Return the names of an axis across, below a plane; those at its ends stay within it.

    Where there are many, every other one is left out on a narrow screen.
    """
    many = len(x.ticks) > MANY_TICKS
    return [
        element(
            f"text.tick{_anchor(share)}{'.between' if many and at % 2 else ''}",
            text,
            x=percent(share),
            y=height + 16,
        )
        for at, (share, text) in enumerate(x.ticks)
    ]


def rules(x: Scale, height: int) -> list[Html]:
    """Return upright lines at the ticks of an axis across."""
    return [
        element("line.grid", x1=percent(at), x2=percent(at), y1=0, y2=height) for at, _ in x.ticks
    ]


def _anchor(share: float) -> str:
    return ".first" if share < _EDGE else ".last" if share > 1 - _EDGE else ""


def _down(share: float, height: int) -> float:
    """Return how far from the top: a little room is left for text at either end."""
    return 8 + (1 - share) * (height - 12)


def polyline(
    x: Scale, y: Scale, points: Iterable[tuple[float, float | None]], *, css: str, height: int = 180
) -> Html:
    """Return a line through points; where a value is missing it is interrupted."""
    pieces: list[list[str]] = [[]]
    for across, up in points:
        if up is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{1000 * x.share(across):.1f},{_down(y.share(up), height):.1f}")
    drawn = [
        element("polyline", points=Html(" ".join(_visible(piece)))) for piece in pieces if piece
    ]
    return _stretched(css, height, drawn)


def _visible(piece: Sequence[str]) -> list[str]:
    """Return the points of a line; one alone becomes a short line, since a point has no length."""
    if len(piece) > 1:
        return list(piece)
    across, up = piece[0].split(",")
    return [f"{max(float(across) - 4, 0):.1f},{up}", f"{float(across) + 4:.1f},{up}"]


def band(
    x: Scale,
    y: Scale,
    points: Sequence[tuple[float, float | None, float | None]],
    *,
    css: str,
    height: int = 180,
) -> Html | None:
    """Return an area from a lower to an upper value; points that lack one are left out."""
    known = [
        (across, low, high) for across, low, high in points if low is not None and high is not None
    ]
    if len(known) < 2:
        return None
    upper = [f"{1000 * x.share(a):.1f},{_down(y.share(high), height):.1f}" for a, _, high in known]
    lower = [f"{1000 * x.share(a):.1f},{_down(y.share(low), height):.1f}" for a, low, _ in known]
    shape = element("polygon", points=Html(" ".join([*upper, *reversed(lower)])))
    return _stretched(f"{css}.band", height, shape)


def dots(
    x: Scale,
    y: Scale,
    points: Iterable[tuple[float, float]],
    *,
    css: str,
    height: int = 180,
    r: float = 2.5,
) -> Html:
    """Return a dot at each point."""
    return element(
        f"g.{css}",
        [
            element("circle", cx=percent(x.share(a)), cy=f"{_down(y.share(b), height):.1f}", r=r)
            for a, b in points
        ],
    )


def upright(
    x: Scale, value: float, name: str, *, css: str, height: int = 180, row: int = 0
) -> Html:
    """Return a mark across the whole height, with its name at the top."""
    at = x.share(value)
    side = "last" if at > 0.5 else "first"
    return element(
        f"g.{css}",
        element("title", name),
        element("line.mark", x1=percent(at), x2=percent(at), y1=4, y2=height),
        element(
            f"text.{side}",
            name,
            x=percent(at),
            dx=-4 if side == "last" else 4,
            y=f"{14 + 14 * row}",
        ),
    )


def rectangle(x: Scale, low: float, high: float, *, top: float, height: float, css: str) -> Html:
    """Return a bar that lies from one value to another."""
    left, right = sorted((x.share(low), x.share(high)))
    return element(
        f"rect.{css}",
        x=percent(left),
        width=percent(max(right - left, 0.004)),
        y=f"{top:g}",
        height=f"{height:g}",
        rx=2,
    )


def bar(share: float, *, css: str) -> Html:
    """Return a bar whose length is a share from 0 to 1; the number stands beside it as text."""
    filled = element(f"rect.{css}", width=percent(min(max(share, 0.0), 1.0)), height="100%")
    return element("svg.bar", filled, aria_hidden="true")


def legend(names: Iterable[tuple[str, str]]) -> Html:
    """Return what the colours mean: class and name of each."""
    return element("p.legend", [element(f"span.{css}", name) for css, name in names])


def _stretched(css: str, height: int, shapes: Child) -> Html:
    return element(
        f"svg.lines.{css}",
        shapes,
        width="100%",
        height=height,
        viewBox=f"0 0 1000 {height}",
        preserveAspectRatio="none",
    )
