"""One journaled request, scored again by both versions and walked step by step, side by side.

Each version is loaded in a process of its own, as a lane does it, so that two that ship a module of one name do not
run each other's code.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from shadowserve import withheld
from shadowserve.errors import ModelError, RegistryError, SettingsError
from shadowserve.host.placement import one_thread
from shadowserve.journal import reader
from shadowserve.lane.kept import kept_positions
from shadowserve.records import Role
from shadowserve.report import build
from shadowserve.report.inputs import shown
from shadowserve.report.one_request import held
from shadowserve.runs.scan import Comparisons
from shadowserve.schema.disclosure import Rule
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

if TYPE_CHECKING:
    import pandas as pd

LOADING_S = 300.0
"""In which a version is loaded and has scored."""
RTOL, ATOL = 1e-9, 1e-12
"""Floats within these are the same: BLAS sums in another order, see the laws."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One request as both versions score it now.

    Parameters
    ----------
    position : int
        Its identity in the journal.
    champion, challenger : str
        Such as ``v3``.
    answers : mapping
        ``champion`` and ``challenger``: what each answers, as JSON values.
    as_answered : bool
        Whether the champion's answer is, byte for byte, the one that the caller got.
    steps : DataFrame
        One row a step in the order in which they run: ``champion_ms, challenger_ms``, whether both give the ``same``
        (None where only one has the step), how many features are ``apart`` of how many ``of``, and by how much at most
        (``largest``, NaN where they are no numbers).
    parts_at : str or None
        The first step in which they part; None where no step that both have differs.
    inputs : mapping of column to list of str, or None
        The request's own values, as far as they may be seen; None for a column whose values may not.
    """

    position: int
    champion: str
    challenger: str
    answers: Mapping[str, Any]
    as_answered: bool
    steps: pd.DataFrame
    parts_at: str | None
    inputs: Mapping[str, list[str] | None]
    _outputs: Mapping[str, Mapping[str, Any]] = field(repr=False)
    _seen: frozenset[str] = field(repr=False)

    @property
    def visible(self) -> tuple[str, ...]:
        """The steps whose values may be seen, in their order: the answer's is always among them."""
        return tuple(step for step in self.steps.index if step in self._seen)

    def values(self, step: str) -> pd.DataFrame:
        """Return what a step gives for the request in both versions, feature by feature.

        Returns
        -------
        DataFrame
            Index ``row`` and ``feature``; ``champion``, ``challenger`` (0 where a feature does not occur) and ``apart``.

        Raises
        ------
        SettingsError
            If there is no such step, or its values may not be seen.
        """
        import pandas as pd

        if step not in self.steps.index:
            raise SettingsError(
                f"No step {step!r} has an output here. There are: {', '.join(self.steps.index)}."
            )
        if step not in self._seen:
            raise SettingsError(
                f"What step {step!r} gives is made of columns that --log-inputs does not name. Ask with "
                "show_values=True to see it here; it then stands in whatever you keep of this."
            )
        sides = {who: _by_feature(told.get(step)) for who, told in self._outputs.items()}
        places = sorted(set().union(*sides.values()), key=str)
        rows = {who: [own.get(place, 0.0) for place in places] for who, own in sides.items()}
        apart = [
            not _is_same(a, b) for a, b in zip(rows["champion"], rows["challenger"], strict=True)
        ]
        index = pd.MultiIndex.from_tuples(places, names=["row", "feature"]) if places else None
        return pd.DataFrame({**rows, "apart": apart}, index=index)


