"""Shares of the champion's gain: which of them are judged, and how far what is proven reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHARES = (-0.5, -0.3, -0.2, -0.1, *(i / 20 for i in range(11)), 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the gain whose loss is judged, for the one loss that decides; others get three of them."""


def reach(shares: Sequence[float], limit: float, proven: Any, *, down: bool) -> float | None:
    """Return how far what is proven reaches without a gap: down from the limit, or else towards it."""
    at = shares.index(limit)
    step = -1 if down else 1
    if proven(limit):
        while 0 <= at + step < len(shares) and proven(shares[at + step]):
            at += step
        return shares[at]
    rest = shares[at + 1 :] if down else shares[:at][::-1]
    found = None
    for share in reversed(rest):
        if not proven(share):
            break
        found = share
    return found
