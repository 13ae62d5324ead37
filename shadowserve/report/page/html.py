"""Elements of a page. Text is escaped where it goes in, so that it cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from shadowserve.legible import LONGEST_LINE, legible

Child = object
_NUMBER = re.compile(r"-?[\d.,]+(e[+-]\d+)?( %)?")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: Child, **attributes: object) -> Html:
    """Return an element with its children; None is left out, whatever is not `Html` is escaped.

    Parameters
    ----------
    name : str
        Of the element, or of the element and its class: ``"p.note"``.
    *children
        Text, numbers, elements, or lists of them.
    **attributes
        ``_`` in a name is written ``-``; an attribute that is None is left out.

    Examples
    --------
    >>> element("p.note", "1 < 2, ", element("b", 3), title='"so"')
    '<p class="note" title="&quot;so&quot;">1 &lt; 2, <b>3</b></p>'
    """
    tag, _, css = name.partition(".")
    given = {"class": css.replace(".", " ") or None, **attributes}
    written = "".join(
        f' {key.replace("_", "-")}="{escape(legible(value, most=LONGEST_LINE))}"'
        for key, value in given.items()
        if value is not None
    )
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Return children one after another."""
    return Html("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return str(child)
    if isinstance(child, list | tuple):
        return join(child)
    return escape(legible(child, most=LONGEST_LINE))


def table(head: Iterable[str], rows: Iterable[Iterable[Child]]) -> Html:
    """Return a table; cells that hold a number, also one in per cent, are set to the right."""
    return element(
        "table",
        element("tr", [element("th", text) for text in head]),
        [element("tr", [_cell(child) for child in row]) for row in rows],
    )


def _cell(child: Child) -> Html:
    return element("td.number" if _NUMBER.fullmatch(_text(child)) else "td", child)
