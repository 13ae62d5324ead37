"""What is remembered of all comparisons of one kind: one tally a kind, all of one make.

A tally is a dict of named summaries. The common ones are fed here; each kind adds its own and puts
its figures into words of its own in `summary`.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shadowserve.divergence.agreement import Agreement
from shadowserve.divergence.align import Outputs, floats, plain_rows
from shadowserve.divergence.compared import Compared, Divergence, Kind, names
from shadowserve.divergence.fields import MultiDivergence, RecordDivergence, field_of
from shadowserve.statistics.tally import Confusion, Items, Moments, Pairs, Quantiles, wasserstein
from shadowserve.statistics.tally.state import State, checked, finite, labelled

N_MOVERS = 10


class KindTally:
    """Summaries over the comparisons of one kind of output.

    Parameters
    ----------
    divergence : Divergence
        What compares the outputs; its measures are the tally's.

    Notes
    -----
    Weights (inverse inclusion probabilities) go into means and quantiles; counts of agreement,
    labels and items count rows. Rows without a measure enter no mean; `disagreement` counts them
    as 1.
    """

    def __init__(self, divergence: Divergence) -> None:
        self.kind = divergence.kind
        self.primary = divergence.measures[0].name
        self.parts: dict[str, Any] = {
            "agreement": Agreement(),
            "disagreement": Moments(),
            "disagreement_quantiles": Quantiles(tail=True),
            **{f"measure/{name}": Moments() for name in names(divergence) if "/" not in name},
            **self.own_parts(divergence),
        }

    def own_parts(self, divergence: Divergence) -> dict[str, Any]:  # noqa: ARG002 - for kinds
        """Return the summaries that only this kind keeps."""
        return {}

    def add(
        self,
        champion: Outputs,
        lane: Outputs,
        compared: Compared,
        *,
        weights: np.ndarray | None = None,
    ) -> None:
        """Take a batch of n_rows outputs and their comparison."""
        disagreement = compared.disagreement()
        self.parts["agreement"].add(compared)
        self.parts["disagreement"].add(disagreement, weights)
        self.parts["disagreement_quantiles"].add(disagreement, weights)
        for name, values in compared.values.items():
            if "/" not in name:
                self.parts[f"measure/{name}"].add(values, weights)
        if len(champion) == len(lane):
            self.add_own(plain_rows(champion), plain_rows(lane), compared, weights)

    def add_own(
        self,
        champion: Sequence[Any],
        lane: Sequence[Any],
        compared: Compared,
        weights: np.ndarray | None,
    ) -> None:
        """Feed the summaries that only this kind keeps."""

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
            **self.own_summary(),
        }

    def own_summary(self) -> dict[str, Any]:
        """Return the figures that only this kind has."""
        return {}

    @property
    def fields(self) -> dict[str, KindTally]:
        """The tallies of a record's fields or of several outputs, by name; else empty."""
        return {}

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, KindTally]]:
        """Yield each tally that has no fields of its own, with its path; of a plain output, itself."""
        if not self.fields:
            yield prefix, self
        for name, part in self.fields.items():
            yield from part.leaves(f"{prefix}/{name}" if prefix else name)

    def mean(self, measure: str) -> float | None:
        """Mean of a measure over the rows that have it; None without rows."""
        value = self.parts[f"measure/{measure}"].summary()["mean"]
        return None if value is None else float(value)

    def state(self) -> State:
        """Return the states of all summaries."""
        parts = {name: part.state() for name, part in self.parts.items()}
        return labelled("tally", of=str(self.kind), primary=self.primary, parts=parts)

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> KindTally:
        """Read back what `state` wrote: a tally of the kind that the state names."""
        s = checked(state, "tally")
        kind = Kind(s["of"])
        it = object.__new__(TALLIES[kind])
        it.kind, it.primary = kind, s["primary"]
        it.parts = {name: _READERS[part["kind"]](part) for name, part in s["parts"].items()}
        return it


