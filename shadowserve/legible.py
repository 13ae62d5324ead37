"""Text that can be shown: names that others gave, bounded and harmless, and numbers as people read them.

A column, a step, a class of exceptions may be called anything. On a terminal, an escape sequence
paints or deletes, and a mark that turns the writing around makes a sentence say another thing.
"""

from __future__ import annotations

LONGEST = 200
LONGEST_LINE = 4_000
NOTHING = 1e-9
"""Shares below it are sums of roundings."""


def legible(text: object, *, most: int = LONGEST) -> str:
    r"""Return a text in which nothing acts: what is not printable is written as its escape.

    Parameters
    ----------
    text : object
        Its `str` is taken where it is no text.
    most : int
        Characters; of a longer one the beginning is shown, and an ellipsis.

    Examples
    --------
    >>> legible("age"), legible("a" * 9, most=4), legible("\x1b[31mred"), legible("a\u202eb")
    ('age', 'aaa…', '\\x1b[31mred', 'a\\u202eb')
    """
    whole = text if isinstance(text, str) else str(text)
    shown = whole if len(whole) <= most else f"{whole[: max(most - 1, 0)]}…"
    return shown if shown.isprintable() else "".join(map(_shown, shown))


def quoted(name: object) -> str:
    r"""Return a name in quotes, bounded, as `repr` would write it.

    Examples
    --------
    >>> quoted("it's"), quoted(3), quoted("a" * 300)[-3:]
    ('"it\'s"', '3', "a…'")
    """
    if not isinstance(name, str):
        return repr(name) if isinstance(name, int) else legible(name)
    return repr(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…")


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return a number with what is counted.

    Examples
    --------
    >>> counted(1, "value"), counted(2, "value"), counted(2, "is", "are")
    ('1 value', '2 values', '2 are')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def share(value: float) -> str:
    """Write a share as people read it.

    Examples
    --------
    >>> share(0.0412), share(0.5), share(0.00031), share(-2e-16), share(-1.5)
    ('4.1 %', '50 %', '0.031 %', '0 %', '-150 %')
    """
    percent = 100 * value if abs(value) > NOTHING else 0.0
    return f"{percent:.0f} %" if abs(percent) >= 10 else f"{percent:.2g} %"


def number(value: float, digits: int = 3) -> str:
    """Write a number with few digits and no exponent where that can be helped.

    Examples
    --------
    >>> number(1234.5), number(0.01234), number(2.0)
    ('1,234', '0.0123', '2')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character in "\n\t" else character.encode("unicode_escape").decode()
