"""Admission to a port: by the server's own name, from no other site, with the token.

Only health probes need none of it.
"""

from __future__ import annotations

from shadowserve.errors import RequestError
from shadowserve.http import tokens
from shadowserve.http.asgi import Scope
from shadowserve.settings.gate import Gate
from shadowserve.wire.protocols import probes


class Admission:
    """Says why a caller is not let in.

    Parameters
    ----------
    gate : Gate, optional
        Turns away pages of other sites and callers that ask for another host.
    token : bytes, optional
        What every caller but a health probe must bear; None lets everybody in.
    """

    def __init__(self, gate: Gate | None = None, token: bytes | None = None) -> None:
        self._gate = gate or Gate()
        self._token = token
        self._probes = frozenset(probes())

    def why_not(self, scope: Scope) -> RequestError | None:
        """Return the refusal of an HTTP request that is not let in; None if it is.

        Pages come first: a browser sends the password that it remembers for any of them.
        """
        is_probe = scope["path"] in self._probes
        turned = self._gate.why_not(scope, is_probe=is_probe)
        if turned is not None:
            return turned
        if self._token is None or is_probe:
            return None
        if tokens.admits(self._token, dict(scope["headers"]).get(b"authorization")):
            return None
        return RequestError(
            "Send the header Authorization: Bearer <token>.", code="unauthorized", status=401
        )