class NumberTally(KindTally):
    """Bias, error sizes, correlation, and how far the two distributions lie apart."""

    def own_parts(self, divergence: Divergence) -> dict[str, Any]:  # noqa: ARG002
        """Return quantiles of errors and of both sides, and their correlation."""
        return {
            "difference": Quantiles(),
            "absolute": Quantiles(tail=True),
            "relative": Quantiles(tail=True),
            "champion": Quantiles(),
            "lane": Quantiles(),
            "champion_moments": Moments(),
            "lane_moments": Moments(),
            "pairs": Pairs(),
        }

    def add_own(
        self,
        champion: Sequence[Any],
        lane: Sequence[Any],
        compared: Compared,
        weights: np.ndarray | None,
    ) -> None:
        """Feed errors, and both sides' own values."""
        for name in ("difference", "absolute", "relative"):
            self.parts[name].add(compared.values[name], weights)
        sides = {"champion": floats(champion), "lane": floats(lane)}
        for name, values in sides.items():
            self.parts[name].add(values, weights)
            self.parts[f"{name}_moments"].add(values, weights)
        self.parts["pairs"].add(sides["champion"], sides["lane"])

    def own_summary(self) -> dict[str, Any]:
        """Return bias (lane minus champion), error quantiles, correlation, Wasserstein distance."""
        return {
            "bias": self.mean("difference"),
            "share_beyond_tolerance": self.mean("beyond_tolerance"),
            "difference": self.parts["difference"].summary(),
            "absolute": self.parts["absolute"].summary(),
            "relative": self.parts["relative"].summary(),
            "correlation": self.parts["pairs"].summary()["correlation"],
            "wasserstein": finite(wasserstein(self.parts["champion"], self.parts["lane"])),
            "champion": {
                **self.parts["champion"].summary(),
                **self.parts["champion_moments"].summary(),
            },
            "lane": {**self.parts["lane"].summary(), **self.parts["lane_moments"].summary()},
        }


class LabelTally(KindTally):
    """Disagreement, confusion table and kappa."""

    def own_parts(self, divergence: Divergence) -> dict[str, Any]:  # noqa: ARG002
        """Return the confusion table."""
        return {"confusion": Confusion()}

    def add_own(
        self,
        champion: Sequence[Any],
        lane: Sequence[Any],
        compared: Compared,  # noqa: ARG002
        weights: np.ndarray | None,  # noqa: ARG002
    ) -> None:
        """Feed the confusion table."""
        self.parts["confusion"].add(champion, lane)

    def own_summary(self) -> dict[str, Any]:
        """Return the confusion table, with kappa beside it."""
        confusion = self.parts["confusion"].summary()
        return {"kappa": confusion["kappa"], "confusion": confusion}


class ProbabilityTally(KindTally):
    """Shift, flips, and both sides' scores."""

    def own_parts(self, divergence: Divergence) -> dict[str, Any]:  # noqa: ARG002
        """Return quantiles of the shift and of both sides' scores."""
        return {"shift": Quantiles(), "champion": Quantiles(), "lane": Quantiles()}

    def add_own(
        self,
        champion: Sequence[Any],
        lane: Sequence[Any],
        compared: Compared,
        weights: np.ndarray | None,
    ) -> None:
        """Feed shifts and scores."""
        self.parts["shift"].add(compared.values["shift"], weights)
        self.parts["champion"].add(_positive(champion), weights)
        self.parts["lane"].add(_positive(lane), weights)

    def own_summary(self) -> dict[str, Any]:
        """Return mean shift, share of flips, and the distance of the scores' distributions."""
        return {
            "shift": {**self.parts["shift"].summary(), "mean": self.mean("shift")},
            "share_flipped": self.mean("flip"),
            "wasserstein": finite(wasserstein(self.parts["champion"], self.parts["lane"])),
            "champion": self.parts["champion"].summary(),
            "lane": self.parts["lane"].summary(),
        }


