"""The keys of a request, held against the names of a signature: known, unknown, misspelt or missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from shadowserve.errors import ModelError, RequestError
from shadowserve.schema.columns import Column, lacks


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of a signature's columns as JSON spells them.

    Parameters
    ----------
    known : frozenset of str
        One for each column.
    """

    known: frozenset[str]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Self:
        """Take the keys of some columns.

        Raises
        ------
        ModelError
            If two columns have one key.
        """
        known = frozenset(column.key for column in columns)
        # The number 1 and the text "1" are two names in Python and one in JSON.
        if len(known) != len(columns):
            raise ModelError(
                "Two columns of the signature have names that JSON cannot tell apart; "
                "log the model again with distinct names."
            )
        return cls(known)

    def unknown(self, records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Name the keys that the signature does not know, each once, in order of appearance."""
        known = self.known
        return tuple(dict.fromkeys(k for record in records for k in record if k not in known))

    def respelled(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row or table under the model's spelling of its names, underscores for blanks."""
        known = self.known
        spelled = {key: key if key in known else re.sub(r"\s", "_", key) for key in record}
        # A key is respelled only into a name that the model knows and that did not come by itself.
        return {
            to if to == key or (to in known and to not in record) else key: record[key]
            for key, to in spelled.items()
        }

    def lacks(
        self, missing: Sequence[Column], *, given: Mapping[str, Any], row: int | None = None
    ) -> RequestError:
        """Return the refusal that names missing columns; see `columns.lacks`."""
        unknown = [key for key in given if key not in self.known]
        names = [column.key for column in missing]
        return lacks(names, n_known=len(self.known), given=unknown, row=row)


def ordered(keys: Iterable[str], features: Sequence[str]) -> list[str]:
    """Return a table's keys in the order of a model's features that have no names.

    Keys that number the features, or that are the names it was fitted with, say which is which,
    whatever order they came in. Of others nothing is known but that order.

    Examples
    --------
    >>> ordered(["1", "0"], ()), ordered(["q", "p"], ())
    (['0', '1'], ['q', 'p'])
    """
    given = list(keys)
    for known in ([str(place) for place in range(len(given))], features):
        if set(known) == set(given):
            return list(known)
    return given
