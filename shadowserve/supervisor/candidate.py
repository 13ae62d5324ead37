"""A candidate: a version that is to join a deployment, as it is handed to the process that fetches and checks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.errors import ShadowserveError
from shadowserve.state.deployment import Deployment
from shadowserve.versions.pins import Pin


class NotJoinedError(ShadowserveError):
    """The version may not join."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to join what.

    Parameters
    ----------
    pin : str
        As the user wrote it.
    deployment : Deployment
    models : Path
        Where files are brought.
    allowed : tuple of str
        Digests that may be loaded; any where empty.
    strict : bool
        Whether versions must have been trained with the libraries that are here.
    passed : tuple of str
        Secrets of the environment that models may see.
    champion : mapping or None
        What came of trying the champion (`check.Trial`), if it was tried before.
    isolated : bool
        Whether it is to run in an environment of its own.
    """

    pin: str
    deployment: Deployment
    models: Path
    allowed: tuple[str, ...] = ()
    strict: bool = False
    passed: tuple[str, ...] = ()
    champion: Mapping[str, Any] | None = None
    isolated: bool = False

    def to_json(self) -> str:
        """Encode for the process."""
        return json.dumps(
            {
                "pin": self.pin,
                "deployment": self.deployment.to_json(),
                "models": str(self.models),
                "allowed": self.allowed,
                "strict": self.strict,
                "passed": self.passed,
                "champion": self.champion,
                "isolated": self.isolated,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Candidate:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(
            pin=raw["pin"],
            deployment=Deployment.from_json(raw["deployment"]),
            models=Path(raw["models"]),
            allowed=tuple(raw["allowed"]),
            strict=raw["strict"],
            passed=tuple(raw["passed"]),
            champion=raw["champion"],
            isolated=raw["isolated"],
        )


def refuse_member(deployment: Deployment, pin: Pin) -> None:
    """Refuse what cannot be one more challenger of a deployment.

    Raises
    ------
    ShadowserveError
    """
    if pin == deployment.champion.pin:
        raise NotJoinedError(
            f"{pin} is the champion itself; its control lane compares it with itself. Name another version.",
            2,
        )
    if pin in (one.pin for one in deployment.challengers):
        raise NotJoinedError(
            f"{pin} is a challenger already. 'shadowserve challengers list' shows it.", 2
        )
