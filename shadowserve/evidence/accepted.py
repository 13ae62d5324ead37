"""What a run says of findings that the team has accepted: a tag for those that stand, a table of every word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from shadowserve.errors import UnreadableError
from shadowserve.evidence.identity import MOST_CHARACTERS
from shadowserve.evidence.sink import Sink
from shadowserve.host.instant import Instant
from shadowserve.report.wording import place
from shadowserve.state import acceptances
from shadowserve.state.acceptances import Acceptance
from shadowserve.state.places import Places

ACCEPTED = "shadowserve.accepted"
"""The tag: which findings are accepted, by whom, when and why."""
TABLE = "accepted.json"
_COLUMNS = (
    "said", "kind", "step", "columns", "reason", "by", "at", "until", "value", "role", "finding",
)  # fmt: skip


def publish_accepted(
    store: Sink, run_id: str, said: Sequence[Acceptance], *, challenger: int
) -> None:
    """Tell a challenger's run who accepted what, when and why; nothing where nothing ever was.

    Parameters
    ----------
    said : sequence of Acceptance
        Of the whole deployment, the oldest first.
    challenger : int
        Version number.
    """
    if not (own := [one for one in said if one.challenger == challenger]):
        return
    table = {"columns": list(_COLUMNS), "data": [_row(one) for one in own]}
    store.put_text(run_id, orjson.dumps(table).decode(), TABLE)
    standing = acceptances.standing(tuple(own), challenger)
    store.tag(run_id, {ACCEPTED: tag(standing.values())})


def tag(said: Iterable[Acceptance]) -> str:
    """Return what is accepted as a tag tells it, one finding a line; the table beside the run has all."""
    lines = [
        f"{one.finding} {one.kind}{place(one.where)}: {one.reason} ({one.by}, {one.at_utc}"
        + (f", until {one.until_utc})" if one.until_utc else ")")
        for one in said
    ]
    text = "\n".join(lines) or "none"
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 2]} …"


def news(places: Places, deployment_id: str) -> object:
    """Return what changes as somebody accepts or withdraws, and as time runs out; None if it cannot be read."""
    try:
        said, now = acceptances.read(places, deployment_id), Instant.now()
    except UnreadableError:
        return None
    return [(one.challenger, one.finding, one.at, one.is_over(now)) for one in said]


def _row(one: Acceptance) -> list[Any]:
    where: Mapping[str, Any] = one.where
    told = {
        "said": "withdrawn" if one.withdrawn else "accepted",
        "kind": one.kind,
        "step": where["step"],
        "columns": ", ".join(where["columns"]),
        "reason": one.reason,
        "by": one.by,
        "at": one.at_utc,
        "until": one.until_utc,
        "value": one.value,
        "role": where["role"],
        "finding": one.finding,
    }
    return [told[name] for name in _COLUMNS]