def replayable_requests(
    state_dir: str | os.PathLike[str], challenger: str | None = None
) -> pd.DataFrame:
    """Return the requests that can be scored again: those whose bodies are still here.

    Parameters
    ----------
    state_dir : path
        What ``serve --state-dir`` was given.
    challenger : str, optional
        Such as ``v4``; by default the first.

    Returns
    -------
    DataFrame
        ``position, request_id, disagreement, lane_ms, outcome``, those first that differ most; the last four are
        missing where the lane has written no part with the request yet. No row where none is left.
    """
    import pandas as pd

    places, _, number = _deployed(state_dir, challenger)
    here = sorted(
        {
            *reader.positions(places.journal),
            *kept_positions(places.lane(Role.CHALLENGER, number).kept),
        }
    )
    with _comparisons(places, number) as found:
        known = found.frame(["position", "request_id", "disagreement", "lane_ms", "outcome"])
    told = pd.DataFrame({"position": pd.Series(here, dtype="int64")})
    told = told.merge(known, on="position", how="left")
    return told.sort_values(
        ["disagreement", "position"], ascending=[False, True], ignore_index=True
    )


def replay_request(
    state_dir: str | os.PathLike[str],
    request: int | str,
    *,
    challenger: str | None = None,
    show_values: bool = False,
) -> Replayed:
    """Score one journaled request again with both versions, and lay their steps side by side.

    Parameters
    ----------
    state_dir : path
        What ``serve --state-dir`` was given, on the host that served: the journal is readable by its owner alone.
    request : int or str
        A position, or a caller's request id; of several with one id the latest.
    challenger : str, optional
        Such as ``v4``; by default the first.
    show_values : bool
        Whether values of columns that ``--log-inputs`` does not name may be seen. They lie in the journal, which this
        reads on its own host; what you keep of them, in a notebook's outputs say, is your copy.

    Raises
    ------
    RegistryError
        If the request is not here, or not any longer.
    ModelError
        If a version cannot be loaded, or fails on the request.
    """
    places, deployment, number = _deployed(state_dir, challenger)
    position = position_of(places, number, request)
    lane = places.lane(Role.CHALLENGER, number)
    found = held(places, lane, position)
    if found is None:
        raise RegistryError(
            f"Request {position} is no longer here: a segment of the journal goes once every lane has read it. "
            "'shadowserve.replayable_requests(state_dir)' lists what can be replayed."
        )
    if found.body is None:
        raise RegistryError(
            f"Request {position} was answered without its body being kept (--sample-rate). Take another."
        )
    sides = {
        "champion": (Role.CONTROL, deployment.champion.number),
        "challenger": (Role.CHALLENGER, number),
    }
    with ThreadPoolExecutor(2) as both:
        asked = {
            who: both.submit(_scored, places, role, version, position, beside=number)
            for who, (role, version) in sides.items()
        }
        told = {who: one.result() for who, one in asked.items()}
    disclosure = deployment.options.disclosure(salt=deployment.salt)
    names = {name for own in told.values() for step in own["steps"] for name in step["columns"]}
    allowed = {name for name in names if show_values or disclosure.rule(name) is Rule.SHOWN}
    steps = _steps(told)
    apart = [name for name, same in steps["same"].items() if same is False]
    return Replayed(
        position=position,
        champion=f"v{deployment.champion.number}",
        challenger=f"v{number}",
        answers={who: own["answer"] for who, own in told.items()},
        as_answered=told["champion"]["as_answered"],
        steps=steps,
        parts_at=str(apart[0]) if apart else None,
        inputs=shown(found.body, disclosure, protocol=found.protocol, everything=show_values) or {},
        _outputs={who: own["outputs"] for who, own in told.items()},
        _seen=frozenset(_seen(told, allowed, everything=show_values)),
    )


def _deployed(
    state_dir: str | os.PathLike[str], challenger: str | None
) -> tuple[Places, Deployment, int]:
    places = Places(Path(state_dir).absolute())
    deployment = deployments.read(places)
    if deployment is None:
        raise RegistryError(
            f"No deployment in {state_dir}. Name what 'serve --state-dir' was given."
        )
    return places, deployment, build.number_of(deployment, challenger)


