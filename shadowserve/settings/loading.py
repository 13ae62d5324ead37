"""Loading the settings: flags before variables before the file before defaults, all faults at once.

A flag goes before a ``SHADOWSERVE_…`` variable, that before ``shadowserve.toml`` in the working
directory, that before the default. Everything wrong is reported together, before anything slow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from shadowserve.errors import SettingsError
from shadowserve.settings import alerting, policy
from shadowserve.settings.settings import FIELDS, Settings, flag_of
from shadowserve.settings.sources import FILE, Source, from_environment, from_file, variable_of


def load(
    flags: Mapping[str, Any],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    required: Iterable[str] = (),
) -> Settings:
    """Read the settings, the first source that has a value winning.

    Parameters
    ----------
    flags : mapping of field name to value
        As the command line has them; None and an empty tuple mean not given.
    file : Path, optional
        A settings file that must exist; by default `FILE` in the working directory, if any.
    environ : mapping
        Where ``SHADOWSERVE_<FIELD>`` is looked up; an empty value means not given.
    required : iterable of field names
        What the command cannot do without.

    Raises
    ------
    SettingsError
        With one line for each fault: unknown names, values that cannot be, what is missing.
    """
    faults: list[str] = []
    sources = [
        _from_flags(flags),
        from_environment(environ, FIELDS, faults),
        from_file(file, FIELDS, faults),
    ]
    # The last one written wins, so flags come last.
    # A value that is overruled is not even read: a bad default in the file must not stop a flag.
    given = {name: found for source in reversed(sources) for name, found in source.items()}
    values: dict[str, Any] = {}
    for name, (where, raw) in given.items():
        try:
            values[name] = FIELDS[name].metadata["read"](raw)
        except ValueError as error:
            faults.append(f"{where}: {error}")
    faults += [_missing(name) for name in required if name not in given]
    settings = Settings(**values)
    # After the single values: of a faulty one the default stands in, so that all faults are
    # told at once.
    faults += contradictions(settings)
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a line for each pair of settings that cannot both be, with what to leave away."""
    yield from policy.faults_of(settings.verdict)
    yield from alerting.faults_of(settings.alerts)
    if settings.token_file is None and not _is_loopback(settings.console_host):
        yield (
            f"--console-host {settings.console_host} can be reached by others, who could pause "
            "lanes and read reports. Give --token-file FILE, or keep it on 127.0.0.1."
        )
    if settings.ssl_keyfile is not None and settings.ssl_certfile is None:
        yield "--ssl-keyfile: there is no certificate. Give --ssl-certfile FILE, too."
    if settings.batch == "earned":
        yield from _not_with_earned(settings)
    if settings.tap:
        yield from _not_with_tap(settings)
    same = (settings.host, settings.port) == (settings.console_host, settings.console_port)
    if same and settings.port != 0 and not settings.tap:
        yield (
            f"--port and --console-port are both {settings.port}. Choose another for one of them."
        )


def _not_with_earned(settings: Settings) -> Iterator[str]:
    """Tell what earning needs: the control scores recorded requests in company, on and on."""
    for name, flag in (("control", "--no-control"), ("rescore", "--no-rescore")):
        if not getattr(settings, name):
            yield (
                f"{flag}: with --batch earned the control scores recorded requests again, in company. "
                "Leave one of them away."
            )


def _not_with_tap(settings: Settings) -> Iterator[str]:
    for name in ("host", "port", "workers", "strict_json"):
        if getattr(settings, name) != FIELDS[name].default:
            yield (f"{flag_of(name)}: with --tap no data plane is started. Leave one of them away.")
    if settings.batch == "earned":
        yield "--batch earned: with --tap callers are answered elsewhere. Leave one of them away."
    if not settings.control:
        yield (
            "--no-control: with --tap the champion is scored here by its control lane alone. "
            "Leave one of them away."
        )


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name other than localhost may not be."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _from_flags(flags: Mapping[str, Any]) -> Source:
    given = {name: raw for name, raw in flags.items() if raw is not None and raw != ()}
    return {name: (flag_of(name), raw) for name, raw in given.items()}


def _missing(name: str) -> str:
    usage = f"{flag_of(name)} {FIELDS[name].metadata['metavar']}"
    return f"{name}: not given. Write {usage}, set {variable_of(name)}, or add it to {FILE}."
