"""Two tried versions side by side: what differs, what rules a comparison out, what it will show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from shadowserve.check.trial import Passage, Trial
from shadowserve.divergence import divergence_of
from shadowserve.versions.lineage import Difference, differences
from shadowserve.versions.mlmodel import library_differences
from shadowserve.versions.version import Version

_FAMILIES = {
    "integer": "number", "long": "number", "float": "number", "double": "number",
    "boolean": "boolean", "string": "text", "datetime": "text", "binary": "text",
}  # fmt: skip
_WHOLE = {"integer", "long"}
_FRACTIONS = {"float", "double"}


@dataclass(frozen=True, slots=True)
class Side:
    """One version and what came of trying it."""

    version: Version
    trial: Trial
    isolated: bool = False

    @property
    def name(self) -> str:
        """The version as people call it."""
        return self.version.pin.label

    @property
    def libraries(self) -> list[str]:
        """Where the libraries here are not those of training; an isolated version has its own."""
        if self.isolated:
            return []
        return library_differences(self.version.libraries)

    @property
    def loads(self) -> str:
        """What loading it does."""
        version = self.version
        if not version.executes_code:
            return "data only"
        how = version.serialization or version.loader_module or "unknown format"
        return f"runs code that comes with it ({how})"

    def to_dict(self) -> dict[str, Any]:
        """Return the side as JSON-able values, without the answers to the examples."""
        return {
            "version": self.version.to_dict(),
            "age": self.version.age(),
            "loads": self.loads,
            "isolated": self.isolated,
            "libraries": self.libraries,
            "trial": self.trial.shown(),
        }


@dataclass(frozen=True, slots=True)
class Check:
    """Whether two versions can be compared, and in what.

    Parameters
    ----------
    differences : tuple of Difference
        Of their records: data, signature, libraries, origin.
    only_champion, only_challenger : tuple of str
        Steps of one that the other has not.
    incompatible : tuple of str
        What rules a comparison out; empty where nothing does.
    comparable, not_comparable : tuple of str
        What the lanes will be able to say, and what not.
    """

    champion: Side
    challenger: Side
    differences: tuple[Difference, ...]
    only_champion: tuple[str, ...]
    only_challenger: tuple[str, ...]
    incompatible: tuple[str, ...]
    comparable: tuple[str, ...]
    not_comparable: tuple[str, ...]

    @property
    def compatible(self) -> bool:
        """Whether nothing rules a comparison out."""
        return not self.incompatible

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON-able values."""
        return {
            "model": self.champion.version.model,
            "compatible": self.compatible,
            "champion": self.champion.to_dict(),
            "challenger": self.challenger.to_dict(),
            "differences": [asdict(difference) for difference in self.differences],
            "steps": {"only_champion": self.only_champion, "only_challenger": self.only_challenger},
            "incompatible": list(self.incompatible),
            "comparable": list(self.comparable),
            "not_comparable": list(self.not_comparable),
        }


def check(champion: Side, challenger: Side, *, output_kind: str | None = None) -> Check:
    """Lay two tried versions side by side.

    Parameters
    ----------
    champion, challenger : Side
        Each tried in a process of its own, the challenger on the champion's example too.
    output_kind : str, optional
        What both answer, where the team says so; else it is seen in their few answers.
    """
    if output_kind is not None:
        champion, challenger = (_said_to_answer(s, output_kind) for s in (champion, challenger))
    ours, theirs = ([s["name"] for s in side.trial.steps] for side in (champion, challenger))
    ruled_out = tuple(_incompatible(champion, challenger))
    return Check(
        champion,
        challenger,
        tuple(differences(champion.version, challenger.version)),
        only_champion=tuple(step for step in ours if step not in theirs),
        only_challenger=tuple(step for step in theirs if step not in ours),
        incompatible=ruled_out,
        comparable=() if ruled_out else tuple(_comparable(champion, challenger)),
        not_comparable=() if ruled_out else tuple(_not_comparable(champion, challenger)),
    )


def _said_to_answer(side: Side, kind: str) -> Side:
    """Return a side whose answers are of the kind that the team says."""
    passages = {
        name: replace(passage, kind=kind)
        for name in ("own", "champion")
        if (passage := getattr(side.trial, name)) is not None and passage.kind is not None
    }
    return replace(side, trial=replace(side.trial, **passages))


def _incompatible(champion: Side, challenger: Side) -> Iterator[str]:
    failures = [side.trial.failure for side in (champion, challenger) if side.trial.failure]
    yield from failures
    if not failures:
        yield from _columns(champion, challenger)
        yield from _answers(champion, challenger)


def _columns(champion: Side, challenger: Side) -> Iterator[str]:
    offered = {name: kind for name, kind, _ in champion.trial.columns}
    if not offered or any(_is_tensor(side) for side in (champion, challenger)):
        return  # a table and a tensor are filled from one body; the examples show whether it fits
    for name, kind, required in challenger.trial.columns:
        if name not in offered and required:
            yield (
                f"{challenger.name} requires column {name!r}, which {champion.name}'s signature "
                "lacks, so the traffic will not carry it."
            )
        elif name in offered and _family(kind) != _family(offered[name]):
            yield (
                f"Column {name!r} is {offered[name]} for {champion.name} and {kind} for "
                f"{challenger.name}: what one accepts, the other refuses."
            )


