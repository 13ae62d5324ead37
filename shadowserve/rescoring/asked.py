"""What a rescoring was asked for, as its directory keeps it: the same words go on with what was cut off."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from shadowserve.errors import StateError
from shadowserve.state.archive import traffic as recorded
from shadowserve.state.archive.table_names import Names
from shadowserve.state.archive.traffic import Traffic
from shadowserve.state.deployment import Deployment
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """One rescoring.

    Parameters
    ----------
    source : str
        ``journal``, ``archive``, or a file's whole path.
    state_dir : str
        The state directory that the words mean.
    names : Names
        Of a table's columns that are no features.
    deployment : str or None
        Whose requests, where they are a state directory's.
    identity : tuple of str
        What the source held when it was first asked for.
    upto : mapping of worker to sequence
        How far a state directory's requests are read: others come meanwhile.
    skip_bad : bool
        Whether a table's bad rows are left out.
    rescore_champion : bool
        Whether the champion answers anew.
    """

    source: str
    state_dir: str
    names: Names = field(default_factory=Names)
    deployment: str | None = None
    identity: tuple[str, ...] = ()
    upto: Mapping[int, int] = field(default_factory=dict)
    skip_bad: bool = False
    rescore_champion: bool = False

    @property
    def is_table(self) -> bool:
        """Whether it is a file's rows."""
        return self.source not in recorded.WORDS

    def open(self, signature: Mapping[str, Any] | None) -> Traffic:
        """Open the source, as far as it is asked for."""
        return recorded.traffic(
            self.source,
            Places(Path(self.state_dir)),
            signature=signature,
            names=self.names,
            deployment=self.deployment,
            skip_bad=self.skip_bad,
            upto=self.upto or None,
        )

    def of(self, traffic: Traffic) -> Self:
        """Return the same with what the source holds now."""
        name = None if traffic.deployment is None else traffic.deployment.id
        return replace(self, deployment=name, identity=traffic.identity, upto=dict(traffic.upto))

    def to_json(self) -> str:
        """Encode for its file."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, places: Places) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        StateError
            If it is damaged.
        """
        try:
            raw = json.loads(places.asked.read_text())
            return cls(
                **{
                    **raw,
                    "names": Names(**raw["names"]),
                    "identity": tuple(raw["identity"]),
                    "upto": {int(worker): last for worker, last in raw["upto"].items()},
                }
            )
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise StateError(
                f"{places.asked} is damaged. Delete {places.root}, and begin anew."
            ) from error

    def write(self, places: Places) -> None:
        """Keep it."""
        write_whole(places.asked, self.to_json())


def directory(base: Places, asked: Asked, wanted: Deployment) -> Path:
    """Return where a rescoring works: on from one of the same words that was cut off, else in a directory of its own.

    One that has ended is returned again where its source holds what it held then.

    Parameters
    ----------
    base : Places
        The state directory below which rescorings lie.
    asked : Asked
        With what the source holds now.
    wanted : Deployment
        As it would be scored.
    """
    found = 0
    for number, path in _earlier(base, asked, wanted):
        found, places = number, Places(path)
        same = Asked.read(places).identity == asked.identity if places.asked.exists() else True
        if same or (not asked.is_table and not places.rescored_whole.exists()):
            return path
    return base.rescored / f"{_stem(asked, wanted)}-{found + 1}"


def _earlier(base: Places, asked: Asked, wanted: Deployment) -> Iterator[tuple[int, Path]]:
    stem = f"{_stem(asked, wanted)}-"
    known = [one for one in base.rescored.glob(f"{stem}*") if one.name.removeprefix(stem).isdigit()]
    for path in sorted(known, key=lambda one: int(one.name.removeprefix(stem))):
        yield int(path.name.removeprefix(stem)), path


def _stem(asked: Asked, wanted: Deployment) -> str:
    """Name a rescoring by its versions, and by a digest of all that it rests on but what the source holds."""
    told = asdict(replace(asked, deployment=None, identity=(), upto={}))
    versions = [[str(one.pin), one.digest] for one in (wanted.champion, *wanted.challengers)]
    rest = {"options": wanted.options.to_dict(), "control": wanted.control, "versions": versions}
    text = json.dumps({**told, **rest}, sort_keys=True)
    names = "-".join(f"v{one.number}" for one in (wanted.champion, *wanted.challengers))
    return f"{names}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
