"""From what the user asked to a deployment: every check that can fail, before anything slow.

Faults are found in the order of their cost: settings, ports, state directory and store address in
milliseconds; the pins against the registry in seconds, while the champion's process imports.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shadowserve.errors import JournalError, ModelError, RegistryError, UnreachableError
from shadowserve.host import stages
from shadowserve.journal.local_disk import refuse_network
from shadowserve.settings.options import Options
from shadowserve.settings.settings import Settings, flag_of
from shadowserve.state import beginnings, joining, lane_numbers
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.family import challengers_before
from shadowserve.state.places import Places
from shadowserve.state.presence import running
from shadowserve.supervisor.refusals import (
    file_faults,
    isolated_of,
    refuse_adapters,
    refuse_columns,
    refuse_repeated,
)
from shadowserve.versions import pins
from shadowserve.versions.stores import Uris, redact

if TYPE_CHECKING:
    from shadowserve.versions.registry import Registry

OPEN_FILES = 65_536


def listen(host: str, port: int, *, what: str) -> socket.socket:
    """Bind and return a listening socket that children can inherit.

    Raises
    ------
    UnreachableError
        If the port is taken or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Callers queue here while a worker is replaced; the kernel cuts it to its own limit.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        flag = "--console-" if what == "console" else "--"
        busy = error.errno == errno.EADDRINUSE
        why = "is already in use" if busy else f"cannot be opened ({error.strerror})"
        told = f"Port {port} on {host} {why}. Choose another for the {what} with {flag}port."
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            told = (
                f"{host} is no address of this machine. Give {flag}host one that it has, "
                "or 0.0.0.0 for all of them."
            )
        raise UnreachableError(told) from error
    listener.set_inheritable(True)
    return listener


def allow_open_files(most: int = OPEN_FILES) -> int:
    """Let this process and its children open as many files as the system lets them; return how many.

    Systems begin with 1,024, which as many idle callers use up: then nobody is answered or recorded.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # where the system has yet another bound
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def claim(places: Places, *, by: str = "serve") -> int:
    """Make the state directory and hold it for this process; return the held descriptor.

    Parameters
    ----------
    by : str
        The command that holds it.

    Raises
    ------
    JournalError
        If it cannot be written, lies on a network file system, or another supervisor holds it.
    """
    try:
        places.make()
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        held = os.open(places.lock, flags, 0o600)
    except OSError as error:
        raise JournalError(
            f"The state directory {places.root} cannot be written ({error.strerror}). "
            "Give --state-dir a directory that this user may write."
        ) from error
    # After the file was made, since the file system of a directory is known once it exists.
    refuse_network(places.root)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise JournalError(
            f"Another 'shadowserve {by}' runs on {places.root}{_who(places)}. "
            "Stop it, or give --state-dir another directory."
        ) from error
    return held


def _who(places: Places) -> str:
    found = running(places) or {}
    return f" (process {found['pid']})" if "pid" in found else ""


def resolve(
    settings: Settings,
    addresses: Uris,
    places: Places,
    *,
    start: str,
    fresh: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Resolve the pins, bring the files here, and say what will be served.

    Parameters
    ----------
    fresh : bool
        Whether what was served from the directory before, and who joined it, is of no concern.

    Raises
    ------
    ShadowserveError
        Whatever the registry, the pins or the files have against it.
    """
    from shadowserve.versions.registry import Registry

    adapters = _adapters(settings)
    registry = Registry(addresses, say=say)
    stages.reached("registry's client")
    champion = registry.resolve(pins.parse(settings.champion), settings.model)
    recorded = None if fresh else _recorded(places, champion)
    if recorded is None:
        challengers = [
            registry.resolve(pins.parse(text), champion.model) for text in settings.challengers
        ]
        refuse_repeated(challengers)
        refuse_adapters(settings, challengers)
    else:
        challengers = list(_still_there(registry, places, recorded, say))
    isolated = isolated_of(settings, champion, challengers, recorded=recorded)
    stages.reached("pins")
    fetched = registry.fetch_all((champion, *challengers), places.models)
    faults = [
        fault
        for pin, found in fetched.items()
        for fault in file_faults(settings, found.version, isolated=str(pin) in isolated)
    ]
    if faults:
        raise ModelError("\n".join(faults))
    refuse_columns(settings, [found.version for found in fetched.values()])
    left = [] if recorded is None else [one.version.pin for one in recorded.left]
    numbers = lane_numbers.assigned(
        champion,
        [*left, *challengers],
        known=None if recorded is None else recorded.lane_numbers,
    )
    files = {numbers.get(str(pin), pin.version): found.path for pin, found in fetched.items()}
    return Deployment(
        id=deployments.new_id(champion.model),
        champion=fetched[champion].version,
        challengers=tuple(fetched[pin].version for pin in challengers),
        control=settings.control,
        files={number: str(path.resolve()) for number, path in files.items()},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        start=start,
        salt=secrets.token_hex(16),
        tracking_uri=redact(addresses.tracking),
        options=replace(Options.from_settings(settings), adapters=adapters, isolate=isolated),
        asked=None if recorded is None else recorded.asked,
        lane_numbers=numbers,
    )


