"""The limit of a request's body, beside the size of the champion's own example."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from shadowserve.settings.spellings import size_text


@dataclass(frozen=True, slots=True)
class Bodies:
    """The limit of bodies, as ``serve`` with the same settings would hold it.

    Parameters
    ----------
    limit : int
        Bytes; a larger request is answered with 413.
    example : int or None
        Bytes of the champion's input example as JSON; None where it has none.
    """

    limit: int
    example: int | None = None

    @classmethod
    def of(cls, example: Any, *, limit: int) -> Self:
        """Measure an example, as it is parsed; None for a version without one."""
        if example is None:
            return cls(limit)
        return cls(limit, len(json.dumps(example, separators=(",", ":"), default=str).encode()))

    @property
    def fits(self) -> bool:
        """Whether the example would be taken; True where there is none."""
        return self.example is None or self.example <= self.limit

    def __str__(self) -> str:
        """Say it in a line."""
        told = f"Bodies of requests: {size_text(self.limit)} at most (--max-body), a larger one gets 413"
        if self.fits:
            return f"{told} and is compared with nothing."
        return f"{told}. The champion's own example has {self.example:,} bytes: raise it."
