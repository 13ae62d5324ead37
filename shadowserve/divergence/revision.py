"""Labels that turn out to be quantities: what was settled by the first answers is revised by later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shadowserve.divergence.compared import Divergence
from shadowserve.divergence.field import field_of
from shadowserve.divergence.kinds.multi import MultiDivergence
from shadowserve.divergence.kinds.number import NumberDivergence
from shadowserve.divergence.kinds.record import RecordDivergence
from shadowserve.divergence.whole import WholeNumbers
from shadowserve.settings.vocabulary import Kind

WHOLE = ""
"""The path of an answer that has no fields."""


class Revision:
    """Watches what is compared as labels, and says when it is to be compared as numbers."""

    def __init__(self) -> None:
        self._whole: dict[str, WholeNumbers] = {}

    def of(
        self, divergence: Divergence, champion: Sequence[Any], lane: Sequence[Any]
    ) -> Divergence:
        """Take rows in and return what compares them: the same, unless labels proved to be quantities.

        Parameters
        ----------
        champion, lane : sequence of JSON values
            One a row.
        """
        if divergence.kind == Kind.LABEL:
            return NumberDivergence() if self._are_sizes(WHOLE, champion, lane) else divergence
        if not isinstance(divergence, RecordDivergence | MultiDivergence):
            return divergence
        sizes = [
            name
            for name, part in divergence.fields.items()
            if part.kind == Kind.LABEL
            and self._are_sizes(name, field_of(champion, name), field_of(lane, name))
        ]
        if not sizes:
            return divergence
        fields: Mapping[str, Divergence] = {
            **divergence.fields,
            **{name: NumberDivergence() for name in sizes},
        }
        return replace(divergence, fields=fields)

    def _are_sizes(self, path: str, champion: Sequence[Any], lane: Sequence[Any]) -> bool:
        return self._whole.setdefault(path, WholeNumbers()).show_sizes(champion, lane)
