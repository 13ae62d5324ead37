"""The picture of a search for capacity: what each rate came to, as one SVG file that needs nothing else."""

from __future__ import annotations

from math import log10

from shadowserve.replay.capacity import CHAMPION, Found, Limits, Step
from shadowserve.report.page.html import Html, element

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 200, 40, 250
HELD, BROKE, LANE = "#1b6ca8", "#c0392b", "#b7791f"
_DECADES = (0.1, 1, 10, 100, 1_000, 10_000, 100_000)


def picture(found: Found, limits: Limits) -> str:
    """Return an SVG: across the rates, upwards the p99 of answers (logarithmic), each step a dot.

    Marks stand where each part broke first.
    """
    steps = [(step, breaks) for step, breaks in found.steps if step.p99_ms > 0]
    most = max((step.rate for step, _ in steps), default=1.0) * 1.05
    times = [step.p99_ms for step, _ in steps] + [limits.p99_ms]
    low = max((d for d in _DECADES if d <= min(times)), default=_DECADES[0])
    high = min((d for d in _DECADES if d >= max(times)), default=_DECADES[-1])

    def across(rate: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * rate / most:.1f}"

    def up(ms: float) -> str:
        share = log10(max(ms, low) / low) / max(log10(high / low), 1e-9)
        return f"{BOTTOM - (BOTTOM - TOP) * share:.1f}"

    def dot(step: Step, *, broke: bool) -> Html:
        colour = BROKE if broke else HELD
        title = element("title", f"{step.rate:.0f} a second: p99 {step.p99_ms:.1f} ms, {step.answered_per_s:.0f} answered a second")  # fmt: skip
        return element("circle", title, cx=across(step.rate), cy=up(step.p99_ms), r=4, fill=colour)

    shapes: list[Html] = []
    for ms in (d for d in _DECADES if low <= d <= high):
        shapes.append(_line(across(0), up(ms), across(most), up(ms), "#ddd"))
        shapes.append(_text(f"{ms:g} ms", LEFT - 8, up(ms), "end"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = across(share * most)
        shapes.append(_text(f"{share * most:.0f}", at, BOTTOM + 18, "middle"))
    shapes.append(_text("requests a second, and the p99 of their answers from when they were due", LEFT, 20))  # fmt: skip
    shapes.append(_line(across(0), up(limits.p99_ms), across(most), up(limits.p99_ms), "#888", "4"))
    shapes.append(_text("limit", LEFT + 4, float(up(limits.p99_ms)) - 8))
    for n, (part, rate, _) in enumerate(found.order):
        colour = BROKE if part == CHAMPION else LANE
        shapes.append(_line(across(rate), TOP, across(rate), BOTTOM, colour, "2"))
        shapes.append(_text(f"{part}: {rate:.0f} a second", WIDTH - RIGHT + 8, 50 + 18 * n, fill=colour))  # fmt: skip
    shapes += [dot(step, broke=any(b.part == CHAMPION for b in breaks)) for step, breaks in steps]
    return (
        element(
            "svg",
            shapes,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            font_family="sans-serif",
            font_size=12,
            role="img",
            aria_label=_told(found),
        )
        + "\n"
    )


def _told(found: Found) -> str:
    broke = "" if found.broke is None else f", {found.broke:.0f} broke it"
    return f"{found.held:.0f} requests a second held{broke}"


def _line(x1: str, y1: object, x2: str, y2: object, stroke: str, dash: str | None = None) -> Html:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_dasharray=dash)


def _text(text: str, x: object, y: object, anchor: str = "start", fill: str = "#333") -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor, dy="0.32em", fill=fill)
