"""The answers themselves, by their kind: which classes flip, where probabilities and numbers lie, which items moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadowserve.report.legend import legend as meanings
from shadowserve.report.page.html import Html, element, folded, named, section, table
from shadowserve.report.page.plot import bar, legend, percent, plot, polyline
from shadowserve.report.page.scales import Linear
from shadowserve.report.wording import agreed, short, spaced
from shadowserve.report.wording import percent as told_percent

Report = Mapping[str, Any]
Figures = Mapping[str, Any]

MOST_CLASSES = 12
MOST_FLIPS = 8
MOST_FIELDS = 6
_SIDES = (("champion", "champion"), ("challenger", "challenger"))


def answers(report: Report) -> Html | None:
    """Return how far the outputs lie apart, and how."""
    told = report.get("divergence")
    if told is None:
        return None
    if not told:
        return section("answers", "Answers", element("p.empty", "No answer has been compared yet."))
    return section("answers", f"Answers ({told['kind']})", list(_answers(told)))


def _answers(told: Figures) -> Iterator[Html]:
    if equal := agreed(told["agreement"]):
        yield element("p", equal)
    yield from _figures(told)
    yield from _fields(told.get("fields") or {})
    yield folded("Measures in numbers", _measures(told), name="measures")


def _figures(told: Figures) -> Iterator[Html]:
    for part in (_confusion, _histogram, _joint, _movers):
        yield from part(told)


def _fields(fields: Mapping[str, Figures]) -> Iterator[Html]:
    """Yield the pictures of each output of several, the most divergent first."""
    order = sorted(fields, key=lambda name: -_mean(fields[name]))
    for name in order[:MOST_FIELDS]:
        pictures = list(_figures(fields[name]))
        told = f"disagreement {told_percent(_mean(fields[name]))}"
        yield element("h3", named(name), " ", told)
        yield from pictures
    if len(order) > MOST_FIELDS:
        yield element(
            "p.note",
            f"{len(order) - MOST_FIELDS} more outputs differ less; report.json holds them.",
        )


def _mean(told: Figures) -> float:
    return float((told.get("disagreement") or {}).get("mean") or 0.0)


def _measures(told: Figures) -> list[Html]:
    head = ("measure", "n", "mean", "smallest", "largest")
    rows = [
        (
            spaced(name),
            f"{measure['n']:,}" if measure.get("n") is not None else "",
            *(short(measure[part]) for part in ("mean", "min", "max")),
        )
        for name, measure in told["measures"].items()
    ]
    notes = [
        element("p.note", element("b", spaced(name)), f": {means}")
        for name, means in meanings(told["measures"]).items()
    ]
    return [table(head, rows), *notes]


def _confusion(told: Figures) -> Iterator[Html]:
    """Yield which labels became which: the table, the commonest flips, and classes that vanished."""
    confusion = told.get("confusion")
    if not confusion or not confusion["cells"]:
        return
    n = confusion["n"]
    flips = [cell for cell in confusion["cells"] if cell["champion"] != cell["lane"]]
    gone = [label for label in confusion["champion"] if label not in confusion["lane"]]
    new = [label for label in confusion["lane"] if label not in confusion["champion"]]
    if gone:
        yield _classes("The challenger never answers ", gone, confusion["champion"])
    if new:
        yield _classes("Only the challenger answers ", new, confusion["lane"])
    yield _matrix(confusion)
    if flips:
        yield element("h3", f"Commonest flips of {n:,} answers")
        rows = [
            (
                named(cell["champion"]),
                named(cell["lane"]),
                f"{cell['n']:,}",
                told_percent(cell["n"] / n),
            )
            for cell in flips[:MOST_FLIPS]
        ]
        yield table(("champion says", "challenger says", "answers", "share"), rows)


def _classes(said: str, labels: Sequence[str], shares: Mapping[str, float]) -> Html:
    listed = [
        [
            named(label),
            f" ({told_percent(shares[label])} of answers){', ' if at < len(labels[:5]) - 1 else ''}",
        ]
        for at, label in enumerate(labels[:5])
    ]
    rest = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return element("p.warning-line", said, listed, rest, ".")


def _matrix(confusion: Figures) -> Html:
    """Draw the table of both sides' commonest classes; the fuller a cell, the darker it is."""
    shares: dict[str, float] = {}
    for side in ("champion", "lane"):
        for label, share in confusion[side].items():
            shares[label] = shares.get(label, 0.0) + share
    labels = sorted(shares, key=lambda label: -shares[label])[:MOST_CLASSES]
    counts = {(cell["champion"], cell["lane"]): cell["n"] for cell in confusion["cells"]}
    rows = []
    for own in labels:
        of = sum(n for (champion, _), n in counts.items() if champion == own) or 1
        cells = [_cell(counts.get((own, other), 0), of, same=own == other) for other in labels]
        rows.append(element("tr", element("th", named(own, most=18), scope="row"), cells))
    head = [element("th", named(label, most=18), scope="col") for label in labels]
    left = (
        f"; the {MOST_CLASSES} commonest of {len(shares)} classes"
        if len(shares) > len(labels)
        else ""
    )
    caption = f"Champion's class down, challenger's across, n = {confusion['n']:,}{left}. Shading: share of the row."
    return element(
        "div.scroll",
        element(
            "table.matrix",
            element("caption", caption),
            element("thead", element("tr", element("td"), head)),
            element("tbody", rows),
        ),
        tabindex=0,
        role="region",
        aria_label="Confusion matrix",
    )


