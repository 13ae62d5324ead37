"""Lane numbers: how lanes, their files and their processes are told apart, where two models share a version's number.

A challenger's lane has the version's own number. Where a version of another registered name has it already, it
gets 1,000 more, or 2,000, and keeps that as long as the deployment lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shadowserve.versions.pins import Pin

STEP = 1000


def assigned(
    champion: Pin, challengers: Iterable[Pin], *, known: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return the lane numbers of those versions that do not have their own, by the pin in full.

    Parameters
    ----------
    champion : Pin
        Has its own number.
    challengers : iterable of Pin
        In the order in which they came, those that have left before those that come.
    known : mapping of pin to int, optional
        Numbers that were given before; they stay.

    Examples
    --------
    >>> assigned(Pin("films", 3), [Pin("other", 3), Pin("films", 4), Pin("other", 4)])
    {'other:3': 1003, 'other:4': 1004}
    >>> assigned(Pin("films", 3), [Pin("other", 4), Pin("films", 4)])
    {'films:4': 1004}
    """
    given = dict(known or {})
    taken = {champion.version: champion}
    waiting = []
    for pin in challengers:
        number = given.get(str(pin))
        if number is None:
            waiting.append(pin)
        else:
            taken[number] = pin
    for pin in waiting:
        number = pin.version
        while taken.setdefault(number, pin) != pin:
            number += STEP
        if number != pin.version:
            given[str(pin)] = number
    return given


def told(given: Mapping[str, int]) -> list[str]:
    """Say which lane is whose, a line each.

    Examples
    --------
    >>> told({"other:3": 1003})
    ["challenger v1003 is other:3, since another model's version has its number"]
    """
    return [
        f"challenger v{number} is {pin}, since another model's version has its number"
        for pin, number in given.items()
    ]
