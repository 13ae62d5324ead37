"""Elements of a page. Text is escaped where it goes in, so that it cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from shadowserve.legible import LONGEST, LONGEST_LINE, legible

Child = object
_VOID = frozenset(("input", "link", "meta", "br"))
MOST_NAME = 60
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
        ``_`` in a name is written ``-``, one at its end not at all; an attribute that is None is left
        out. A value that is `Html`, such as a long list of points, is written as it is.

    Examples
    --------
    >>> element("p.note", "1 < 2, ", element("b", 3), title='"so"')
    '<p class="note" title="&quot;so&quot;">1 &lt; 2, <b>3</b></p>'
    """
    tag, _, css = name.partition(".")
    given = {"class": css.replace(".", " ") or None, **attributes}
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in given.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def _attribute(value: object) -> str:
    return str(value) if isinstance(value, Html) else escape(legible(value, most=LONGEST_LINE))


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


def named(name: object, *, most: int = MOST_NAME) -> Html:
    """Return a name that somebody gave, bounded; the whole of it shows where one points at it.

    Examples
    --------
    >>> named("age"), named("a" * 9, most=4)
    ('<code>age</code>', '<code title="aaaaaaaaa">aaa…</code>')
    """
    whole = name if isinstance(name, str) else str(name)
    title = legible(whole, most=LONGEST) if len(whole) > most else None
    return element("code", legible(whole, most=most), title=title)


def section(name: str, title: str, *children: Child) -> Html:
    """Return a section that a link of its own leads to."""
    head = element("h2", element("a", title, href=f"#{name}"), id=f"{name}-head")
    return element("section", head, *children, id=name, aria_labelledby=f"{name}-head")


def folded(summary: str, *children: Child, name: str | None = None) -> Html:
    """Return what is shown when asked for, such as the numbers behind a picture."""
    return element("details", element("summary", summary), *children, id=name)


def table(head: Iterable[str], rows: Iterable[Iterable[Child]], *, caption: str = "") -> Html:
    """Return a table; cells that hold a number, also one in per cent, are set to the right.

    Each cell knows its column's name, which stands before it where a narrow screen lays rows out one
    below the other.
    """
    names = list(head)
    return element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", element("tr", [element("th", text, scope="col") for text in names])),
        element("tbody", [element("tr", list(_cells(names, row))) for row in rows]),
    )


def _cells(names: Iterable[str], row: Iterable[Child]) -> Iterator[Html]:
    for name, child in zip(names, row, strict=True):
        text = _text(child)
        css = "td.number" if _NUMBER.fullmatch(text) else "td" if text else "td.none"
        yield element(css, child, data_name=name or None)