def _is_tensor(side: Side) -> bool:
    return any(kind.startswith("tensor ") for _, kind, _ in side.trial.columns)


def _family(kind: str) -> str | None:
    """Kinds of one family can come in one JSON form; what is not typed goes with everything."""
    return None if kind == "unknown" else _FAMILIES.get(kind, kind)


def _answers(champion: Side, challenger: Side) -> Iterator[str]:
    ours, theirs = champion.trial.champion, challenger.trial.champion
    for side, passage in ((champion, ours), (challenger, theirs)):
        if passage is not None and passage.fault is not None:
            fault = passage.fault.removesuffix(".")
            yield f"{side.name} fails on {champion.name}'s input example: {fault}."
    ours, theirs = _answered(champion.trial), _answered(challenger.trial)
    if ours is None or theirs is None:
        return
    if ours.kind != theirs.kind:
        yield (
            f"{champion.name} answers a {ours.kind}, {challenger.name} a {theirs.kind}, as far as "
            "their few answers to the examples tell. If they are of one kind, say which with "
            "--output-kind."
        )
        return
    types = [_types(passage.answers) for passage in (ours, theirs)]
    if types[0] != types[1] and all(types):
        yield (
            f"{champion.name} answers {' or '.join(types[0])}, {challenger.name} "
            f"{' or '.join(types[1])}: callers that parse the first may fail on the second."
        )


def _answered(trial: Trial) -> Passage | None:
    """Return what got through: the champion's example, else the version's own."""
    passages = (trial.champion, trial.own)
    return next((each for each in passages if each is not None and not each.fault), None)


def _types(answers: Sequence[Any]) -> list[str]:
    """Name the JSON types of answers and of the items of lists; nulls say nothing."""
    flat = [
        item for answer in answers for item in (answer if isinstance(answer, list) else [answer])
    ]
    names = {bool: "true or false", int: "numbers", float: "numbers", str: "text", dict: "objects"}
    return sorted({names.get(type(item), "lists") for item in flat if item is not None})


def _comparable(champion: Side, challenger: Side) -> Iterator[str]:
    passage = challenger.trial.champion or challenger.trial.own
    if passage is not None:
        apart = _apart(champion.trial.champion, challenger.trial.champion)
        yield f"Answers, as {passage.kind}{apart}."
    if champion.trial.has_scores and challenger.trial.has_scores:
        yield "Probabilities beside the labels that callers get."
    shared = [
        step["name"]
        for step in challenger.trial.steps
        if any(step["name"] == other["name"] for other in champion.trial.steps)
    ]
    if shared:
        yield f"Time of {len(shared)} steps that both have: {', '.join(shared)}."
    yield f"Time in all: {challenger.name} beside the control, request by request."


def _apart(ours: Passage | None, theirs: Passage | None) -> str:
    """Say how far the answers to one and the same example lie apart."""
    if ours is None or theirs is None or ours.kind is None or not ours.answers:
        return ""
    divergence = divergence_of(ours.kind, sample=ours.answers)
    compared = divergence.compare(ours.answers, theirs.answers)
    equal = int(compared.tolerant.sum())
    return f"; on the champion's example {equal} of {len(ours.answers)} rows are answered alike"


def _not_comparable(champion: Side, challenger: Side) -> Iterator[str]:
    sides = (champion, challenger)
    for side in sides:
        if side.trial.own is None:
            yield f"Nothing was tried with {side.name}: it has no input example. Log it with one."
        if not side.version.signature:
            yield f"Types of {side.name}'s columns: it has no signature, so values are taken as they come."
        if not side.version.training_data:
            yield f"Where {side.name} comes from: its run tells no training data."
        if not side.trial.deterministic:
            yield f"Small differences: {side.name} answers one row differently on a second call, so only what exceeds that counts."
        if opaque := [s["name"] for s in side.trial.steps if s["kind"] == "opaque"]:
            yield f"Time inside {', '.join(opaque)} of {side.name}: it is timed as one part."
        if not side.trial.batched:
            yield f"Batches: {side.name} is served {side.trial.batching}."
    if champion.trial.has_scores != challenger.trial.has_scores:
        lacking = challenger if champion.trial.has_scores else champion
        yield f"Probabilities: {lacking.name} has none."
    yield from _partly(champion, challenger)


def _partly(champion: Side, challenger: Side) -> Iterator[str]:
    """Tell of requests that the champion takes and the challenger refuses."""
    if any(_is_tensor(side) for side in (champion, challenger)):
        return
    offered = {name: (kind, required) for name, kind, required in champion.trial.columns}
    for name, kind, required in challenger.trial.columns:
        ours = offered.get(name)
        if ours is None:
            continue
        if required and not ours[1]:
            yield f"Requests without {name!r}: {challenger.name} requires it, they become its errors."
        if kind in _WHOLE and ours[0] in _FRACTIONS:
            yield f"Requests with a fraction in {name!r}: {challenger.name} takes whole numbers only."
    unused = [name for name in offered if name not in {c[0] for c in challenger.trial.columns}]
    if unused and challenger.trial.columns:
        yield f"The effect of {', '.join(unused)}: {challenger.name} does not look at it."
