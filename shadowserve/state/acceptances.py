"""Acceptances: findings that the team knows and lives with, who said so, when and why.

One small file of events, replaced whole under a lock: accepting and withdrawing are both remembered, and
of one finding the last event counts. It goes to the archive with its deployment.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from shadowserve.errors import DamagedError, SettingsError, UnreadableError
from shadowserve.host.instant import Instant
from shadowserve.legible import LONGEST, counted, legible
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

SCHEMA = "shadowserve/accepted/1"
LONGEST_REASON = 1_000
"""Characters of a reason: it stands in reports, tags and tables."""
MOST_STANDING = 200
"""Findings that are accepted at one time; whoever accepts more does not look at them."""
LONGEST_S = 10 * 365 * 86_400.0
"""What is to hold longer holds without an end."""
KEPT = 1_000
"""Events that are remembered; those that count no more go first."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """That somebody accepted a finding, or took it back.

    Parameters
    ----------
    challenger : int
        Version number.
    finding : str
        The finding's id.
    kind, severity : str
        As they were then.
    where : mapping
        As the report had it, without what may show values: another day they may not be shown any more.
    measure, value : str or None, float or None
        The finding's effect as it was accepted; None where it has none.
    reason : str
        The team's words, legible.
    by : str
        Who, as far as is known.
    at : Instant
    lasts_s : float or None
        For how long; None: until it is withdrawn.
    withdrawn : bool
        Whether it was taken back then.
    """

    challenger: int
    finding: str
    kind: str
    severity: str
    where: Mapping[str, Any]
    measure: str | None
    value: float | None
    reason: str
    by: str
    at: Instant = field(default_factory=Instant.now)
    lasts_s: float | None = None
    withdrawn: bool = False

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned; what a later release adds is left out."""
        known = {name: told[name] for name in cls.__slots__ if name in told}
        return cls(**{**known, "at": Instant.of(told["at"])})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "where": dict(self.where), "at": self.at.to_dict()}

    @property
    def at_utc(self) -> str:
        """When it was said, ISO 8601."""
        return _utc(self.at.wall_s)

    @property
    def until_utc(self) -> str | None:
        """Until when it holds, ISO 8601; None without an end."""
        return None if self.lasts_s is None else _utc(self.at.wall_s + self.lasts_s)

    def is_over(self, now: Instant) -> bool:
        """Tell whether the time that it was given has passed."""
        return self.lasts_s is not None and self.at.has_lasted(self.lasts_s, now)


def _utc(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")


def checked(reason: str) -> str:
    r"""Return a reason as it is kept: one line in which nothing acts.

    Raises
    ------
    SettingsError
        If it says nothing, or is too long.

    Examples
    --------
    >>> checked(" meant to differ:\nsee <#12>\x1b[2J ")
    'meant to differ: see <#12>\\x1b[2J'
    """
    words = reason.strip()
    if not words:
        raise SettingsError(
            "The reason is empty. Say why the finding is acceptable: --reason TEXT."
        )
    if len(words) > LONGEST_REASON:
        raise SettingsError(
            f"The reason has {counted(len(words), 'character')}; {LONGEST_REASON:,} are the most. "
            "Say it in short, and where the rest stands."
        )
    return legible(words, most=10 * LONGEST_REASON)


def limited(lasts_s: float | None) -> float | None:
    """Return for how long an acceptance holds, in seconds; None without an end.

    Raises
    ------
    SettingsError
        If it is longer than anybody plans.
    """
    if lasts_s is not None and not 0 < lasts_s <= LONGEST_S:
        raise SettingsError(
            "--until is more than ten years. Leave it away to accept without an end."
        )
    return lasts_s


def named(by: str) -> str:
    """Return who says so as it is kept, bounded and legible."""
    return legible(by.strip() or "somebody", most=LONGEST)


def read(places: Places, deployment_id: str) -> tuple[Acceptance, ...]:
    """Return the events of a deployment, the oldest first; none where there is no file.

    Raises
    ------
    UnreadableError
        If the file cannot be read, or is damaged: what was accepted is not known then.
    """
    try:
        text = places.accepted.read_text()
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise UnreadableError(places.accepted, error) from error
    try:
        told = json.loads(text)
        # What was accepted of one deployment says nothing of the next.
        if told["deployment"] != deployment_id:
            return ()
        return tuple(Acceptance.of(event) for event in told["events"])
    except (ValueError, TypeError, LookupError) as error:
        raise DamagedError(
            places.accepted, "it is damaged; move it aside and accept anew"
        ) from error


def standing(events: tuple[Acceptance, ...], challenger: int) -> dict[str, Acceptance]:
    """Return what is accepted of one challenger, by the id of the finding.

    What has run out or was outgrown is among it until it is withdrawn.
    """
    last = {event.finding: event for event in events if event.challenger == challenger}
    return {finding: event for finding, event in last.items() if not event.withdrawn}


def add(places: Places, deployment_id: str, event: Acceptance) -> None:
    """Remember an event.

    Raises
    ------
    SettingsError
        If more is accepted already than anybody looks at, or the directory is another user's.
    UnreadableError
        As `read`.
    OSError
        If the state directory cannot be written.
    """
    _refuse_strangers(places)
    with _locked(places):
        events = (*read(places, deployment_id), event)
        counting = _counting(events)
        n_standing = sum(not one.withdrawn for one in counting)
        if not event.withdrawn and n_standing > MOST_STANDING:
            raise SettingsError(
                f"{MOST_STANDING} findings are accepted already. Withdraw some: 'shadowserve findings' lists them."
            )
        past = [one for one in events if one not in counting]
        kept = [*past[max(0, len(past) + len(counting) - KEPT) :], *counting]
        told = [one.to_dict() for one in sorted(kept, key=events.index)]
        text = {"schema": SCHEMA, "deployment": deployment_id, "events": told}
        write_whole(places.accepted, json.dumps(text, indent=1))


def _counting(events: tuple[Acceptance, ...]) -> list[Acceptance]:
    """Return the last event of each finding."""
    return list({(event.challenger, event.finding): event for event in events}.values())


@contextmanager
def _locked(places: Places) -> Iterator[None]:
    """Let one writer in at a time; the lock goes with its process."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    held = os.open(places.accepted_lock, flags, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _refuse_strangers(places: Places) -> None:
    """Refuse to leave a file that the deployment's own processes could not read."""
    owner = places.root.stat().st_uid
    if hasattr(os, "geteuid") and owner != os.geteuid():
        raise SettingsError(
            f"{legible(places.root, most=LONGEST)} belongs to another user (uid {owner}), whose processes could not "
            "read what this one writes. Ask as that user."
        )