def _cell(n: int, of: int, *, same: bool) -> Html:
    depth = min(round(5 * n / of + 0.49), 5) if n else 0
    return element(f"td.depth-{depth}{'.same' if same else '.flip'}", f"{n:,}" if n else "·")


def _histogram(told: Figures) -> Iterator[Html]:
    """Yield how both sides' values lie: probabilities of the positive class, or numbers."""
    found = told.get("histogram")
    if not found or not any(found["shares"]):
        return
    edges = found["edges"]
    x = Linear.over(edges, zero=False)
    y = Linear.over([s for side in found["shares"] for s in side or ()], unit="%")
    lines = [
        polyline(x, y, _stairs(edges, shares), css=css)
        for (css, _), shares in zip(_SIDES, found["shares"], strict=True)
        if shares
    ]
    what = (
        "Probability of the positive class" if told["kind"] == "probability" else "Values answered"
    )
    n = (told.get("champion") or {}).get("n")
    yield element("h3", f"{what}: share of answers in each of {len(edges) - 1} bins")
    yield legend(_SIDES)
    yield plot(x, y, lines, told=f"{what}, champion beside challenger; {_middles(told)}")
    yield element(
        "p.note",
        f"n = {n:,} answers of each side. {_middles(told)}." if n else f"{_middles(told)}.",
    )


def _middles(told: Figures) -> str:
    middles = [
        (name, (told.get(key) or {}).get("p50"))
        for name, key in (("champion", "champion"), ("challenger", "lane"))
    ]
    return ", ".join(
        f"median of the {name} {short(middle)}" for name, middle in middles if middle is not None
    )


def _stairs(edges: Sequence[float], shares: Sequence[float]) -> list[tuple[float, float | None]]:
    """Return the outline of a histogram."""
    points: list[tuple[float, float | None]] = []
    for low, high, share in zip(edges, edges[1:], shares, strict=False):
        points += [(low, share), (high, share)]
    return points


def _joint(told: Figures) -> Iterator[Html]:
    """Yield champion against challenger as a density, for numbers."""
    joint = told.get("joint")
    if not joint:
        return
    low, high, bins = joint["low"], joint["high"], joint["bins"]
    axis = Linear.over([low, high], zero=False)
    most = max(cell[2] for cell in joint["cells"])
    height, width = 240, (high - low) / bins
    cells = []
    for column, row, n in joint["cells"]:
        left, right = axis.share(low + column * width), axis.share(low + (column + 1) * width)
        bottom, top = (axis.share(low + at * width) for at in (row, row + 1))
        cells.append(
            element(
                f"rect.depth-{max(round(5 * (n / most) ** 0.5), 1)}",
                x=percent(left),
                width=percent(right - left),
                y=f"{8 + (1 - top) * (height - 12):.1f}",
                height=f"{(top - bottom) * (height - 12):.1f}",
            )
        )
    bias = told.get("bias")
    beside = (
        f" On average the challenger is {short(abs(bias))} {'higher' if bias > 0 else 'lower'}."
        if bias
        else ""
    )
    yield element("h3", "Champion's number across, challenger's up")
    same = polyline(
        axis, axis, [(axis.low, axis.low), (axis.high, axis.high)], css="same", height=height
    )
    yield element(
        "div.square",
        plot(
            axis,
            axis,
            cells,
            same,
            told=f"Density of {joint['n']:,} pairs of numbers.{beside}",
            height=height,
        ),
    )
    yield element(
        "p.note", f"The latest {joint['n']:,} pairs; on the line both say the same.{beside}"
    )


def _movers(told: Figures) -> Iterator[Html]:
    """Yield the items that moved most."""
    movers = told.get("movers")
    if not movers:
        return
    n = (told.get("champion") or {}).get("n_lists")
    yield element("h3", "Items that moved most: share of answers that hold them")
    rows = [
        (
            named(one["item"]),
            told_percent(one["before"]),
            bar(one["before"], css="champion"),
            told_percent(one["after"]),
            bar(one["after"], css="challenger"),
        )
        for one in movers
    ]
    yield table(("item", "champion", "", "challenger", ""), rows)
    if n is not None:
        yield element("p.note", f"n = {n:,} answers of each side.")
