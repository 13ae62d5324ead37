"""From a kind and the user's options to what compares its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shadowserve.divergence.align import Outputs, plain_rows
from shadowserve.divergence.compared import DEFAULT_TOLERANCE, Divergence, Kind, Tolerance
from shadowserve.divergence.detection import detect
from shadowserve.divergence.fields import MultiDivergence, RecordDivergence, field_of
from shadowserve.divergence.label import LabelDivergence
from shadowserve.divergence.number import NumberDivergence
from shadowserve.divergence.probability import ProbabilityDivergence
from shadowserve.divergence.ranking import RankingDivergence
from shadowserve.divergence.sets import SetDivergence
from shadowserve.divergence.tallies import KindTally
from shadowserve.divergence.text import TextDivergence
from shadowserve.divergence.vector import VectorDivergence
from shadowserve.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may set about comparing; recorded beside the results.

    Parameters
    ----------
    tolerance : Tolerance
        Within it numbers agree.
    threshold : float
        Decision threshold of the positive class.
    champion_classes, lane_classes : tuple, optional
        Class labels in the order of each side's probabilities.
    persistence : float
        Webber's p of rank-biased overlap, above 0 and below 1.
    top_k : int
        Places that the top-k overlap looks at.
    ignore : frozenset of str
        Fields of a record that say nothing, such as a random id.
    fields : mapping of field name to Kind
        Overrules detection, for records by name, for several outputs by position ("0").
    """

    tolerance: Tolerance = DEFAULT_TOLERANCE
    threshold: float = 0.5
    champion_classes: tuple[Any, ...] | None = None
    lane_classes: tuple[Any, ...] | None = None
    persistence: float = 0.9
    top_k: int = 5
    ignore: frozenset[str] = frozenset()
    fields: Mapping[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = [text for wrong, text in self._rules() if wrong]
        if faults:
            raise SettingsError(" ".join(faults))

    def _rules(self) -> list[tuple[bool, str]]:
        t = self.tolerance
        return [
            (
                not 0 < self.persistence < 1,
                f"Persistence must lie in (0, 1), not {self.persistence}.",
            ),
            (not 0 < self.threshold < 1, f"Threshold must lie in (0, 1), not {self.threshold}."),
            (self.top_k < 1, f"Top-k must be at least 1, not {self.top_k}."),
            (
                not (0 <= t.relative < 1 and 0 <= t.absolute < float("inf")),
                f"Tolerances must be finite and at least 0, the relative one below 1, not {t}.",
            ),
        ]


DEFAULT_OPTIONS = Options()


def divergence_of(
    kind: Kind,
    *,
    options: Options = DEFAULT_OPTIONS,
    outputs_signature: Sequence[Mapping[str, Any]] | None = None,
    sample: Outputs = (),
) -> Divergence:
    """Return what compares outputs of a kind.

    Parameters
    ----------
    kind : Kind
    options : Options
    outputs_signature, sample
        As for `detect`. Records and several outputs take their fields from them.

    Raises
    ------
    SettingsError
        A record or several outputs whose fields nothing names.
    """
    makers: dict[Kind, Callable[[], Divergence]] = {
        Kind.NUMBER: lambda: NumberDivergence(options.tolerance),
        Kind.LABEL: LabelDivergence,
        Kind.PROBABILITY: lambda: _probability(options),
        Kind.RANKING: lambda: RankingDivergence(options.persistence, options.top_k),
        Kind.SET: SetDivergence,
        Kind.TEXT: TextDivergence,
        Kind.VECTOR: lambda: VectorDivergence(options.tolerance),
        Kind.MULTI: lambda: MultiDivergence(_fields(kind, options, outputs_signature, sample)),
        Kind.RECORD: lambda: RecordDivergence(
            _fields(kind, options, outputs_signature, sample), options.ignore
        ),
    }
    return makers[kind]()


def resumed(tally: KindTally, *, options: Options = DEFAULT_OPTIONS) -> Divergence:
    """Return what compares outputs as those were that a tally remembers, whatever comes next.

    Kinds of fields are taken from the tally: no sample is there any more.
    """
    if tally.kind not in (Kind.RECORD, Kind.MULTI):
        return divergence_of(tally.kind, options=options)
    inner = replace(options, fields={}, champion_classes=None, lane_classes=None)
    fields = {name: resumed(part, options=inner) for name, part in tally.fields.items()}
    if tally.kind is Kind.MULTI:
        return MultiDivergence(fields)
    return RecordDivergence(fields, options.ignore)


def _probability(options: Options) -> ProbabilityDivergence:
    return ProbabilityDivergence(
        champion_classes=options.champion_classes,
        lane_classes=options.lane_classes,
        threshold=options.threshold,
        tolerance=options.tolerance,
    )


def _fields(
    kind: Kind,
    options: Options,
    outputs_signature: Sequence[Mapping[str, Any]] | None,
    sample: Outputs,
) -> dict[str, Divergence]:
    rows = [row for row in plain_rows(sample) if row is not None]
    specs = {str(spec["name"]): spec for spec in outputs_signature or [] if "name" in spec}
    seen = dict.fromkeys([*options.fields, *specs, *_names_in(kind, rows)])
    if not seen and not rows:
        raise SettingsError(
            f"Output kind {kind!r} needs fields: no signature, sample or setting names any. "
            "Log the model with an output signature, or name the fields' kinds."
        )
    inner = replace(options, fields={}, champion_classes=None, lane_classes=None)
    found: dict[str, Divergence] = {}
    for name in seen:
        if name in options.ignore:
            continue
        column = field_of(rows, name)
        spec = [specs[name]] if name in specs else None
        one = options.fields.get(name) or detect(spec, column)
        found[name] = divergence_of(one, options=inner, outputs_signature=None, sample=column)
    return found


def _names_in(kind: Kind, rows: Sequence[Any]) -> list[str]:
    if kind == Kind.RECORD:
        return list(dict.fromkeys(str(k) for row in rows if isinstance(row, dict) for k in row))
    width = max((len(row) for row in rows if isinstance(row, list)), default=0)
    return [str(place) for place in range(width)]
