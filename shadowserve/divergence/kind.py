"""A kind of output: all that is known of it, said in one class and registered once.

It says how outputs of the kind are compared, recognised and remembered, how a difference is told, what
counts as a collapse, and how wrong an answer is. Whoever stands above asks the kind, and names none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from shadowserve.divergence.align import Outputs
from shadowserve.divergence.compared import Compared, Divergence, Measure
from shadowserve.divergence.options import DEFAULT_OPTIONS, Options
from shadowserve.divergence.signs import Declared, Sample
from shadowserve.legible import share

Parts = dict[str, Any]
"""Summaries by name: `Quantiles`, `Moments`, `Confusion`, …"""

Signature = Sequence[Mapping[str, Any]] | None
"""Outputs of the MLflow signature: ``signature.outputs.to_dict()``."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a comparison is made from: the options, and what shows the fields of an output."""

    options: Options = DEFAULT_OPTIONS
    signature: Signature = None
    sample: Outputs = ()


class Always(Protocol):
    """The answer that is the same for every request, made of the labels so far."""

    @property
    def mode(self) -> str | None:
        """The commonest class, by its key."""
        ...

    @property
    def mean(self) -> float | None:
        """Of labels that are numbers."""
        ...

    @property
    def median(self) -> float | None:
        """Of labels that are numbers."""
        ...

    def items(self, n: int) -> list[Any]:
        """Return the n items that were right most often."""
        ...

    def share(self, key: str) -> float:
        """Return the share of labels that are of a class."""
        ...


@dataclass(frozen=True, slots=True)
class Usual:
    """When answers of a kind count as standing still in their one usual place.

    Parameters
    ----------
    told : str
        What the answers are called in a sentence, such as "probabilities": the plural of the kind,
        as a reader knows it.
    is_label : bool
        Whether the place is the commonest answer; else it is the median and a little about it.
    least_range : float
        The champion's usual range must be wider, else it is not known what standing still means.
    any_unit : bool
        Whether an answer in another unit (grams for kilograms) varies as the champion's does.
    """

    told: str
    is_label: bool = False
    least_range: float = 0.0
    any_unit: bool = False


