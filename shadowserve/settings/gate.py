"""The gate of a port: callers that ask for this server by its own name, and no pages of other sites.

A browser sends requests for any page that it shows, also to this machine, and adds a password that
it remembers. A page cannot write the headers that tell on it. `Origin` and `Sec-Fetch-Site` name
where it is from, `Host` the server that it believes to speak to. Programs send neither of the first
two, and go on.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Self

from shadowserve.errors import RequestError

VARIABLE = "SHADOWSERVE_GATE"
PREFIX = "SHADOWSERVE_PREFIX"
"""Where a process finds what stands before each of its paths."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443}
_TELLING = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})
_READING = ("GET", "HEAD")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.ASCII)
_LONGEST = 255


_TWO_HOSTS = RequestError("More than one Host header came. Send one.", code="bad_host", status=400)
_OTHER_NAME = RequestError(
    "The Host header is no name of this server. Ask for its address or for localhost; "
    "'--allow-host NAME' of 'shadowserve serve' adds a name, and with --token-file any name will do.",
    code="unknown_host",
    status=421,
)
_OTHER_SITE = RequestError(
    "A page of another site may not ask here. '--allow-origin ORIGIN' of 'shadowserve serve' lets "
    "pages of a site ask the model; nothing lets them steer or read the console.",
    code="other_site",
    status=403,
)


def canonical(host: str) -> tuple[str, int | None] | None:
    """Return a host as it can be compared, and its port; None for what names none.

    Examples
    --------
    >>> canonical("LOCALHOST.:3001"), canonical("[::1]"), canonical("[::ffff:127.0.0.1]:80")
    (('localhost', 3001), ('::1', None), ('127.0.0.1', 80))
    >>> canonical("::1"), canonical("a b"), canonical("a:x"), canonical("")
    (None, None, None, None)
    """
    text = host.strip().lower()
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        if not closed or ":" not in name or not (rest == "" or rest.startswith(":")):
            return None
        port = rest[1:]
    else:
        name, _, port = text.partition(":")
        name = name.removesuffix(".")
    if port and not (port.isascii() and port.isdigit() and int(port) < 2**16):
        return None
    address = _address(name)
    if address is None and not (_NAME.fullmatch(name) and ".." not in name):
        return None
    return address or name, int(port) if port else None


