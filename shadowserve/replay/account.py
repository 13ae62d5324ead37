"""A target's own account: whether it has served others lately, and how its journal and lanes fare."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.records import Outcome
from shadowserve.replay.target import Target
from shadowserve.statistics import spent

PATIENCE_S = 10.0
MOST_BYTES = 16 * 2**20
QUIET_S = 300.0
"""A deployment that has served others within so many seconds is in use."""
_REQUESTS = "shadowserve_requests_total"
_AGE = "shadowserve_last_own_request_age_seconds"
SCORING = (spent.ALONE, spent.BATCH, spent.AGAIN, spent.IDLE)
"""A lane's time in which a version scores, or a scorer is waited for."""


@dataclass(frozen=True, slots=True)
class LaneLook:
    """A lane as it stands: requests that it has dealt with, those that wait, and whether scoring takes most of its time."""

    dealt: int
    pending: int
    scoring: bool


@dataclass(frozen=True, slots=True)
class Look:
    """One reading.

    Parameters
    ----------
    append_failed, dropped : int
        Answers that the journal did not take, and requests that its budget deleted before every lane had read them.
    lanes : mapping of name to LaneLook
        Empty where the console is not known.
    at_s : float
        When it was, by the monotonic clock.
    stands_still : bool
        Whether lanes stand still on purpose just now: then what waits says nothing of them.
    """

    append_failed: int = 0
    dropped: int = 0
    lanes: Mapping[str, LaneLook] = field(default_factory=dict)
    stands_still: bool = False
    at_s: float = field(default_factory=time.monotonic)


class Account:
    """Asks a target.

    Parameters
    ----------
    target : Target
        The data plane.
    console : Target, optional
        Where lanes are told of.
    """

    def __init__(self, target: Target, console: Target | None = None) -> None:
        self._target = target
        self._console = console

    def own_age_s(self) -> float | None:
        """Return how long ago somebody else was served; None for never.

        Raises
        ------
        UnreachableError
            If it does not say.
        """
        told = _metrics(_get(self._target, "/metrics"))
        if not any(name == _REQUESTS for name, _ in told):
            raise UnreachableError("Its /metrics count no requests as shadowserve does.")
        ages = [value for (name, _), value in told.items() if name == _AGE]
        return ages[0] if ages else None

    def refuse_live(self, url: str) -> None:
        """Refuse a deployment that is in use, and what does not say whether it is.

        Raises
        ------
        SettingsError
        """
        try:
            age_s = self.own_age_s()
        except UnreachableError as error:
            raise SettingsError(
                f"--to {url} does not say whether it serves others ({error}) If it may be loaded all the same, add "
                "--into-live."
            ) from error
        if age_s is not None and age_s < QUIET_S:
            raise SettingsError(
                f"--to {url} has served another caller {age_s:.0f} s ago. What is replayed would load it while it is in "
                "use. Take a deployment that nobody uses, or add --into-live."
            )

    def look(self) -> Look:
        """Return how journal and lanes fare.

        Raises
        ------
        UnreachableError
        """
        told = _metrics(_get(self._target, "/metrics"))
        failed = told.get((_REQUESTS, "append_failed"), 0.0)
        if self._console is None:
            return Look(int(failed))
        try:
            status = json.loads(_get(self._console, "/status.json"))
            lanes = {_name(one): _lane(one, status) for one in status["lanes"]}
            dropped = sum(one["skipped"]["budget"] for one in status["lanes"])
            still = bool(status["lanes_stand_still"])
        except (ValueError, LookupError, TypeError) as error:
            raise UnreachableError(
                f"--console {self._console.name} is no console of this release. Give the address that 'serve' told."
            ) from error
        return Look(int(failed), dropped, lanes, still)


def _name(lane: Mapping[str, Any]) -> str:
    return f"{lane['role']} v{lane['version']}"


def _lane(lane: Mapping[str, Any], status: Mapping[str, Any]) -> LaneLook:
    outcomes = [lane[one.value] for one in Outcome if one.value in lane]
    dealt = sum(outcomes) + sum(lane["skipped"].values())
    times = [one["lately"] for one in status["lane_time"] if _name(one) == _name(lane)]
    lately = times[0] if times else {}
    scoring = sum(part for name, part in lately.items() if name in SCORING)
    return LaneLook(dealt, lane["pending"], not times or scoring >= 0.5)


def _metrics(text: bytes) -> dict[tuple[str, str], float]:
    """Return samples by name and by outcome, where they have one."""
    try:
        return {
            (sample.name, sample.labels.get("outcome", "")): float(sample.value)
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
        }
    except ValueError as error:
        raise UnreachableError("Its /metrics are no metrics.") from error


def _get(target: Target, path: str) -> bytes:
    """Ask for a path; no redirect is followed."""
    host, port = target.address
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        with closing(connection):
            connection.request("GET", f"{target.prefix}{path}", headers=target.headers())
            answer = connection.getresponse()
            body = answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"{target.name}{path} cannot be read ({type(error).__name__})."
        ) from error
    if answer.status == 401:
        raise SettingsError(f"{target.name} asks for a token. Give --token-file FILE.")
    if answer.status != 200:
        raise UnreachableError(f"{target.name}{path} answers {answer.status}.")
    return body