class OutputKind:
    """One kind of output; a subclass says what is its own, and `kinds` registers it.

    Attributes
    ----------
    name : str
        What `--output-kind` takes.
    measures : tuple of Measure
        The numbers of a row, the primary one first; of fields just the mean.
    unit : str
        Of the disagreement, as a finding tells it; by default the name.
    slice_unit : str
        Of the disagreement in a part of the traffic.
    usual : Usual or None
        How a collapse onto one answer is seen; None where none is looked for.
    shows_items : bool
        Whether an answer is a list of items, so that a collapse onto few of them is looked for.
    decisive : str or None
        The loss that labels are judged by unless the policy names another; None where there is none.
    bounds : mapping of str to float
        The most that the kind's losses can be, where they have a bound of their own.
    of_numbers : bool
        Whether answers are ranked by their size.
    has_classes : bool
        Whether an answer names a class, so that classes can be counted and have costs.
    """

    name: str
    measures: tuple[Measure, ...] = ()
    unit: str = ""
    slice_unit: str = "share"
    usual: Usual | None = None
    shows_items: bool = False
    decisive: str | None = None
    bounds: Mapping[str, float] = {}
    of_numbers: bool = False
    has_classes: bool = False

    # comparing

    def make(self, given: Given) -> Divergence:
        """Return what compares outputs of the kind."""
        raise NotImplementedError

    def resume(self, options: Options, fields: Mapping[str, Divergence]) -> Divergence:
        """Return what compares them after a restart, by the kinds that fields had."""
        return self.make(Given(options))

    # recognising

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether some outputs are of the kind, as none asked before was."""
        return False

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether a signature's outputs are of the kind, as none asked before was."""
        return False

    # remembering

    def parts(self, divergence: Divergence) -> Parts:
        """Return the summaries that only this kind keeps, empty."""
        return {}

    def feed(
        self, parts: Parts, champion: Sequence[Any], lane: Sequence[Any], compared: Compared
    ) -> None:
        """Feed a batch of n_rows outputs to the kind's own summaries."""

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return the figures that only this kind has."""
        return {}

    # telling

    def tell(self, figures: Mapping[str, Any], rate: float) -> str:
        """Say how a challenger's outputs differ, on a share of requests; its name stands before."""
        return f"answers differently for {share(rate)} of requests"

    def tell_apart(self, here: float, there: float, *, where: str) -> str:
        """Say how far answers lie apart here and in another place, such as ``"elsewhere"``.

        Parameters
        ----------
        here, there : float
            Mean disagreement, 0 the same answer, 1 wholly another one.
        """
        return (
            f"answers {share(here)} apart from the champion on average, {where} {share(there)} "
            "(0 % is the same answer, 100 % wholly another)"
        )

    def tell_slice(self, here: float, elsewhere: float) -> str:
        """Say how far answers lie apart in a part of the traffic, as `graded` grades them."""
        return self.tell_apart(here, elsewhere, where="elsewhere")

    def lost(self, figures: Mapping[str, Any]) -> Sequence[str]:
        """Return the answers that a challenger never gives though the champion does."""
        return ()

    def graded(self, parts: Parts, compared: Compared) -> np.ndarray:
        """Return by what slices are searched: ndarray of shape (n_rows,), from 0 to 1."""
        return compared.disagreement()

    # collapsing

    def placed(self, side: Sequence[Any]) -> list[Any]:
        """Return each answer as a place: a text for labels, else a number."""
        raise NotImplementedError

    # being wrong

    def wrong(self, truth: Any, answer: Any) -> Mapping[str, float]:
        """Return how wrong an answer to one row is, by loss; empty where there is no loss."""
        return {}

    def wrong_always(
        self, truths: Sequence[Any], answers: Sequence[Any], always: Always
    ) -> Mapping[str, Sequence[float]]:
        """Return how wrong the constant answer is for the rows of one request, by the same losses."""
        return {}

    def scale(self, truths: Sequence[Any]) -> tuple[float, ...]:
        """Return what the cap of a loss without a bound is set by."""
        return ()

    def classes(
        self, answers: Sequence[Any], scores: Mapping[str, float] | None
    ) -> list[str] | None:
        """Return the class that each row was answered with, by its key; None where it is not known."""
        return None

    def tell_always(self, measure: str, always: Always) -> str:
        """Name the constant answer that one of the kind's losses is measured against."""
        return "the best constant answer"


def mean_of(parts: Parts, measure: str) -> float | None:
    """Mean of a measure over the rows that have it; None without rows."""
    value = parts[f"measure/{measure}"].summary()["mean"]
    return None if value is None else float(value)


_REGISTERED: dict[str, OutputKind] = {}


def register(kind: OutputKind) -> None:
    """Make a kind known. The one registered last is asked first whether an output is its own."""
    _REGISTERED[kind.name] = kind


def forget(kind: OutputKind) -> None:
    """Make a kind unknown again."""
    del _REGISTERED[kind.name]


def registered() -> Iterator[OutputKind]:
    """Yield every kind, in the order in which they are asked."""
    yield from reversed(_REGISTERED.values())


def output_kind(name: str) -> OutputKind:
    """Return the kind of that name.

    Raises
    ------
    LookupError
        There is no such kind.
    """
    if name not in _REGISTERED:
        raise LookupError(f"Output kind {name!r} is not known.")
    return _REGISTERED[name]


def divergence_of(
    kind: str,
    *,
    options: Options = DEFAULT_OPTIONS,
    outputs_signature: Signature = None,
    sample: Outputs = (),
) -> Divergence:
    """Return what compares outputs of a kind.

    Parameters
    ----------
    kind : str
    options : Options
    outputs_signature, sample
        As for `detect`. Records and several outputs take their fields from them.

    Raises
    ------
    SettingsError
        A record or several outputs whose fields nothing names.
    """
    return output_kind(kind).make(Given(options, outputs_signature, sample))