def _address(name: str) -> str | None:
    """Return an address in its one spelling; None for a text that is no address."""
    try:
        found = ip_address(name.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def origin_of(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin; None for ``null`` and whatever else is none.

    Examples
    --------
    >>> origin_of("https://Shop.example"), origin_of("null"), origin_of("http://a/b")
    (('https', 'shop.example', 443), None, None)
    """
    scheme, found, rest = text.strip().partition("://")
    scheme = scheme.lower()
    host = canonical(rest) if found and scheme in _PORTS else None
    return None if host is None else (scheme, host[0], host[1] or _PORTS[scheme])


@dataclass(frozen=True, slots=True)
class Gate:
    """What one port asks of a caller's headers.

    Parameters
    ----------
    hosts : frozenset of str or None
        Canonical names and addresses that callers may ask for; ``*.example.com`` stands for all below
        it. None asks for nothing: a token does what names would.
    any_address : bool
        Whether an address will do, whichever it is: the port is bound to all of this machine's. A page
        can be led here under a name, not under an address.
    origins : frozenset of str
        As written, whose pages may ask; ``*`` for all.
    """

    hosts: frozenset[str] | None = None
    any_address: bool = False
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, bound: str, *, names: Iterable[str] = (), origins: Iterable[str] = (), guarded: bool
    ) -> Self:
        """Return the gate of a port.

        Parameters
        ----------
        bound : str
            The address or name that it is bound to.
        names : iterable of str
            Further ones; ``*`` lets every name pass.
        origins : iterable of str
        guarded : bool
            Whether callers must bear a token.
        """
        allowed = frozenset(names)
        if guarded or "*" in allowed:
            return cls(None, origins=frozenset(origins))
        own = canonical(f"[{bound}]" if ":" in bound else bound)
        name = own[0] if own else bound
        wild = name in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        known = {*_LOOPBACK, *allowed, name}
        if wild:
            machine = socket.gethostname().lower()
            # Callers on the same network ask by the machine's name.
            known |= {machine, machine.partition(".")[0]}
        return cls(frozenset(known), any_address=wild, origins=frozenset(origins))

    def why_not(self, scope: Mapping[str, Any], *, is_probe: bool = False) -> RequestError | None:
        """Return the refusal of a request that is not let in; None if it is.

        Parameters
        ----------
        scope : mapping
            ASGI's.
        is_probe : bool
            Whether a path of health is asked for. Probes are let in: they name what they please, and
            hear nothing but yes or no.
        """
        told: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _TELLING:
                # A proxy may have checked the first and a server believe the second.
                if name == b"host" and name in told:
                    return _TWO_HOSTS
                told[name] = value
        is_reading = scope["method"] in _READING
        if is_reading and is_probe:
            return None
        # A page can have its own name lead to this address; the Host header still bears that name.
        host = told.get(b"host")
        if self.hosts is not None and host is not None and not self._knows(host):
            return _OTHER_NAME
        # Nothing but a host came: a program asks, and no page.
        if len(told) == (host is not None) or self._lets_in_page(told, is_reading=is_reading):
            return None
        return _OTHER_SITE

    def _lets_in_page(self, told: Mapping[bytes, bytes], *, is_reading: bool) -> bool:
        """Tell whether the browser's headers name a page that may ask."""
        origin, site = told.get(b"origin"), told.get(b"sec-fetch-site")
        if origin is not None and self.allows(origin):
            return True
        is_link = told.get(b"sec-fetch-mode") == b"navigate"
        # Whoever follows a link sees the answer; the page with the link does not.
        if is_link and is_reading and told.get(b"sec-fetch-dest", b"document") == b"document":
            return True
        # A proxy may have another name than its pages know; a browser does not err.
        if site is not None:
            return site in (b"same-origin", b"none")
        return origin is None or _is_same(origin, told.get(b"host", b""))

    def allows(self, origin: bytes) -> bool:
        """Tell whether pages of an origin may ask, by what the team has said."""
        return bool(self.origins) and (
            "*" in self.origins or _canonical_origin(origin) in self.origins
        )

    def _knows(self, host: bytes) -> bool:
        name = _name_of(host)
        if name is None or self.hosts is None:
            return False
        if name in self.hosts or (self.any_address and _address(name) is not None):
            return True
        # With its dot: *.example.com must let no badexample.com pass.
        return any(one.startswith("*.") and name.endswith(one[1:]) for one in self.hosts)

    def to_json(self) -> str:
        """Encode for the process that answers on the port."""
        hosts = None if self.hosts is None else sorted(self.hosts)
        return json.dumps([hosts, self.any_address, sorted(self.origins)])

    @classmethod
    def from_environment(cls) -> Self:
        """Return the gate in this process's environment; without one, a gate that lets everybody in."""
        told = os.environ.get(VARIABLE)
        if told is None:
            return cls()
        hosts, any_address, origins = json.loads(told)
        return cls(None if hosts is None else frozenset(hosts), any_address, frozenset(origins))


def is_page(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a browser sent a request: old ones do not say for which page."""
    told = any(name in headers for name in (b"origin", b"sec-fetch-site", b"sec-fetch-mode"))
    return told or headers.get(b"user-agent", b"")[:8].lower() == b"mozilla/"


@lru_cache(maxsize=256)
def _name_of(host: bytes) -> str | None:
    found = canonical(host.decode("latin-1"))
    return None if found is None else found[0]


@lru_cache(maxsize=256)
def _canonical_origin(origin: bytes) -> str | None:
    return written(origin.decode("latin-1"))


def written(text: str) -> str | None:
    """Return an origin in the one spelling that is compared; None for what is none.

    Examples
    --------
    >>> written("HTTPS://Shop.example:443"), written("http://[::1]:8000"), written("shop.example")
    ('https://shop.example', 'http://[::1]:8000', None)
    """
    found = origin_of(text)
    if found is None:
        return None
    scheme, host, port = found
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if port == _PORTS[scheme] else f":{port}")


def _is_same(origin: bytes, host: bytes) -> bool:
    """Tell whether a page's origin is the server that it asks, by names and ports."""
    page, asked = origin_of(origin.decode("latin-1")), canonical(host.decode("latin-1"))
    if page is None or asked is None:
        return False
    return page[1:] == (asked[0], asked[1] or _PORTS[page[0]])
