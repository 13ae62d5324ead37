"""A condition: one column's part of a slice, told without its values unless they may be shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Condition:
    """One column's part of a slice.

    Parameters
    ----------
    column : str or int
        The column's name.
    kind : str
        ``"range"``, ``"length"`` (characters), ``"value"``, ``"member"``, ``"true"``, ``"false"``
        or ``"missing"``.
    low, high : float
        Of a range or length: at least `low`, below `high`; infinite where it is open.
    label : str
        Stands for a value wherever values may not be shown.
    value : str or None
        The value itself, known where the column may be shown; never printed by accident, shown by
        `describe` on request.
    """

    column: str | int
    kind: str
    low: float = -np.inf
    high: float = np.inf
    label: str = ""
    value: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """What tells it from other conditions, whether its value may be shown or not.

        Examples
        --------
        >>> Condition("carat", "range", low=1.0, high=1.5).key
        '["carat", "range", "1.0", "1.5", ""]'
        """
        ends = (repr(float(self.low)), repr(float(self.high)))
        return json.dumps([str(self.column), self.kind, *ends, self.label])

    def describe(self, *, show_value: bool = False) -> str:
        """Say it in words, with the hashed label unless the value may be shown.

        Examples
        --------
        >>> Condition("carat", "range", low=1.0, high=1.5).describe()
        'carat from 1 to 1.5'
        >>> Condition("genres", "member", label="#3f2a", value="Horror").describe()
        'genres has #3f2a'
        """
        name = f"length of {self.column}" if self.kind == "length" else str(self.column)
        if self.kind in ("true", "false", "missing"):
            return f"{name} is {self.kind}"
        if self.kind in ("value", "member"):
            verb = "is" if self.kind == "value" else "has"
            return f"{name} {verb} {self.value if show_value and self.value else self.label}"
        if np.isinf(self.low):
            return f"{name} below {self.high:g}"
        if np.isinf(self.high):
            return f"{name} from {self.low:g}"
        return f"{name} from {self.low:g} to {self.high:g}"
