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
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from shadowserve.errors import StateError
from shadowserve.records import Role
from shadowserve.settings.options import Options
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places, folder_of
from shadowserve.state.stays import Left, Stay
from shadowserve.versions.pins import Reference
from shadowserve.versions.version import Version


@dataclass(frozen=True, slots=True, order=True)
class LaneName:
    """A lane's role and version number, and which stay of that version it is."""

    role: Role
    version: int
    stay: int = 1

    def __str__(self) -> str:
        return self.folder.replace("-", " ", 1)

    @property
    def folder(self) -> str:
        """Name of its directory, and its key wherever lanes are told apart by a text."""
        return folder_of(self.role, self.version, self.stay)


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
    stays : mapping of version number to Stay
        Of the challengers, once one has joined or left.
    left : tuple of Left
        Challengers that have left, in that order.
    asked : tuple of int or None
        The challengers that the command line named, once others have joined or left; None until then.
    former : tuple of int
        Versions that were the champion before, and that this one took over from while they served.
    lane_numbers : mapping of pin to int
        Of the challengers whose lane does not have the version's own number, since a version of another
        registered name has it. Wherever a challenger's number is asked for here, it is the lane's.
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
    stays: Mapping[int, Stay] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    asked: tuple[int, ...] | None = None
    former: tuple[int, ...] = ()
    lane_numbers: Mapping[str, int] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The registered model's name."""
        return self.champion.model

    @property
    def tapped(self) -> bool:
        """Whether the champion answers elsewhere, and its requests come through the tap."""
        return self.options.tap

    @property
    def rescored(self) -> str | None:
        """Where its requests were recorded; None where callers ask them."""
        return self.options.rescored

    @property
    def numbers(self) -> tuple[int, ...]:
        """The challengers' lane numbers, in their order."""
        return tuple(map(self.number_of, self.challengers))

    def number_of(self, version: Version) -> int:
        """Return by which number a challenger's lane is told apart: most often the version's own."""
        return self.lane_numbers.get(str(version.pin), version.number)

    def number_named(self, reference: Reference) -> int | None:
        """Return the lane number of what a person named; None if it is no challenger, nor one that has left.

        Without a model's name, a number is the lane's.
        """
        known = [*self.challengers, *(one.version for one in reversed(self.left))]
        for version in known:
            named = reference.model is not None and (reference.model, reference.version) == (
                version.model,
                version.number,
            )
            if named or (reference.model is None and reference.version == self.number_of(version)):
                return self.number_of(version)
        return None

    @property
    def lanes(self) -> tuple[LaneName, ...]:
        """Challengers in order, then the control."""
        names = [self._named(number, self.stay_of(number)) for number in self.numbers]
        if self.control:
            names.append(LaneName(Role.CONTROL, self.champion.number))
        return tuple(names)

    @property
    def left_lanes(self) -> tuple[LaneName, ...]:
        """Those of the challengers that have left, in that order."""
        return tuple(self._named(self.number_of(one.version), one.stay) for one in self.left)

    def lane_named(self, role: Role, version: int) -> LaneName:
        """Return the lane that a process is started for, by role and version number.

        Raises
        ------
        LookupError
            If the deployment never had such a challenger.
        """
        return self.lane_of(version) if role is Role.CHALLENGER else LaneName(role, version)

    def lane_of(self, challenger: int) -> LaneName:
        """Return a challenger's lane; of one that has left, its last stay's.

        Raises
        ------
        LookupError
            If the deployment never had it.
        """
        return self._named(challenger, self.stay_of(challenger))

    def _named(self, challenger: int, stay: Stay) -> LaneName:
        return LaneName(Role.CHALLENGER, challenger, stay.number)

    def version(self, number: int) -> Version:
        """Return one of the served versions by number, or one that has left.

        Raises
        ------
        LookupError
            If no version has it.
        """
        if number == self.champion.number:
            return self.champion
        gone = (one.version for one in reversed(self.left))
        for version in (*self.challengers, *gone):
            if self.number_of(version) == number:
                return version
        raise LookupError(f"Version {number} is not part of this deployment.")

    def version_of(self, lane: LaneName) -> Version:
        """Return what a lane scores with; a version may be another at its next stay, logged anew.

        Raises
        ------
        LookupError
            As `version`.
        """
        gone = zip(self.left_lanes, self.left, strict=True)
        return next((one.version for name, one in gone if name == lane), self.version(lane.version))

    def until(self, lane: LaneName) -> Deployment:
        """Return the deployment as it was when a challenger left it: no later stay of that version is known."""
        if lane not in self.left_lanes:
            return self
        return replace(
            self,
            challengers=tuple(
                one for one in self.challengers if self.number_of(one) != lane.version
            ),
            left=self.left[: self.left_lanes.index(lane) + 1],
        )

    def stay_of(self, challenger: int) -> Stay:
        """Return a challenger's stay; of one that has left, the last.

        Raises
        ------
        LookupError
            If the deployment never had it.
        """
        for place, number in enumerate(self.numbers, start=1):
            if number == challenger:
                return self.stays.get(challenger) or Stay(place)
        for one in reversed(self.left):
            if self.number_of(one.version) == challenger:
                return one.stay
        raise LookupError(f"Version {challenger} is no challenger of this deployment.")

    def name_of(self, number: int) -> str:
        """Return a version as people call it: ``v4``, and with its model's name where that is another one's."""
        pin = self.version(number).pin
        return pin.label if pin.model == self.model else str(pin)

    def label_of(self, lane: LaneName) -> str:
        """Return a lane's version as runs are named by it: ``v4``, and its pin where the lane's number is not its own."""
        pin = self.version_of(lane).pin
        return pin.label if pin.version == lane.version else str(pin)

    def isolates(self, name: LaneName) -> bool:
        """Whether a lane's version runs in an environment of its own."""
        return name.role is Role.CHALLENGER and self.options.isolates(self.version_of(name))

    def place_of(self, challenger: int) -> int:
        """Return which challenger of this champion a version is, from 1, those of earlier deployments first.

        Raises
        ------
        LookupError
            If no challenger has the number.
        """
        return self.options.challengers_before + self.stay_of(challenger).place

    def same_as(self, other: Deployment) -> bool:
        """Tell whether two deployments serve the same files alike, so that one can resume the other."""
        return not self.differs_in(other)

    def differs_in(self, other: Deployment) -> list[str]:
        """Return why one cannot resume the other: what is served, or the options that its sums rest on.

        Sums that were begun under one policy, unit, share or choice of fields do not go on under another.
        """
        own, theirs = _identity(self), _identity(other)
        return [name for name in own if own[name] != theirs[name]]

    def frozen_in(self, options: Options) -> list[str]:
        """Return which options that its sums rest on are others in these, as far as a command names them."""
        own, theirs = self.options.to_dict(), options.to_dict()
        # What adapters are made of is looked up at a start, and no setting.
        named = [name for name in _FROZEN if name != "adapters"]
        return [name for name in named if _text(own.get(name)) != _text(theirs.get(name))]

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
                **({"lane_numbers": dict(self.lane_numbers)} if self.lane_numbers else {}),
                **self._changed(),
                **({"former": self.former} if self.former else {}),
            },
            indent=1,
        )

    def _changed(self) -> dict[str, object]:
        """Return what came with joining and leaving; nothing of it stands in the file before that."""
        if self.asked is None:
            return {}
        return {
            "stays": {str(number): asdict(stay) for number, stay in self.stays.items()},
            "left": [one.to_dict() for one in self.left],
            "asked": self.asked,
        }

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
                "stays": {int(n): Stay(**stay) for n, stay in raw.get("stays", {}).items()},
                "left": tuple(map(Left.from_dict, raw.get("left", ()))),
                "asked": tuple(raw["asked"]) if "asked" in raw else None,
                "former": tuple(raw.get("former", ())),
                "lane_numbers": raw.get("lane_numbers", {}),
            }
        )


_FROZEN = (
    "method", "output_kind", "tap", "entity", "entity_header", "ignore_outputs", "sample_rate", "verdict",
    "adapt_output", "adapters",
)  # fmt: skip
"""Options that what is summed depends on."""


def _identity(deployment: Deployment) -> dict[str, object]:
    # The digest as well: a version may have been logged anew under its number.
    served = (deployment.model, deployment.champion.number, deployment.champion.digest)
    options = deployment.options.to_dict()
    return {
        "champion": served,
        # What a challenger runs in, too: with other libraries it may answer otherwise.
        "challengers": tuple(
            (deployment.number_of(one), one.digest, deployment.options.isolates(one))
            for one in deployment.challengers
        ),
        "control": deployment.control,
        **{name: _text(options.get(name)) for name in _FROZEN},
    }


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


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
