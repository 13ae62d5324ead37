"""What is served: the versions as resolved once, and how they were asked to be served.

The supervisor writes the deployment file after resolving the pins; champion workers, lanes, the
console and the evidence writer read it and ask no registry again. A state directory holds one
deployment; another one is archived whole before a new one begins.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from shadowserve.errors import StateError
from shadowserve.records import Role
from shadowserve.settings.options import Options
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places
from shadowserve.versions.version import Version


@dataclass(frozen=True, slots=True, order=True)
class LaneName:
    """A lane's role and version number."""

    role: Role
    version: int

    def __str__(self) -> str:
        return f"{self.role.value} v{self.version}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One champion, its challengers, and the options that every process needs.

    Parameters
    ----------
    id : str
        Names the deployment in MLflow and in the archive.
    champion, challengers : Version, tuple of Version
        Whose answer the caller gets, and who is scored in silence, in the order given.
    control : bool
        Whether the champion's version is scored again in a lane.
    files : mapping of version number to str
        Where each version's files lie, as checked by digest.
    started : str
        UTC, ISO 8601; a resumed deployment keeps it.
    start : str
        Token of the supervisor's present start, so that no process takes an old file for a new one.
    salt : str
        Of the sampling, and of the hashes that stand for values; never told to MLflow.
    tracking_uri : str
        Where evidence goes, without credentials: those are told to the evidence writer alone.
    options : Options
        The settings that reach workers and lanes.
    """

    id: str
    champion: Version
    challengers: tuple[Version, ...]
    control: bool
    files: Mapping[int, str]
    started: str
    start: str
    salt: str
    tracking_uri: str
    options: Options = field(default_factory=Options)

    @property
    def model(self) -> str:
        """The registered model's name."""
        return self.champion.model

    @property
    def tapped(self) -> bool:
        """Whether the champion answers elsewhere, and its requests come through the tap."""
        return self.options.tap

    @property
    def lanes(self) -> tuple[LaneName, ...]:
        """Challengers in order, then the control."""
        names = [LaneName(Role.CHALLENGER, version.number) for version in self.challengers]
        if self.control:
            names.append(LaneName(Role.CONTROL, self.champion.number))
        return tuple(names)

    def version(self, number: int) -> Version:
        """Return one of the served versions by number.

        Raises
        ------
        LookupError
            If no served version has it.
        """
        for version in (self.champion, *self.challengers):
            if version.number == number:
                return version
        raise LookupError(f"Version {number} is not part of this deployment.")

    def place_of(self, challenger: int) -> int:
        """Return which challenger of this champion a version is, from 1, those of earlier deployments first.

        Raises
        ------
        LookupError
            If no challenger has the number.
        """
        for place, version in enumerate(self.challengers, start=1):
            if version.number == challenger:
                return self.options.challengers_before + place
        raise LookupError(f"Version {challenger} is no challenger of this deployment.")

    def same_as(self, other: Deployment) -> bool:
        """Tell whether two deployments serve the same files alike, so that one can resume the other."""
        return not self.differs_in(other)

    def differs_in(self, other: Deployment) -> list[str]:
        """Return why one cannot resume the other: what is served, or the options that its sums rest on.

        Sums that were begun under one policy, unit, share or choice of fields do not go on under another.
        """
        own, theirs = _identity(self), _identity(other)
        return [name for name in own if own[name] != theirs[name]]

    def to_json(self) -> str:
        """Encode for the deployment file."""
        return json.dumps(
            {
                "id": self.id,
                "champion": self.champion.to_dict(),
                "challengers": [version.to_dict() for version in self.challengers],
                "control": self.control,
                "files": {str(number): path for number, path in self.files.items()},
                "started": self.started,
                "start": self.start,
                "salt": self.salt,
                "tracking_uri": self.tracking_uri,
                "options": self.options.to_dict(),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(
            **{
                **raw,
                "champion": Version.from_dict(raw["champion"]),
                "challengers": tuple(Version.from_dict(v) for v in raw["challengers"]),
                "files": {int(number): path for number, path in raw["files"].items()},
                "options": Options.of(raw["options"]),
            }
        )


_FROZEN = (
    "method", "output_kind", "tap", "entity", "entity_header", "ignore_outputs", "sample_rate", "verdict",
)  # fmt: skip
"""Options that what is summed depends on."""


def _identity(deployment: Deployment) -> dict[str, object]:
    # The digest as well: a version may have been logged anew under its number.
    served = (deployment.model, deployment.champion.number, deployment.champion.digest)
    options = deployment.options.to_dict()
    return {
        "champion": served,
        "challengers": tuple((one.number, one.digest) for one in deployment.challengers),
        "control": deployment.control,
        **{name: json.dumps(options[name], sort_keys=True) for name in _FROZEN},
    }


def new_id(model: str) -> str:
    """Return a fresh deployment id: model, time, and a few random letters."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{model}-{now}-{secrets.token_hex(3)}"


def read(places: Places) -> Deployment | None:
    """Return the state directory's deployment; None if there is none yet.

    Raises
    ------
    StateError
        If the file is damaged, or was written by another release.
    """
    try:
        return Deployment.from_json(places.deployment.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StateError(
            f"{places.deployment} is damaged, or was written by another release. Move "
            f"{places.root} aside, or give --state-dir another directory."
        ) from error


def write(places: Places, deployment: Deployment) -> None:
    """Write the deployment file, whole or not at all."""
    write_whole(places.deployment, deployment.to_json())


def archive(places: Places, deployment: Deployment) -> Path:
    """Move another deployment's journal, lanes and counts aside, and return where they lie.

    The downloaded versions stay: they are named by digest. Whole requests that were kept are deleted.
    """
    shelf = places.archive / deployment.id
    shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kept in (*places.lanes.glob("*/kept.db*"), *places.journal.glob("*.refused")):
        kept.unlink()  # whole requests go with their deployment
    # The deployment file goes last: what is cut off before it is archived anew at the next start.
    moved = (
        places.journal,
        places.lanes,
        places.counting,
        places.evidence,
        places.accepted,
        places.switched,
        places.alerts,
        places.labels,
        places.label_sets,
        places.deployment,
    )
    for place in moved:
        for suffix in ("", "-journal", "-wal", "-shm"):  # a database's own, left by a killed writer
            part = place.with_name(f"{place.name}{suffix}")
            if part.exists():
                part.rename(shelf / part.name)
    return shelf


def forget(places: Places, *, older_than_s: float) -> list[str]:
    """Delete archived deployments that nothing was written to for so long; return their ids.

    What had not reached MLflow by then is lost with them.
    """
    oldest = time.time() - older_than_s
    old = [
        shelf
        for shelf in places.shelves
        # Whoever links a shelf elsewhere has put it there to keep.
        if not shelf.is_symlink() and shelf.stat().st_mtime < oldest
    ]
    for shelf in old:
        shutil.rmtree(shelf, ignore_errors=True)
    return [shelf.name for shelf in old if not shelf.exists()]
