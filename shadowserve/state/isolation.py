"""The environment that an isolated version runs in: what it is, and what its lane told of it for status and report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, whole.

    Parameters
    ----------
    path : str
        Its folder.
    python : str
        Full version of its interpreter.
    libraries : mapping of str to str
        What is installed in it, by distribution.
    size_bytes : int
        Of its files.
    seconds : float
        What making it took.
    made_by : str
        ``uv`` or ``pip``.
    left_out : tuple of str
        What was recorded and not installed, with the reason.
    """

    path: str
    python: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    seconds: float = 0.0
    made_by: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def interpreter(self) -> Path:
        """What runs in it."""
        return Path(self.path, "bin", "python")

    @property
    def told(self) -> str:
        """Its size and what it took, for people."""
        n = len(self.libraries)
        return f"Python {self.python}, {n} packages, {self.size_bytes / 1e6:,.0f} MB, made by {self.made_by} in {self.seconds:.1f} s"

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return {**asdict(self), "left_out": list(self.left_out)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(**{**values, "left_out": tuple(values.get("left_out", ()))})


@dataclass(frozen=True, slots=True)
class Isolated:
    """What one version of a deployment runs in."""

    version: int
    environment: Environment

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"version": self.version, **self.environment.to_dict()}

    def __str__(self) -> str:
        """Say it for people."""
        made = self.environment
        return f"challenger v{self.version} runs isolated: {made.told}, in {made.path}"


def tell(path: Path, made: Environment) -> None:
    """Leave what a lane's version runs in where status finds it."""
    write_whole(path, json.dumps(made.to_dict()))


def told(places: Places, name: LaneName) -> Isolated | None:
    """Return what a lane's version runs in; None where it is not isolated, or has not been loaded yet."""
    try:
        made = json.loads(
            places.lane(name.role, name.version, name.stay).environment.read_text("utf-8")
        )
        return Isolated(name.version, Environment.from_dict(made))
    except (OSError, ValueError, TypeError):
        return None


def all_told(places: Places, deployment: Deployment) -> Iterator[Isolated]:
    """Yield what the isolated versions of a deployment run in."""
    for name in deployment.lanes:
        found = told(places, name) if deployment.isolates(name) else None
        if found is not None:
            yield found
