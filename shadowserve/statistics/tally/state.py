"""The contract of every summary, and how its state is written down.

A state is a flat dict of JSON values, bytes of a sketch as base64 text. So it fits a state file, a
Parquet cell or a message. It names its own kind and version, and reads back exactly.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, Protocol, Self

from shadowserve.statistics.stored import State, checked, labelled

__all__ = ["State", "Summary", "checked", "finite", "labelled", "packed", "unpacked"]


class Summary(Protocol):
    """What all summaries can do, beside an `add` of their own."""

    def summary(self) -> dict[str, Any]:
        """Say what is known: JSON values, numbers finite, None where there is no data."""
        ...

    def state(self) -> State:
        """Everything needed to go on later: JSON values, with kind and version."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote.

        Raises
        ------
        StateError
            The state is of another kind or of a version that this release does not read.
        """
        ...


def packed(raw: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(raw).decode("ascii")


def unpacked(text: str) -> bytes:
    """Return the bytes behind base64 text."""
    return base64.b64decode(text)


def finite(value: float) -> float | None:
    """Return the number as a plain float, or None where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None
