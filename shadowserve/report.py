"""The report of one challenger: what its lane and the control have learnt, judged."""

from __future__ import annotations

from typing import Any

from shadowserve import ledger, pins
from shadowserve.deployment import Deployment
from shadowserve.errors import SettingsError
from shadowserve.places import Places

SCHEMA = "shadowserve/report/1"


def number_of(deployment: Deployment, given: str | None) -> int:
    """Return the challenger's version number that was asked for, by default the first's.

    Raises
    ------
    SettingsError
        If there is no such challenger.
    """
    numbers = [version.number for version in deployment.challengers]
    if given is None and numbers:
        return numbers[0]
    wanted = pins.parse(given).version if given is not None else None
    if wanted not in numbers:
        known = ", ".join(f"v{number}" for number in numbers) or "none"
        raise SettingsError(f"No such challenger in this deployment. Its challengers: {known}.")
    return wanted


def build(places: Places, deployment: Deployment, *, challenger: int) -> dict[str, Any]:
    """Return the contract's report."""
    return {"schema": SCHEMA, "challenger": challenger, "ledger": ledger.read(places, deployment).to_dict()}
