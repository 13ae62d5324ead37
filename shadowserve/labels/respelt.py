"""Ids that a spreadsheet has changed: zeros lost in front, a fraction or an exponent gained."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

LONGEST = 20
"""Digits of the ids that are looked for with zeros in front."""
LOOKED_AT = 100
"""Unknown ids of one set of labels that are looked at so closely."""


def before(request_id: str) -> Iterator[str]:
    """Yield what an id may have been before a spreadsheet took it for a number.

    Examples
    --------
    >>> list(before("7"))[:3], list(before("1.2E+05"))[0], list(before("a7"))
    (['07', '007', '0007'], '120000', [])
    """
    text = request_id.strip()
    if text != request_id:
        yield text
    whole = _whole(text.replace(",", "").replace("\u00a0", ""))
    if whole is None:
        return
    if whole != text:
        yield whole
    for width in range(len(whole) + 1, LONGEST + 1):
        yield whole.zfill(width)


def _whole(text: str) -> str | None:
    """Return a number's digits, if it is a whole one of not too many; None for anything else."""
    if not text or len(text) > 2 * LONGEST:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # The exponent is looked at first: as a whole number, 1E+999999 has a million digits.
    if not number.is_finite() or abs(number.adjusted()) > LONGEST or number != int(number):
        return None
    return str(int(number)) if number >= 0 else None