def _positive(outputs: Sequence[Any]) -> np.ndarray:
    """Probability of the positive class where there are two, else NaN."""
    return floats([row[1] if type(row) is list and len(row) == 2 else row for row in outputs])


class ItemsTally(KindTally):
    """Which items each side shows, for ranked lists and sets."""

    def own_parts(self, divergence: Divergence) -> dict[str, Any]:  # noqa: ARG002
        """Return both sides' items."""
        return {"champion": Items(), "lane": Items()}

    def add_own(
        self,
        champion: Sequence[Any],
        lane: Sequence[Any],
        compared: Compared,  # noqa: ARG002
        weights: np.ndarray | None,  # noqa: ARG002
    ) -> None:
        """Feed both sides' items."""
        self.parts["champion"].add([row for row in champion if type(row) is list])
        self.parts["lane"].add([row for row in lane if type(row) is list])

    def own_summary(self) -> dict[str, Any]:
        """Return both sides' concentration and coverage, the items that moved most, and RBO."""
        champion, lane = (self.parts[side].summary() for side in ("champion", "lane"))
        figures = {"champion": champion, "lane": lane, "movers": self.movers()}
        if self.kind == Kind.RANKING:
            distance, tau = self.mean("rbo_divergence"), self.mean("tau_distance")
            figures["rank_biased_overlap"] = None if distance is None else 1 - distance
            figures["kendall_tau"] = None if tau is None else 1 - 2 * tau
        return figures

    def movers(self, k: int = N_MOVERS) -> list[dict[str, Any]]:
        """Return the k items whose share of lists changed most: item, before, after.

        `before` is the champion's share of lists with the item, `after` the lane's.
        """
        champion, lane = self.parts["champion"], self.parts["lane"]
        before, after = champion.counts(), lane.counts()
        moved = {
            item: lane.reach(after.get(item) or lane.count(item))
            - champion.reach(before.get(item) or champion.count(item))
            for item in before.keys() | after.keys()
        }
        top = heapq.nsmallest(k, moved, key=lambda item: (-abs(moved[item]), item))
        return [
            {
                "item": json.loads(item),
                "before": champion.reach(champion.count(item)),
                "after": lane.reach(lane.count(item)),
            }
            for item in top
        ]


class FieldsTally(KindTally):
    """A tally for each field of a record, or each output of several."""

    def own_parts(self, divergence: Divergence) -> dict[str, Any]:
        """Return one tally a field."""
        if not isinstance(divergence, RecordDivergence | MultiDivergence):
            raise TypeError("Only records and several outputs have fields.")
        return {f"field/{name}": tally(d) for name, d in divergence.fields.items()}

    def add_own(
        self,
        champion: Sequence[Any],
        lane: Sequence[Any],
        compared: Compared,
        weights: np.ndarray | None,
    ) -> None:
        """Feed each field's tally."""
        for name, part in compared.parts.items():
            columns = field_of(champion, name), field_of(lane, name)
            self.parts[f"field/{name}"].add(*columns, part, weights=weights)

    def own_summary(self) -> dict[str, Any]:
        """Return each field's summary."""
        return {"fields": {name: part.summary() for name, part in self.fields.items()}}

    @property
    def fields(self) -> dict[str, KindTally]:
        """The tally of each field, by its name."""
        return {
            name.removeprefix("field/"): part
            for name, part in self.parts.items()
            if name.startswith("field/")
        }


TALLIES: dict[Kind, type[KindTally]] = {
    Kind.NUMBER: NumberTally,
    Kind.LABEL: LabelTally,
    Kind.PROBABILITY: ProbabilityTally,
    Kind.RANKING: ItemsTally,
    Kind.SET: ItemsTally,
    Kind.TEXT: KindTally,
    Kind.VECTOR: KindTally,
    Kind.MULTI: FieldsTally,
    Kind.RECORD: FieldsTally,
}
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
    return TALLIES[divergence.kind](divergence)
