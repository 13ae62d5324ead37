"""Which function puts a challenger's output into the champion's form: ``module:function``, ``4=…`` for version 4 alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shadowserve.settings import spellings

_ONE = re.compile(r"(?:v?([1-9]\d*)=)?([^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*)")


def read(value: object) -> tuple[str, ...]:
    """Read names of functions, each for all challengers or for one.

    Raises
    ------
    ValueError
        Anything but ``module:function``, with or without a version before it.

    Examples
    --------
    >>> read("v4=forms:price"), read(["forms.old:price", "5=forms:cents"])
    (('4=forms:price',), ('forms.old:price', '5=forms:cents'))
    """
    found = []
    for text in spellings.texts(value):
        match = _ONE.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} names no function. Write module:function, or 4=module:function for version 4."
            )
        found.append(text.removeprefix("v") if match[1] else text)
    return tuple(found)


def adapter_of(given: Sequence[str], version: int) -> str | None:
    """Return the function for a version; None where it has none. The last that speaks of it holds.

    Examples
    --------
    >>> adapter_of(("forms:any", "5=forms:cents"), 5), adapter_of(("5=forms:cents",), 4)
    ('forms:cents', None)
    """
    wanted = None
    for text in given:
        own, _, name = text.rpartition("=")
        if not own or int(own) == version:
            wanted = name
    return wanted


def named(given: Sequence[str]) -> list[int]:
    """Return the versions that are named.

    Examples
    --------
    >>> named(("forms:any", "5=forms:cents"))
    [5]
    """
    return [int(own) for text in given if (own := text.rpartition("=")[0])]
