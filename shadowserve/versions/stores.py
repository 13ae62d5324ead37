"""The registry's addresses: safe to print, and checked before anything slow starts.

MLflow's own defaults would make an empty store where none exists, retry for an hour where no one
answers, and print passwords. `preflight` says in at most `REACH_S` seconds what is wrong. MLflow
is not imported here, since that alone takes seconds.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from shadowserve.errors import SettingsError, UnreachableError

REACH_S = 2.5
"""How long an address may take to answer at all, seconds."""

_DEFAULT_FILE = "mlflow.db"
_SQLITE = "sqlite:///"
_SQLITE_HEADER = b"SQLite format 3\x00"
_SERVER_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_MANAGED = {"databricks", "databricks-uc", "uc"}
# Up to the last @, since a password may hold one itself.
_USERINFO = re.compile(r"(://)[^\s'\"]*@")
_QUERY = re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]*")


@dataclass(frozen=True, slots=True)
class Uris:
    """Addresses of the tracking server (runs, files) and of the model registry.

    `str()` is safe to print; the fields hold credentials where the user gave them.
    """

    tracking: str
    registry: str

    def __str__(self) -> str:
        if self.tracking == self.registry:
            return redact(self.tracking)
        return f"{redact(self.tracking)} (registry {redact(self.registry)})"

    def __repr__(self) -> str:
        return f"Uris({redact(self.tracking)!r}, {redact(self.registry)!r})"


def uris(
    tracking: str | None = None,
    registry: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Uris:
    """Decide the addresses once: the explicit one, else MLflow's variable, else its default.

    Parameters
    ----------
    tracking, registry : str, optional
        As given on the command line or in the settings. An explicit tracking address also decides
        the registry's, so that a variable left over in the environment changes nothing.
    environ : mapping
        Where ``MLFLOW_TRACKING_URI`` and ``MLFLOW_REGISTRY_URI`` are looked up.

    Returns
    -------
    Uris
        Relative SQLite paths are made absolute: other processes have other working directories.
    """
    default = f"{_SQLITE}{_DEFAULT_FILE}"
    # Decided here, once: MLflow would decide anew in each process, by its own working directory.
    resolved = tracking or environ.get("MLFLOW_TRACKING_URI") or default
    inherited = None if tracking else environ.get("MLFLOW_REGISTRY_URI")
    return Uris(_absolute(resolved), _absolute(registry or inherited or resolved))


def redact(text: str) -> str:
    """Hide user, password and query of every address in a text.

    Examples
    --------
    >>> redact("no answer from http://ann:s3cret@mlflow.example:5000/x?token=abc")
    'no answer from http://***@mlflow.example:5000/x?***'
    """
    return _QUERY.sub(r"\1?***", _USERINFO.sub(r"\1***@", text))


def preflight(addresses: Uris) -> None:
    """Check that both addresses can be used, within a few seconds and without making anything.

    Raises
    ------
    SettingsError
        A kind of store that cannot hold a registry, or a file that is no SQLite database.
    UnreachableError
        A server that does not answer within `REACH_S` seconds, or an SQLite file that is not there.
    """
    for uri in dict.fromkeys((addresses.tracking, addresses.registry)):
        _check(uri)


def _absolute(uri: str) -> str:
    path = _sqlite_path(uri)
    if path is None:
        return uri
    # SQLAlchemy unquotes the path, so only what would be misread may be quoted.
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3F")
    query = uri.partition("?")[2]
    return f"{_SQLITE}{quoted}" + (f"?{query}" if query else "")


def _sqlite_path(uri: str) -> Path | None:
    scheme, _, rest = uri.partition(":///")
    path = rest.partition("?")[0]
    if scheme.partition("+")[0] != "sqlite" or path in {"", ":memory:"}:
        return None
    return Path(unquote(path))


def _check(uri: str) -> None:
    scheme = uri if uri in _MANAGED else _scheme(uri)
    engine = scheme.partition("+")[0]
    if scheme in {"", "file"}:
        raise SettingsError(
            f"Store {redact(uri)!r} is a directory of files, which MLflow no longer maintains. "
            "Move it with 'mlflow migrate-filestore' and give --tracking-uri sqlite:///mlflow.db."
        )
    if engine == "sqlite":
        _check_sqlite(uri)
    elif scheme in {"http", "https"}:
        _within_deadline(lambda: _ask(uri), uri)
    elif engine in _SERVER_PORTS:
        _within_deadline(lambda: _connect(uri, _SERVER_PORTS[engine]), uri)
    elif scheme not in _MANAGED | _plugins():
        raise SettingsError(
            f"Store {redact(uri)!r} is of no known kind ({scheme!r}). Give http(s)://…, "
            "sqlite:///…, postgresql://…, mysql://… or mssql://… with --tracking-uri."
        )


def _scheme(uri: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    return match[1].lower() if match else ""


def _plugins() -> set[str]:
    groups = ("mlflow.tracking_store", "mlflow.model_registry_store")
    return {point.name for group in groups for point in entry_points(group=group)}


def _check_sqlite(uri: str) -> None:
    path = _sqlite_path(uri)
    if path is None:
        raise SettingsError(
            f"Store {redact(uri)!r} names no file. Write sqlite:///relative.db or "
            "sqlite:////absolute.db."
        )
    if not path.is_file():
        raise UnreachableError(
            f"Store {path} does not exist, and is not made silently. Start where it is, give "
            f"--tracking-uri, or register a model first.{_mlruns_hint(path)}"
        )
    try:
        with path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
    except OSError as error:
        raise UnreachableError(
            f"Store {path} cannot be read ({error.strerror}). Check its rights."
        ) from error
    if header != _SQLITE_HEADER:
        raise SettingsError(
            f"Store {path} is not an SQLite database. Give the file that 'mlflow server' uses."
        )


def _mlruns_hint(path: Path) -> str:
    if (path.parent / "mlruns").is_dir() and path.name == _DEFAULT_FILE:
        return " A ./mlruns beside it is a file store: 'mlflow migrate-filestore' moves it."
    return ""


def _ask(uri: str) -> None:
    """Any answer will do, even a refusal or another idea of certificates: someone is there."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    request = Request(  # noqa: S310  the scheme is http or https
        f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health", method="GET"
    )
    try:
        urlopen(request, timeout=REACH_S).close()  # noqa: S310
    # Before URLError, whose subclass it is: any status means that a server answers.
    except HTTPError as error:
        error.close()
    except URLError as error:
        if not isinstance(error.reason, ssl.SSLError):
            raise


def _connect(uri: str, default_port: int) -> None:
    parts = urlsplit(uri)
    host = parts.hostname or "localhost"
    socket.create_connection((host, parts.port or default_port), timeout=REACH_S).close()


def _within_deadline(attempt: Callable[[], None], uri: str) -> None:
    """Bound name look-ups too, which take no timeout of their own."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            attempt()
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(error)

    # A daemon, so that a look-up that never ends does not keep the process alive.
    thread = threading.Thread(target=run, daemon=True, name="reach")
    thread.start()
    thread.join(REACH_S + 0.5)
    if thread.is_alive() or failures:
        raise UnreachableError(
            f"No answer from {redact(uri)} within {REACH_S:g} s ({_reason(failures)}). Start the "
            "server, or give its address with --tracking-uri."
        ) from (failures[0] if failures else None)


def _reason(failures: list[Exception]) -> str:
    if not failures:
        return "timed out"
    error: object = failures[0]
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__
