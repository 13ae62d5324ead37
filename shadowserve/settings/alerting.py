"""What alerts are sent, where to and how often, as ``[alerts]`` in the settings file says.

The address holds a secret more often than not: it is told to the process that sends, and to nobody else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any, Self
from urllib.parse import urlsplit

from shadowserve.settings.spellings import duration

VARIABLE = "SHADOWSERVE_ALERTING"
"""Where the process that sends finds all of it."""
WEBHOOK_VARIABLE = "SHADOWSERVE_ALERTS_WEBHOOK"
"""Where the address may stand instead of in the file."""
SHAPES = ("json", "slack")
ABOUT = ("alarm", "verdict", "lane", "evidence", "handover")
MOST_PER_HOUR = 360


@dataclass(frozen=True, slots=True)
class Alerting:
    """What is sent, where to and how often.

    Parameters
    ----------
    webhook : str
        An http or https address; empty: nothing is sent.
    shape : str
        One of `SHAPES`: of what is posted.
    on : tuple of str
        Of `ABOUT`: what is worth an alert.
    per_hour : int
        The most that is sent in any hour, further tries of the same included.
    evidence_after : float
        Seconds for which evidence may wait before it is worth one.
    """

    webhook: str = ""
    shape: str = "json"
    on: tuple[str, ...] = ABOUT
    per_hour: int = 10
    evidence_after: float = 300.0

    @classmethod
    def of(cls, table: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Self:
        """Read a table in which `faults_of` finds none; the variable stands in for an address."""
        given: dict[str, Any] = dict(table)
        given["webhook"] = given.get("webhook") or environ.get(WEBHOOK_VARIABLE, "")
        if "evidence_after" in given:
            given["evidence_after"] = duration(given["evidence_after"])
        if "on" in given:
            given["on"] = tuple(given["on"])
        return cls(**given)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read what `environment` wrote."""
        return cls.of(json.loads(environ[VARIABLE]), {})

    def environment(self) -> dict[str, str]:
        """Return what the process that sends is told."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def receiver(self) -> str:
        """Where it goes, without what may be secret: scheme, host and port.

        Examples
        --------
        >>> Alerting("https://hooks.example/services/T0/s3cret?key=s3cret").receiver
        'https://hooks.example'
        """
        parts = urlsplit(self.webhook)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def faults_of(table: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield a line for each key of ``[alerts]`` that is not known or cannot be; the address is never quoted."""
    names = [one.name for one in fields(Alerting)]
    for name, value in table.items():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"Do you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
            yield f"[alerts] {name}: not known. {hint}"
        elif fault := _FAULTS[name](value):
            yield f"[alerts] {name}: {fault}"
    spare = environ.get(WEBHOOK_VARIABLE, "")
    if not table.get("webhook") and spare and (fault := _address(spare)):
        yield f"{WEBHOOK_VARIABLE}: {fault}"
    if table and not table.get("webhook") and not spare:
        yield f'[alerts] webhook: not given. Write webhook = "https://…", or set {WEBHOOK_VARIABLE}.'


def _address(value: object) -> str:
    expected = "an address such as https://hooks.example/path is expected."
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        return expected
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return expected
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return expected
    if "@" in parts.netloc:
        return "user and password are not sent. Put what the receiver asks for into the path or the query."
    return ""


def _shape(value: object) -> str:
    return "" if value in SHAPES else f"one of {', '.join(SHAPES)} is expected."


def _on(value: object) -> str:
    listed = isinstance(value, list | tuple) and value and all(one in ABOUT for one in value)
    return "" if listed else f"a list of {', '.join(ABOUT)} is expected."


def _per_hour(value: object) -> str:
    # To Python, true is a number.
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_PER_HOUR:
        return ""
    return f"a whole number from 1 to {MOST_PER_HOUR} is expected."


def _evidence_after(value: object) -> str:
    try:
        duration(value)
    except ValueError as error:
        return str(error)
    return ""


_FAULTS = {
    "webhook": _address,
    "shape": _shape,
    "on": _on,
    "per_hour": _per_hour,
    "evidence_after": _evidence_after,
}
