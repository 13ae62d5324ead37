"""The table of protocols, which data plane, lanes, console, stand-in and OpenAPI document read.

To add one, write its module with a `PROTOCOL` and list it here. A lane types a journaled body by
the same record as the champion did, and compares answers in the form in which they left.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from shadowserve.wire import infer, invocations, predict
from shadowserve.wire.protocol import Protocol, Purpose, Route
from shadowserve.wire.refusals import OBJECT, RefusalForm

__all__ = ["Protocol", "form_at", "owner_of", "probes", "protocols"]

PROTOCOLS: tuple[Protocol, ...] = (invocations.PROTOCOL, predict.PROTOCOL, infer.PROTOCOL)

OWN_ROUTES = (
    Route("/livez", Purpose.LIVE),
    Route("/readyz", Purpose.READY),
    Route("/metrics", Purpose.METRICS, media="text/plain"),
    Route("/openapi.json", Purpose.DOCUMENT),
)
"""What is asked of the server itself, whichever protocol a client speaks."""


def protocols(model: str, version: int) -> Mapping[str, Protocol]:
    """Return the protocols by name, for the version whose answers they carry."""
    return {each.name: each.serving(model, version) for each in PROTOCOLS}


def probes() -> Mapping[str, Purpose]:
    """Return the paths that health probes ask, and whether for life or for readiness.

    Examples
    --------
    >>> probes()["/readyz"].name, "/metrics" in probes()
    ('READY', False)
    """
    routes = chain(OWN_ROUTES, *(each.routes for each in PROTOCOLS))
    return {route.path: route.purpose for route in routes if route.is_probe}


def owner_of(path: str) -> Protocol | None:
    """Return the protocol that a path belongs to, if any.

    Examples
    --------
    >>> owner_of("/v2/models/films/infer").name, owner_of("/v2x")
    ('infer', None)
    """
    return next((each for each in PROTOCOLS if each.owns(path)), None)


def form_at(path: str) -> RefusalForm:
    """Return the form in which a path's refusals are written, of whatever protocol it is.

    Examples
    --------
    >>> from shadowserve.errors import RequestError
    >>> form_at("/v2/models/films").write(RequestError("Use GET.", code="method_not_allowed"), "r1")
    b'{"error":"Use GET."}'
    """
    owner = owner_of(path)
    return OBJECT if owner is None else owner.refusals
