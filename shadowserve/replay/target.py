"""Whom recorded traffic may be sent to: this machine, or hosts that were named, and never anywhere else."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import quoted
from shadowserve.records import REPLAY_HEADER

CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """One server, by the address to which its name led when it was asked.

    Parameters
    ----------
    name : str
        Host and port as they were written; what the Host header says.
    address : (str, int)
        Where connections go: no later answer of a name server leads elsewhere.
    prefix : str
        What stands before each path.
    token : bytes, optional
        Sent as a bearer token.
    """

    name: str
    address: tuple[str, int]
    prefix: str = ""
    token: bytes | None = field(default=None, repr=False)

    @property
    def family(self) -> socket.AddressFamily:
        """Of its address."""
        return socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET

    def headers(self) -> dict[str, str]:
        """Return what every request to it bears."""
        told = {"Host": self.name}
        if self.token is not None:
            told["Authorization"] = f"Bearer {self.token.decode('latin-1')}"
        return told

    def head(self, path: str, content_type: str, length: int, *, mark: str) -> bytes:
        """Return the head of a request that posts so many bytes and bears a replay's mark."""
        own = {"Content-Type": content_type} if content_type else {}
        lines = [
            f"POST {self.prefix}{path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in (self.headers() | own).items()),
            f"{REPLAY_HEADER.decode()}: {mark}",
            f"Content-Length: {length}",
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def paths(model: str) -> dict[str, str]:
    """Return the path of each protocol by which a request may have come.

    Examples
    --------
    >>> paths("films")["infer"]
    '/v2/models/films/infer'
    """
    infer = f"/v2/models/{quote(model, safe='')}/infer"
    return {"invocations": "/invocations", "predict": "/predict", "infer": infer}


def target(url: str, *, allow_hosts: Sequence[str] = (), token: bytes | None = None) -> Target:
    """Return the server that an address names.

    Parameters
    ----------
    url : str
        ``http://host:port``, and a path that stands before all others, if any.
    allow_hosts : sequence of str
        Hosts beside this machine, as they are written in the address.

    Raises
    ------
    SettingsError
        If it is no such address, or leads to another machine that was not named.
    UnreachableError
        If nobody listens there.
    """
    host, port, prefix = _parts(url)
    found = _resolved(host, port, url)
    named = host.lower().rstrip(".") in {one.lower().strip("[]").rstrip(".") for one in allow_hosts}
    elsewhere = sorted({one for one, _ in found if not ip_address(one).is_loopback})
    if elsewhere and not named:
        raise SettingsError(
            f"--to {url} leads to {', '.join(elsewhere)}, which is not this machine. Recorded requests go to this machine "
            f"alone; --allow-host {host} names another one."
        )
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Target(name, _listening(found, url), prefix, token)


def _parts(url: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else 80
    except ValueError:
        raise SettingsError(f"--to {quoted(url)}: write http://HOST:PORT.") from None
    if parts.username is not None or parts.password is not None:
        raise SettingsError("--to: leave the name and the password out; --token-file FILE sends a token.")  # fmt: skip
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment or not plain:
        raise SettingsError(
            f"--to {quoted(url)}: write http://HOST:PORT. Only plain HTTP is sent, as between a proxy and its servers."
        )
    return parts.hostname, port, parts.path.rstrip("/")


def _resolved(host: str, port: int, url: str) -> list[tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(
            f"--to {url}: nobody knows the name {quoted(host)}. Mend the address."
        ) from error
    return [(str(address[0]), int(address[1])) for *_, address in found]


def _listening(addresses: Sequence[tuple[str, int]], url: str) -> tuple[str, int]:
    """Return the first address at which somebody listens."""
    faults: list[str] = []
    for address in addresses:
        try:
            socket.create_connection(address, timeout=CONNECT_S).close()
        except OSError as error:
            faults.append(error.strerror or type(error).__name__)
        else:
            return address
    raise UnreachableError(
        f"Nobody listens at {url} ({', '.join(faults)}). Start 'shadowserve serve', or mend the address."
    )
