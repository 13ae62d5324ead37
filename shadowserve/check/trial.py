"""One version tried out in this process: loaded, its steps listed, its example sent through it.

The record holds no value of a request but one: the answers to the examples, which the parent lays
side by side and never prints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from threadpoolctl import threadpool_info

from shadowserve.divergence import by_row, detect
from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.schema.schema import Schema
from shadowserve.scorer.scorer import Scorer
from shadowserve.scorer.scoring import open_version
from shadowserve.settings.options import Options
from shadowserve.versions.version import Version
from shadowserve.wire.invocations import PROTOCOL as INVOCATIONS

REPEATS = 5
PHASES = ("parse", "schema", "featurization", "inference", "encode")


@dataclass(frozen=True, slots=True)
class Passage:
    """One request through the whole path: typed, scored, encoded.

    Parameters
    ----------
    fault : str or None
        Why it did not get through; type, step, column and frame only.
    n_rows : int
        Rows in the request.
    kind : str or None
        Kind of output.
    answers : list
        One a row, as JSON values; never shown.
    phases_ms, steps_ms : mapping of name to milliseconds
        Medians of a few passages after the first.
    """

    fault: str | None = None
    n_rows: int = 0
    kind: str | None = None
    answers: list[Any] = field(default_factory=list)
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    steps_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of loading one version.

    Parameters
    ----------
    failure : str or None
        Why it cannot be loaded, in a line; everything else is empty then.
    load_s : float
        Seconds to load and to probe it, imports included.
    columns : list of [name, type, required]
        What it takes.
    steps : list of mapping
        Name, columns, kind and n_jobs of each step of the timed walk.
    notes : list of str
        Opaque parts and why, other libraries, warnings.
    threads : list of mapping
        Parts with an ``n_jobs``, and what it amounts to here.
    pools : list of mapping
        BLAS and OpenMP libraries that are loaded, and the threads each uses.
    batched, batching : bool, str
        Whether callers' requests share a call from the start, and why.
    calls : int
        How often the model was called for all this.
    deterministic : bool
        Whether it answered twice alike; True too where nothing was tried.
    has_scores : bool
        Whether probabilities can be had beside labels.
    own, champion : Passage or None
        Its own input example, and the champion's; None where there is none.
    """

    failure: str | None = None
    load_s: float = 0.0
    columns: list[Any] = field(default_factory=list)
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    threads: list[Mapping[str, Any]] = field(default_factory=list)
    pools: list[Mapping[str, Any]] = field(default_factory=list)
    batched: bool = True
    batching: str = ""
    calls: int = 0
    deterministic: bool = True
    has_scores: bool = False
    own: Passage | None = None
    champion: Passage | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return asdict(self)

    def shown(self) -> dict[str, Any]:
        """Return the record without the answers to the examples."""
        told = self.to_dict()
        for name in ("own", "champion"):
            if told[name] is not None:
                del told[name]["answers"]
        return told

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        passages = {
            name: Passage(**values[name]) if values[name] is not None else None
            for name in ("own", "champion")
        }
        return cls(**{**values, **passages})


