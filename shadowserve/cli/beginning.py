"""What a start was made of, in seconds, as `serve --verbose` tells it: a line for each process."""

from __future__ import annotations

from collections.abc import Mapping

from shadowserve.host import stages
from shadowserve.state import beginnings
from shadowserve.state.beginnings import Beginning
from shadowserve.supervisor.run import Supervisor

UNKNOWN = "has not told"


def lines(supervisor: Supervisor) -> list[str]:
    """Return the table for a deployment that runs."""
    known: dict[str, Beginning | None] = {"supervisor": Beginning.of(stages.told())}
    folder = supervisor.places.scratch
    for number, child in enumerate(supervisor.workers.children):
        known[child.name] = beginnings.read(folder, f"champion-{number}")
    for watch in supervisor.lanes:
        known[watch.child.name] = beginnings.read(folder, str(watch.name))
    known["console"] = beginnings.read(folder, "console")
    known["evidence writer"] = beginnings.read(folder, "evidence")
    return table(known)


def table(known: Mapping[str, Beginning | None]) -> list[str]:
    """Return a heading, and a line a process: when it began and was done, and what lay between.

    Parameters
    ----------
    known : mapping of name to Beginning or None
        The first one's begin is the zero of all.

    Examples
    --------
    >>> first = Beginning(0, (("imports", 10**9), ("pins", 3 * 10**9)))
    >>> second = Beginning(10**9, (("imports", 2 * 10**9),))
    >>> for line in table({"supervisor": first, "lane": second, "console": None}):
    ...     print(line)
    Start-up       seconds from the command: begin, end, and what each process did between
    supervisor     0.00   3.00  imports 1.00, pins 2.00
    lane           1.00   2.00  imports 1.00
    console        has not told
    """
    zero = next(iter(known.values()))
    zero_ns = None if zero is None else zero.began_ns
    if zero_ns is None:  # the first thing known stands for it
        zero_ns = min((one.stages[0][1] for one in known.values() if one and one.stages), default=0)
    width = max(14, *map(len, known))
    heading = "seconds from the command: begin, end, and what each process did between"
    return [
        f"{'Start-up':<{width}} {heading}",
        *(f"{name:<{width}} {_told(one, zero_ns)}" for name, one in known.items()),
    ]


def _told(one: Beginning | None, zero_ns: int) -> str:
    if one is None or not one.stages:
        return UNKNOWN
    moments = one.began_ns, one.stages[-1][1]
    begin, end = ("   ?" if ns is None else f"{(ns - zero_ns) / 1e9:.2f}" for ns in moments)
    parts = (
        f"{stage} {'?' if seconds is None else f'{seconds:.2f}'}" for stage, seconds in one.parts()
    )
    return f"{begin:<6} {end:<5} {', '.join(parts)}"
