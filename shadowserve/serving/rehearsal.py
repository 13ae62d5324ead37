"""Recorded requests, asked of a version before callers get its answers: what it fails on, it does not take over.

They go the way that callers' requests go, through typing, call and encoding, and leave no trace: nothing is journaled or
counted. What is told of a request is a type and a place in the code; no value.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from shadowserve.errors import ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.journal.segment_file import segments
from shadowserve.journal.segment_reading import reading, rows_of
from shadowserve.records import Request
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.wire.protocols import protocols

MOST = 100
"""Requests that are asked: the newest."""
PATIENCE_S = 10.0
"""No request is begun later than this after the first."""
REQUEST_S = float(os.environ.get("SHADOWSERVE_REQUEST_TIMEOUT", "60"))


def rehearse(scorer: Any, former: Places, deployment: Deployment) -> int:
    """Ask the version what callers asked its predecessor; return how many requests that were.

    Parameters
    ----------
    scorer : Scorer
        Loaded and warm.
    former : Places
        The deployment whose journal is read.
    deployment : Deployment
        What is about to be served.

    Raises
    ------
    ModelError
        If it fails on a request that was answered, or takes longer than callers are let wait.
    """
    table = protocols(deployment.model, deployment.champion.number)
    failed: Counter[str] = Counter()
    n, slowest_s, until = 0, 0.0, time.monotonic() + PATIENCE_S
    for request in recorded(former):
        began = time.monotonic()
        if began > until:
            break
        n += 1
        try:
            protocol = table[request.protocol]
            parsed = protocol.timed_parse(request.body or b"", request.content_type, scorer.schema)
            (part,) = scorer.split(scorer.score(parsed.rows).output, [parsed.rows.n_rows])
            told = {} if parsed.echo is None else {"echo": parsed.echo}
            protocol.encode(part, **told)
        except BaseException as error:  # a model's sys.exit() too
            fault = fault_of(error)
            failed[f"{fault.type} at {fault.frame}"] += 1
        slowest_s = max(slowest_s, time.monotonic() - began)
    pin = deployment.champion.pin
    if failed:
        ways = ", ".join(f"{way} ({k})" for way, k in failed.most_common(3))
        raise ModelError(
            f"{pin} fails on {failed.total()} of {n} recorded requests that were answered: {ways}. "
            "It does not take over; --probe none asks none."
        )
    if slowest_s > REQUEST_S:
        raise ModelError(
            f"{pin} takes {slowest_s:.1f} s for a recorded request, longer than --request-timeout ({REQUEST_S:g} s). "
            "It does not take over; --probe none asks none."
        )
    return n


def recorded(former: Places) -> Iterator[Request]:
    """Yield the newest requests that were answered and that the journal still holds."""
    n = 0
    for segment in sorted(segments(former.journal), key=lambda one: -one.number):
        with suppress(ShadowserveError), reading(segment) as connection:
            last = connection.execute("SELECT max(position) FROM request").fetchone()[0]
            if last is None:
                continue
            for request in rows_of(connection, after=last - MOST, limit=MOST):
                if request.status == 200 and request.body is not None:
                    n += 1
                    yield request
        if n >= MOST:
            return
