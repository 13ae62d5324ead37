"""Who takes part, as `challengers list` shows it: since when, what each has compared, and its share of alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from shadowserve.cli.looking import present
from shadowserve.cli.terminal import grid, line, row
from shadowserve.errors import UnreachableError
from shadowserve.records import Outcome
from shadowserve.settings.policy import Policy
from shadowserve.state import ledger
from shadowserve.state.ledger_entries import LaneLedger
from shadowserve.state.presence import running
from shadowserve.supervisor import visiting


def told(state_dir: str | None) -> dict[str, Any]:
    """Return who takes part, who has left, and who is on the way."""
    places, deployment = present(state_dir)
    known = ledger.read(places, deployment)
    served = running(places) is not None
    now: Mapping[str, Any] = {}
    if served:
        try:
            now = visiting.ask(places, {"ask": "list"}, tell=lambda _: None)
        except (UnreachableError, visiting.RefusedError):
            now = {}  # what is on disk is told all the same
    policy = Policy.of(deployment.options.verdict)
    lanes = [one for one in known.lanes if one.name.role == "challenger"]
    states = {
        (lane["role"], lane["version"]): lane["state"]
        for lane in known.to_status(served=served)["lanes"]
    }
    left = dict(zip(deployment.left_lanes, deployment.left, strict=True))
    return {
        "deployment": deployment.id,
        "champion": deployment.champion.number,
        "served": served,
        "challengers": [
            {
                **_of(one),
                "state": states[one.name.role.value, one.name.version],
                "joined": deployment.stay_of(one.name.version).joined,
                "challenger": deployment.place_of(one.name.version),
                "alpha": policy.of_challenger(deployment.place_of(one.name.version)).alpha,
            }
            for one in lanes
        ],
        "left": [
            {**_of(one), "joined": left[one.name].stay.joined, "at": left[one.name].at}
            for one in known.left
        ],
        "joining": now.get("joining"),
        "last_refused": now.get("last_refused"),
    }


def _of(one: LaneLedger) -> dict[str, Any]:
    return {
        "lane": str(one.name),
        "version": one.name.version,
        "stay": one.name.stay,
        "state": one.state,
        "reason": one.reason,
        "before": one.before,
        "compared": one.outcomes.get(Outcome.BOTH_OK, 0),
        "pending": one.pending,
    }


def show(told: Mapping[str, Any], out: Console) -> None:
    """Print it for people."""
    table = grid("challenger", "state", "since", "compared", "pending", "alpha")
    for one in told["challengers"]:
        since = f"request {one['before'] + 1:,}, {one['joined']}" if one["joined"] else "the start"
        alpha = f"{one['alpha']:.3g} (challenger {one['challenger']})"
        row(table, one["lane"], one["state"], since, one["compared"], one["pending"], alpha)
    for one in told["left"]:
        row(table, one["lane"], "left", f"left {one['at']}", one["compared"], "", "")
    out.print(table)
    for one in told["challengers"]:
        if one["reason"]:
            line(out, f"{one['lane']} {one['state']}: {one['reason']}")
    if told["joining"]:
        line(out, f"On its way: {told['joining']['pin']}: {told['joining']['told']}")
    if told["last_refused"]:
        line(out, f"Refused last: {told['last_refused']}")
