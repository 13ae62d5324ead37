"""Messages: events as they are posted, in the receiver's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shadowserve.alerts.event import Event
from shadowserve.legible import counted, legible

SCHEMA = "shadowserve/alert/1"
MOST_EVENTS = 20
"""Events that one message tells; of more it tells how many."""
LONGEST_TEXT = 3_000

Names = Mapping[str, Any]
"""Whose events they are: ``deployment``, ``model`` and ``champion``."""


def body(
    message_id: str, events: Sequence[Event], names: Names, *, shape: str, untold: int = 0
) -> bytes:
    """Return what is posted, as JSON in UTF-8.

    Parameters
    ----------
    message_id : str
        The same at every try: a receiver that has it already may drop it.
    events : sequence of Event
    names : mapping
    shape : str
        ``json`` or ``slack``.
    untold : int
        Events that there was no room for.
    """
    said = text(events, names, untold=untold)
    if shape == "slack":
        return json.dumps({"text": _slack(said)}).encode()
    told = {
        "schema": SCHEMA,
        "id": message_id,
        **names,
        "text": said,
        "alerts": [
            {"about": one.about, "text": one.text, "at": one.at, **one.facts}
            for one in events[:MOST_EVENTS]
        ],
        "untold": untold + max(0, len(events) - MOST_EVENTS),
    }
    return json.dumps(told).encode()


def text(events: Sequence[Event], names: Names, *, untold: int = 0) -> str:
    """Return all of it for people: whose it is, and a line an event."""
    head = f"shadowserve, {names['model']} ({names['deployment']}):"
    lines = [f"- {one.text}" for one in events[:MOST_EVENTS]]
    more = untold + max(0, len(events) - MOST_EVENTS)
    told = [head, *lines, *([f"- and {counted(more, 'event')} more"] if more else [])]
    shown = "\n".join(legible(line, most=LONGEST_TEXT // 4) for line in told)
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 2]} …"


def _slack(said: str) -> str:
    """Write text so that Slack shows it: three characters begin its links and mentions."""
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
