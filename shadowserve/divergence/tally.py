"""What is remembered of all comparisons of one output: one tally, all of one make.

A tally is a dict of named summaries. The common ones are fed here; each kind adds its own and puts
its figures into words of its own in `summary`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from shadowserve.divergence.agreement import Agreement
from shadowserve.divergence.align import Outputs, plain_rows
from shadowserve.divergence.compared import Compared, Divergence, names
from shadowserve.divergence.kind import OutputKind, output_kind
from shadowserve.divergence.options import DEFAULT_OPTIONS, Options
from shadowserve.statistics.tally import Confusion, Items, Moments, Pairs, Quantiles
from shadowserve.statistics.tally.state import State, checked, labelled


class KindTally:
    """Summaries over the comparisons of one output.

    Parameters
    ----------
    divergence : Divergence
        What compares the outputs; its measures are the tally's.

    Attributes
    ----------
    of : OutputKind
        Keeps summaries of its own among `parts`.

    Notes
    -----
    Rows without a measure enter no mean; `disagreement` counts them as 1.
    """

    def __init__(self, divergence: Divergence) -> None:
        self.of: OutputKind = output_kind(divergence.kind)
        self.primary = divergence.measures[0].name
        self.parts: dict[str, Any] = {
            "agreement": Agreement(),
            "disagreement": Moments(),
            "disagreement_quantiles": Quantiles(tail=True),
            # A slash names a field's measure, which the field's own tally keeps.
            **{f"measure/{name}": Moments() for name in names(divergence) if "/" not in name},
            **self.of.parts(divergence),
        }

    @property
    def kind(self) -> str:
        """Name of the kind of output."""
        return self.of.name

    def add(self, champion: Outputs, lane: Outputs, compared: Compared) -> None:
        """Take a batch of n_rows outputs and their comparison."""
        disagreement = compared.disagreement()
        self.parts["agreement"].add(compared)
        self.parts["disagreement"].add(disagreement)
        self.parts["disagreement_quantiles"].add(disagreement)
        for name, values in compared.values.items():
            if "/" not in name:
                self.parts[f"measure/{name}"].add(values)
        # Summaries of pairs need pairs; without them the counts above still tell of every row.
        if len(champion) == len(lane):
            self.of.feed(self.parts, plain_rows(champion), plain_rows(lane), compared)

    def summary(self) -> dict[str, Any]:
        """Return kind, agreement, disagreement, each measure's moments, and the kind's figures."""
        measures = {
            name.removeprefix("measure/"): part.summary()
            for name, part in self.parts.items()
            if name.startswith("measure/")
        }
        quantiles = self.parts["disagreement_quantiles"].summary()
        return {
            "kind": str(self.kind),
            "primary": self.primary,
            "agreement": self.parts["agreement"].summary(),
            "disagreement": {**quantiles, **self.parts["disagreement"].summary()},
            "measures": measures,
            **self.of.figures(self.parts),
        }

    @property
    def fields(self) -> dict[str, KindTally]:
        """The tallies of a record's fields or of several outputs, by name; else empty."""
        return {
            name.removeprefix("field/"): part
            for name, part in self.parts.items()
            if isinstance(part, KindTally)
        }

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, KindTally]]:
        """Yield each tally that has no fields of its own, with its path; of a plain output, itself."""
        if not self.fields:
            yield prefix, self
        for name, part in self.fields.items():
            yield from part.leaves(f"{prefix}/{name}" if prefix else name)

    def state(self) -> State:
        """Return the states of all summaries."""
        parts = {name: part.state() for name, part in self.parts.items()}
        return labelled("tally", of=str(self.kind), primary=self.primary, parts=parts)

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> KindTally:
        """Read back what `state` wrote: a tally of the kind that the state names."""
        s = checked(state, "tally")
        # A constructor needs what compares; the state has only what was summed.
        it = object.__new__(KindTally)
        it.of, it.primary = output_kind(s["of"]), s["primary"]
        it.parts = {name: _READERS[part["kind"]](part) for name, part in s["parts"].items()}
        return it


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "agreement": Agreement.from_state,
    "moments": Moments.from_state,
    "quantiles": Quantiles.from_state,
    "pairs": Pairs.from_state,
    "confusion": Confusion.from_state,
    "items": Items.from_state,
    "tally": KindTally.from_state,
}


def tally(divergence: Divergence) -> KindTally:
    """Return an empty tally for what a divergence compares."""
    return KindTally(divergence)


def resumed(remembered: KindTally, *, options: Options = DEFAULT_OPTIONS) -> Divergence:
    """Return what compares outputs as those were that a tally remembers, whatever comes next.

    Kinds of fields are taken from the tally: no sample is there any more.
    """
    # As at the first time: classes are the whole answer's, never a field's.
    inner = replace(options, champion_classes=None, lane_classes=None)
    fields = {name: resumed(part, options=inner) for name, part in remembered.fields.items()}
    return remembered.of.resume(options, fields)
