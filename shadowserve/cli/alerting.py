"""`alerts`: what was sent to the team's webhook, what waits, and whether the webhook takes anything."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from shadowserve.alerts import message
from shadowserve.alerts.delivery import deliver
from shadowserve.alerts.event import Event
from shadowserve.alerts.memory import Memory, read
from shadowserve.cli.looking import present
from shadowserve.cli.options import state_dir_option
from shadowserve.cli.terminal import as_json, line, print_json, screen
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import counted
from shadowserve.settings.alerting import WEBHOOK_VARIABLE, Alerting
from shadowserve.settings.loading import load

_NOBODY = {"deployment": "no deployment", "model": "a test", "champion": 0}


@click.command(short_help="List the alerts that were sent, or try the webhook.")
@click.option("--test", is_flag=True, help="Post one test message now, and say what came of it.")
@state_dir_option
@as_json
def alerts(test: bool, state_dir: str | None, as_json: bool) -> None:
    """List what was posted to the webhook of [alerts], what waits, and why.

    With --test one message is posted at once, by the settings as they are here. Exit code 4 if it is not taken.

    Example: shadowserve alerts --test
    """
    if test:
        _try(as_json=as_json)
        return
    places, deployment = present(state_dir)
    known = read(places, deployment.id)
    if as_json:
        print_json(_told(known))
    else:
        _print(known, screen())


def _try(*, as_json: bool) -> None:
    alerting = Alerting.of(load({}).alerts)
    if not alerting.webhook:
        raise SettingsError(
            f'No webhook is set here. Write [alerts] and webhook = "https://…" in shadowserve.toml, or set {WEBHOOK_VARIABLE}.'
        )
    number, now = secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds")
    event = Event("test", "This is a test of 'shadowserve alerts --test': all is as it was.", now)
    body = message.body(number, [event], _NOBODY, shape=alerting.shape)
    outcome = deliver(alerting.webhook, body, message_id=number)
    if as_json:
        print_json({"receiver": alerting.receiver, "taken": outcome.taken, "says": outcome.says})
    if not outcome.taken:
        raise UnreachableError(f"{alerting.receiver}: {outcome.says}. Nothing was taken.")
    if not as_json:
        line(screen(), f"{alerting.receiver}: {outcome.says}.")


def _told(known: Memory) -> dict[str, Any]:
    on_its_way = known.message
    return {
        "deployment": known.deployment,
        "sent": known.sent,
        "waiting": [event.to_dict() for event in (*(on_its_way.events if on_its_way else ()), *known.waiting)],
        "tries": on_its_way.tries if on_its_way else 0,
        "next_try": _time(on_its_way.next_s) if on_its_way and on_its_way.tries else None,
        "why": on_its_way.why if on_its_way else "",
    }  # fmt: skip


def _print(known: Memory, out: Console) -> None:
    told = _told(known)
    for one in told["sent"]:
        more = f" at try {one['tries']}" if one["tries"] > 1 else ""
        line(
            out, f"{one['at']}  {one['says'] if one['taken'] else 'given up: ' + one['says']}{more}"
        )
        _print_events(one["alerts"], out)
    if not told["sent"]:
        line(out, "Nothing has been sent.")
    if told["waiting"]:
        line(out, f"{counted(len(told['waiting']), 'event waits', 'events wait')}{_why(told)}")
        _print_events(told["waiting"], out)


def _why(told: Mapping[str, Any]) -> str:
    if not told["tries"]:
        return "."
    tries = counted(told["tries"], "try", "tries")
    return (
        f" after {tries}: {told['why'] or 'on its way'}. The next one comes at {told['next_try']}."
    )


def _print_events(events: list[Mapping[str, Any]], out: Console) -> None:
    for event in events:
        line(out, f"  {event['at']}  {event['about']}: {event['text']}")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