def position_of(places: Places, number: int, request: int | str) -> int:
    """Return a request's position in the journal; of several with one id the latest's.

    Raises
    ------
    RegistryError
        If no request with the id is on record.
    """
    if not isinstance(request, str):
        return int(request)
    found = list(reader.positions(places.journal, request_id=request))
    with _comparisons(places, number) as told:
        asked = "SELECT position FROM comparisons WHERE request_id = $id ORDER BY arrived_wall_ns"
        found += told.sql(asked, {"id": request})["position"].tolist() if len(told) else []
    if not found:
        raise RegistryError(
            f"No request with the id {request!r} is on record in {places.root}. Take one from "
            "'shadowserve.replayable_requests(state_dir)'."
        )
    return int(max(found))


def _comparisons(places: Places, number: int) -> Comparisons:
    parts = places.lane(Role.CHALLENGER, number).parts
    return Comparisons(sorted(parts.glob("*.parquet")))


def _scored(
    places: Places, role: Role, version: int, position: int, *, beside: int
) -> dict[str, Any]:
    """Return what a version's own process says of the request."""
    reading, writing = os.pipe()
    command = [
        sys.executable,
        "-m",
        "shadowserve.runs.replaying",
        role.value,
        f"v{version}",
        str(position),
    ]
    environ = {
        **withheld.for_models(os.environ),
        **one_thread(),
        "SHADOWSERVE_STATE_DIR": str(places.root),
        "SHADOWSERVE_BESIDE": str(beside),
    }
    with subprocess.Popen(
        [*command, str(writing)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writing],
        env=environ,
    ) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as told, ThreadPoolExecutor(1) as waiting:
            heard = waiting.submit(told.read)
            try:
                process.wait(LOADING_S)
            except subprocess.TimeoutExpired:
                process.kill()
            written = heard.result()
    told_of: dict[str, Any] = (
        orjson.loads(written)
        if written
        else {"failed": f"its process ended ({process.returncode})"}
    )
    if "failed" in told_of:
        raise ModelError(f"v{version} cannot score request {position} again: {told_of['failed']}.")
    return told_of


def _steps(told: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    order = [step["step"] for step in told["champion"]["steps"]]
    last = 0
    for step in (step["step"] for step in told["challenger"]["steps"]):
        # What the champion lacks stands where the challenger runs it.
        if step not in order:
            order.insert(last, step)
        last = order.index(step) + 1
    champion, challenger = (told[who] for who in ("champion", "challenger"))
    rows = []
    for step in order:
        both = [own["outputs"].get(step) for own in (champion, challenger)]
        rows.append(
            {
                "champion_ms": champion["ms"].get(step, math.nan),
                "challenger_ms": challenger["ms"].get(step, math.nan),
                **_compared(*both),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(order, name="step"))


def _compared(champion: Any, challenger: Any) -> dict[str, Any]:
    if champion is None or challenger is None:
        return {"same": None, "apart": None, "of": None, "largest": math.nan}
    a, b = _by_feature(champion), _by_feature(challenger)
    places = a.keys() | b.keys()
    pairs = [(a.get(place, 0.0), b.get(place, 0.0)) for place in places]
    differing = [pair for pair in pairs if not _is_same(*pair)]
    gaps = [abs(x - y) for x, y in differing if isinstance(x, float) and isinstance(y, float)]
    same = not differing and champion["shape"][:1] == challenger["shape"][:1]
    largest = max(gaps, default=0.0 if same else math.nan)
    return {"same": same, "apart": len(differing), "of": len(places), "largest": largest}


def _by_feature(told: Mapping[str, Any] | None) -> dict[tuple[int, Any], Any]:
    # JSON has no NaN: what is not a number came as null.
    values = told["values"] if told is not None else []
    return {(row, name): math.nan if value is None else value for row, name, value in values}


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=RTOL, abs_tol=ATOL)
    return bool(a == b)


def _seen(
    told: Mapping[str, Mapping[str, Any]], allowed: set[str], *, everything: bool
) -> Sequence[str]:
    """Return the steps whose outputs may be seen: answers, and what is made of shown columns alone."""
    steps = [step for own in told.values() for step in own["steps"]]
    hidden = {
        step["step"]
        for step in steps
        if step["kind"] != "estimator" and not (step["columns"] and set(step["columns"]) <= allowed)
    }
    return [step["step"] for step in steps if everything or step["step"] not in hidden]