def try_version(
    version: Version,
    path: Path,
    *,
    options: Options,
    champion_body: Any = None,
    champion: Version | None = None,
) -> Trial:
    """Load a version here and send the examples through it; whatever fails is part of the record.

    Parameters
    ----------
    champion_body : object, optional
        The champion's input example as a body for ``/invocations``; the others as in
        `scoring.open_version`.
    """
    started = time.monotonic()
    try:
        scorer = open_version(version, path, options=options, champion=champion)
    except ShadowserveError as error:
        return Trial(failure=str(error))
    # A model's sys.exit() too: whoever asks waits for a record.
    except BaseException as error:
        return Trial(failure=f"{version.pin} cannot be loaded: {_said(error)}")
    load_s = time.monotonic() - started
    example = scorer.loaded.input_example
    own = other = None
    calls = 0
    if options.probe != "none":
        # Unknown code may do more than answer, so it is called as seldom as it can be.
        repeats = REPEATS if scorer.sharing.unknown is None or options.probe == "full" else 1
        own = _passage(scorer, example, repeats)
        # One and the same example is not sent twice: each call may cost.
        other = own if champion_body == example else _passage(scorer, champion_body, repeats)
        sent = [one for one in (own, None if other is own else other) if one is not None]
        calls = len(sent) * (repeats + 1)
    return Trial(
        load_s=load_s,
        columns=_columns(scorer.schema),
        steps=_steps(scorer),
        notes=list(scorer.notes),
        threads=[asdict(part) for part in scorer.loaded.threads],
        pools=_pools(),
        batched=scorer.batched,
        batching=scorer.sharing.why,
        calls=scorer.sharing.tries + calls,
        deterministic=scorer.deterministic,
        has_scores=scorer.has_scores,
        own=own,
        champion=other,
    )


def _passage(scorer: Scorer, body: Any, repeats: int) -> Passage | None:
    if body is None:
        return None
    sent = json.dumps(body, default=str).encode()
    try:
        return _timed(scorer, sent, repeats)
    except BaseException as error:
        return Passage(fault=_said(error))


def _timed(scorer: Scorer, sent: bytes, repeats: int) -> Passage:
    phases: list[tuple[float, ...]] = []
    steps: list[tuple[int, ...]] = []
    # The first passage warms up; its times are left out.
    for _ in range(repeats + 1):
        parsed = INVOCATIONS.timed_parse(sent, "application/json", scorer.schema)
        scored = scorer.score(parsed.rows)
        done_ns = time.monotonic_ns()
        answer = INVOCATIONS.encode(scored.output)
        encode_ns = time.monotonic_ns() - done_ns
        before = (parsed.parse_ns, parsed.schema_ns)
        phases.append((*before, scored.featurization_ns, scored.inference_ns, encode_ns))
        steps.append(scored.wall_ns)
    answers = by_row(INVOCATIONS.read(answer), parsed.rows.n_rows)
    classes = scorer.classes
    proba = scorer.loaded.method == "predict_proba"
    kind = detect(
        (scorer.version.signature or {}).get("outputs"),
        answers,
        classifier=True if classes and not proba else None,
        n_classes=len(classes) if classes else None,
    )
    return Passage(
        n_rows=parsed.rows.n_rows,
        kind=str(kind),
        answers=answers,
        phases_ms=dict(zip(PHASES, _medians(phases[1:]), strict=True)),
        steps_ms=dict(zip([n for n, _ in scorer.step_names], _medians(steps[1:]), strict=False)),
    )


def _medians(runs: list[Any]) -> list[float]:
    return [median(column) / 1e6 for column in zip(*runs, strict=True)]


def _columns(schema: Schema) -> list[Any]:
    tensors = [[str(t.name or ""), f"tensor {t.dtype}", True] for t in schema.tensors]
    return [[c.key, c.type, c.required] for c in schema.columns] + tensors


def _steps(scorer: Scorer) -> list[Mapping[str, Any]]:
    if scorer.plan is None:
        return [{"name": name, "columns": [], "kind": "opaque"} for name, _ in scorer.step_names]
    return [
        {"name": s.name, "columns": list(map(str, s.columns)), "kind": s.kind, "n_jobs": s.n_jobs}
        for s in scorer.plan.steps
    ]


def _pools() -> list[Mapping[str, Any]]:
    """Ask the libraries that are loaded by now."""
    return [
        {"api": pool["user_api"], "library": pool["internal_api"], "threads": pool["num_threads"]}
        for pool in threadpool_info()
    ]


def _said(error: BaseException) -> str:
    """Describe a failure without its text, unless it is one of ours, which hold no values."""
    if isinstance(error, ShadowserveError):
        return str(error)
    fault = fault_of(error)
    return f"{fault.type} at {fault.frame}"
