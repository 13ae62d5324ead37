"""Names that others gave, as text that can be shown: one line, bounded, nothing in it that acts.

A column, a step, a class of exceptions may be called anything. On a terminal, an escape sequence
paints or deletes, and a mark that turns the writing around makes a sentence say another thing.
"""

from __future__ import annotations

LONGEST = 200
LONGEST_LINE = 4_000


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


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character in "\n\t" else character.encode("unicode_escape").decode()