def _recorded(places: Places, champion: pins.Pin) -> Deployment | None:
    """Return the directory's deployment of this champion if challengers have joined or left it: they hold."""
    present = deployments.read(places)
    if present is None or present.asked is None or present.champion.pin != champion:
        return None
    return present


def _still_there(
    registry: Registry, places: Places, recorded: Deployment, say: Callable[[str], None]
) -> Iterator[pins.Pin]:
    """Yield the recorded challengers; one that the registry no longer has leaves, and callers are served all the same."""
    for version in recorded.challengers:
        try:
            yield registry.resolve(pins.parse(str(version.pin)))
        except RegistryError as error:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            recorded = joining.without(places, recorded, recorded.number_of(version), at=at)
            deployments.write(places, recorded)
            say(f"Left           {version.pin}, which had joined while serving: {error}")


def _adapters(settings: Settings) -> dict[str, str]:
    """Return the digests of adapters' sources, once each can be imported."""
    if not settings.adapt_output:
        return {}
    from shadowserve.scorer import adapting  # imports pandas, which workers need not wait for

    return adapting.digests(settings.adapt_output)


def settle(places: Places, wanted: Deployment, *, fresh: bool = False) -> tuple[Deployment, str]:
    """Resume the directory's deployment if it serves the same files, else archive it.

    Returns
    -------
    deployment : Deployment
        What is written as the deployment file.
    story : str
        ``new``, ``resumed`` or ``archived to …``, for the start-up lines.
    """
    present = deployments.read(places)
    story = "new"
    changed = present.differs_in(wanted) if present is not None else []
    if present is not None and not changed and not fresh:
        # The alpha that a challenger may spend is frozen at its start, so resuming must not count
        # anew.
        before = present.options.challengers_before
        wanted = replace(
            wanted,
            id=present.id,
            salt=present.salt,
            started=present.started,
            options=replace(wanted.options, challengers_before=before),
            stays=present.stays,
            left=present.left,
            asked=present.asked,
        )
        story = "resumed"
    elif present is not None:
        shelf = deployments.archive(places, present)
        places.make()
        why = f", for {listed(changed)} changed" if changed else ""
        story = f"new{why}; {present.id} is archived in {shelf}"
    if story != "resumed":
        tried = challengers_before(places, wanted)
        wanted = replace(wanted, options=replace(wanted.options, challengers_before=tried))
    deployments.write(places, wanted)
    return wanted, story


def listed(changed: Sequence[str]) -> str:
    """Name what has changed as people write it: a flag, or what is served."""
    served = ("champion", "challengers", "control", "verdict")
    names = [name if name in served else flag_of(name) for name in changed]
    return " and ".join(names)


@contextlib.contextmanager
def held(descriptor: int) -> Iterator[None]:
    """Keep the state directory until the block ends."""
    try:
        yield
    finally:
        os.close(descriptor)


def scratch_directory(places: Places) -> Path:
    """Return an empty directory for what lives only as long as this start."""
    scratch = places.scratch
    scratch.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(places.copies, ignore_errors=True)  # of processes long dead
    beginnings.clear(scratch)
    for path in scratch.glob("*.db"):  # Prometheus's maps of processes long dead
        path.unlink(missing_ok=True)
    return scratch
