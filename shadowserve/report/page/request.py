"""One request on a page of its own: both answers side by side, its steps as a waterfall, what it brought."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from shadowserve.legible import counted
from shadowserve.report.page.html import Html, element, named, section, table
from shadowserve.report.page.plot import percent, rules, ticks_below
from shadowserve.report.page.scales import Linear
from shadowserve.report.wording import percent as told_percent
from shadowserve.report.wording import short, spaced

Told = Mapping[str, Any]

MOST_ROWS = 20
MOST_ITEMS = 200
LINE = 20
ROLES = ("champion", "control", "challenger")


def request_page(told: Told, *, model: str, champion: int, challenger: int) -> list[Html]:
    """Return the body of a request's page.

    Parameters
    ----------
    told : mapping
        As `one_request` gathers it.
    """
    own = told["challenger"]
    head = element(
        "header",
        element("h1", "Request ", named(own["request_id"] or own["position"])),
        element("p.note", f"{model}: champion v{champion}, challenger v{challenger}"),
    )
    back = element(
        "nav",
        element("a", "Back to the report", href=f"./?challenger={challenger}"),
        aria_label="Back",
    )
    return [back, head, _facts(own), _answers(own), _steps(told), _inputs(told)]


def _facts(own: Told) -> Html:
    arrived = datetime.fromtimestamp(own["arrived_wall_ns"] / 1e9, UTC)
    facts: dict[str, object] = {
        "outcome": spaced(own["outcome"]),
        "disagreement": told_percent(own["disagreement"]),
        "arrived": f"{arrived:%Y-%m-%d %H:%M:%S} UTC",
        "rows": f"{own['n_rows']:,}",
        "position": str(own["position"]),
        "caller waited": f"{short(own['response_ms'])} ms",
        "lane came to it after": f"{short(own['lag_ms'])} ms",
    }
    if own["error"]:
        facts["error"] = [
            named(own["error"]),
            f" in {own['error_step']}" if own["error_step"] else "",
        ]
    measures = [f"{spaced(name)} {short(value)}" for name, value in own["divergence"].items()]
    return element(
        "section",
        element("dl.tiles", [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()]),
        element("p.note", ", ".join(measures)) if measures else None,
        aria_label="What became of it",
    )  # fmt: skip


def _answers(own: Told) -> Html:
    champion, lane = own["champion_prediction"], own["lane_prediction"]
    if champion is None and lane is None:
        return section("answers", "Answers", element("p.empty", "Neither has an answer on record."))
    left, right = (side if isinstance(side, list) else [side] for side in (champion, lane))
    pairs = [_marked(a, b) for a, b in zip(_padded(left, right), _padded(right, left), strict=True)]
    shown, rest = pairs[:MOST_ROWS], len(pairs) - MOST_ROWS
    return section(
        "answers",
        "Answers",
        element("p.note", "Marked: what the other has not."),
        element(
            "div.sides",
            _side("champion", [a for a, _ in shown]),
            _side("challenger", [b for _, b in shown]),
        ),
        element("p.note", f"{counted(rest, 'more row')} not shown.") if rest > 0 else None,
    )


_NOTHING = object()


def _padded(own: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return [*own, *[_NOTHING] * (len(other) - len(own))]


def _side(role: str, rows: Sequence[Html]) -> Html:
    return element(
        "div", element("h3", element(f"span.{role}", role)), [element("pre", row) for row in rows]
    )


def _marked(champion: Any, lane: Any) -> tuple[Html, Html]:
    """Return two values as text, each with what the other lacks marked."""
    if isinstance(champion, list) and isinstance(lane, list):
        if _are_ids(champion) and _are_ids(lane):
            return _listed(champion, lambda _, item: item not in lane), _listed(
                lane, lambda _, item: item not in champion
            )
        return (
            _listed(champion, lambda at, item: at >= len(lane) or lane[at] != item),
            _listed(lane, lambda at, item: at >= len(champion) or champion[at] != item),
        )
    if isinstance(champion, dict) and isinstance(lane, dict):
        return _fields(champion, lane), _fields(lane, champion)
    same = champion == lane and type(champion) is type(lane)
    return _value(champion, marked=not same), _value(lane, marked=not same)


def _are_ids(items: Sequence[Any]) -> bool:
    return all(type(item) in (str, int) for item in items) and len(set(items)) == len(items)


def _listed(items: Sequence[Any], differs: Callable[[int, Any], bool]) -> Html:
    shown = [_value(item, marked=differs(at, item)) for at, item in enumerate(items[:MOST_ITEMS])]
    rest = f" … {len(items) - MOST_ITEMS} more" if len(items) > MOST_ITEMS else ""
    return element("span", "[", [part for one in shown for part in (one, ", ")][:-1], rest, "]")


def _fields(own: Told, other: Told) -> Html:
    parts: list[object] = []
    for name, value in list(own.items())[:MOST_ITEMS]:
        parts += [
            named(name),
            ": ",
            _value(value, marked=name not in other or other[name] != value),
            "; ",
        ]
    return element("span", parts)


def _value(value: Any, *, marked: bool) -> Html:
    text = "nothing" if value is _NOTHING else orjson.dumps(value).decode()
    return element("mark" if marked else "span", text)


def _steps(told: Told) -> Html:
    steps = told["steps"]
    if not steps:
        return section(
            "steps",
            "Steps",
            element("p.empty", "It was scored in a call with others: nothing of it is timed."),
        )
    ends = [sum(ms for _, ms in own) for own in steps.values()]
    axis = Linear.over([0.0, *ends], unit="ms")
    rows = [row for role in ROLES if role in steps for row in _waterfall(axis, role, steps[role])]
    scale = element("svg.ticks", ticks_below(axis, 0), width="100%", height=22, aria_hidden="true")
    order = list(dict.fromkeys(name for role in ROLES for name, _ in steps.get(role, ())))
    own = {role: dict(pairs) for role, pairs in steps.items()}
    numbers = [
        (named(name), *(short(own.get(role, {}).get(name)) for role in ROLES)) for name in order
    ]
    untimed = [role for role in ROLES if role not in steps]
    return section(
        "steps",
        "Steps of each role, in ms from its beginning",
        element(
            "p.note",
            f"Not timed step by step: {', '.join(untimed)}. Of a call with others nothing is a request's own; the control scores a share.",
        )
        if untimed
        else None,
        element(
            "div.ranges", rows, element("div.range.axis", element("div"), scale, element("div"))
        ),
        table(("step", *(f"{role} ms" for role in ROLES)), numbers),
    )


def _waterfall(axis: Linear, role: str, steps: Sequence[tuple[str, float]]) -> Iterator[Html]:
    yield element("div.range", element("div.name", element(f"span.{role}.role", role)), element("div"), element("div.shares", f"{short(sum(ms for _, ms in steps))} ms"))  # fmt: skip
    began = 0.0
    for name, ms in steps:
        yield element(
            "div.range",
            element("div.name", named(name)),
            element(
                "svg.plot",
                rules(axis, LINE),
                element(
                    f"rect.{role}",
                    x=percent(axis.share(began)),
                    width=percent(max(axis.share(began + ms) - axis.share(began), 0.003)),
                    y=4,
                    height=LINE - 8,
                    rx=2,
                ),
                width="100%",
                height=LINE,
                role="img",
                aria_label=f"{role}, {name}: {short(ms)} ms from {short(began)} ms on",
            ),
            element("div.shares", f"{short(ms)} ms"),
        )
        began += ms


def _inputs(told: Told) -> Html:
    sizes, inputs = told["challenger"]["sizes"], told["inputs"]
    rows: list[tuple[object, ...]] = []
    for name in dict.fromkeys([*sizes, *(inputs or ())]):
        values = (inputs or {}).get(name)
        shown = [element("pre", value) for value in values] if values else "not shown"
        rows.append(
            (named(name), f"{sizes[name]:,}" if name in sizes else "", shown if inputs else "")
        )
    note = (
        "Values stay in the journal: --log-inputs is none."
        if told["log_inputs"] == "none"
        else "Values are shown of the columns that --log-inputs names."
        if inputs
        else "The request itself is no longer here, or is no JSON: nothing of its values can be shown."
    )
    head = ("column", "characters or items", "value")
    parts = [table(head, rows)] if rows else []
    return section("inputs", "Inputs", element("p.note", note), *parts)
