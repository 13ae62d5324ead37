"""The page of settings, written from the table that the command line is made from.

Each setting has a section of its own, so that a search for its flag, variable or key leads to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any

import click

from shadowserve.cli import main
from shadowserve.settings import adapting, lane_processes, names, spellings
from shadowserve.settings.alerting import ABOUT, SHAPES, Alerting
from shadowserve.settings.keeping import keep
from shadowserve.settings.policy import Policy
from shadowserve.settings.settings import FIELDS
from shadowserve.settings.sources import FILE, variable_of
from shadowserve.settings.vocabulary import LOSSES, Kind

GROUPS: dict[str, tuple[str, ...]] = {
    "What is served": (
        "champion", "challengers", "control", "model", "tracking_uri", "registry_uri", "method",
        "tap", "sample_rate", "allow_digests", "strict_versions", "probe", "batch", "one_job",
    ),
    "Callers": (
        "host", "port", "workers", "max_body", "strict_json", "request_timeout", "read_timeout",
        "keep_alive", "drain_delay", "root_path",
    ),
    "Who is let in": (
        "token_file", "allow_hosts", "allow_origins", "ssl_certfile", "ssl_keyfile",
        "console_host", "console_port",
    ),
    "Lanes": (
        "deadline", "when_behind", "lane_memory", "lane_processes", "lane_priority", "placement", "lane_network",
        "rescore", "isolate", "package_index", "wheels",
    ),
    "The switch": ("alias", "max_age"),
    "What is compared": ("output_kind", "adapt_output", "ignore_outputs", "entity", "entity_header"),
    "What leaves the journal": (
        "log_inputs", "hash_inputs", "drop_inputs", "keep_prints", "pass_env",
    ),
    "Disk": ("state_dir", "journal_budget", "keep_journal", "retention"),
}  # fmt: skip
REST = "Others"

TAKES = {
    spellings.duration: "a duration: `500ms`, `10s`, `5m`, `2h`, `7d`, `2w`; a bare number is seconds",
    spellings.delay: "a duration, or `0s`; a bare number is seconds",
    spellings.size: "a size: `512MiB`, `2GiB` (of 1,024), `2GB` (of 1,000); a bare number is bytes",
    spellings.share: "a share, from `0` to `1`",
    spellings.port: "a port, `0` to `65535`; `0` is any that is free",
    spellings.count: "a whole number of at least 1",
    spellings.switch: "`on` or `off`; `true` or `false` in the file",
    spellings.path: "a path; `~` is the home directory",
    spellings.text: "a text",
    spellings.texts: "a list, or texts with commas between them",
    spellings.header_name: "the name of a header",
    spellings.placement: "`auto`, `off`, or CPUs such as `0,4-6`",
    lane_processes.read: "a whole number of at least 1, or `auto`; `4=3` for version 4",
    adapting.read: "`module:function`; `4=module:function` for version 4",
    keep: "a duration, a size or both: `7d`, `50GiB`, `7d,50GiB`; or `off`",
    names.pin: "a [pin](start.md#pins)",
    names.pins: "[pins](start.md#pins)",
    names.log_inputs: "`none`, `all`, or names of columns",
    names.alias: "the name of an alias, with or without its `@`",
    names.digests: "SHA-256 digests, 64 hexadecimal digits each",
    names.hosts: "names, `*.corp.example`, or `*`",
    names.origins: "origins such as `https://shop.example`, or `*`",
    names.index: "an address such as `https://pypi.example/simple`",
    names.root_path: "a path that begins with `/`",
}
"""What a reader takes, with its unit, as people write it."""

NOTE = "<!-- Written from the code by: python -m rig.pages -->"

TABLES: dict[str, tuple[type, tuple[str, str], frozenset[str]]] = {
    "verdict": (Policy, ("The verdict", "verdict.md#the-policy"), frozenset(Policy().to_dict())),
    "alerts": (Alerting, ("Alerts", "alerts.md"), frozenset(key.name for key in fields(Alerting))),
}
"""What reads a table of the file, the page that explains it, and those of its fields that are keys."""

KEY_TAKES = {
    "loss": f"{', '.join(f'`{loss}`' for loss in LOSSES)}, or `module:function`",
    "costs": "a [table](labels.md#costs) for each label",
    "webhook": "an address; also `SHADOWSERVE_ALERTS_WEBHOOK`",
    "shape": ", ".join(f"`{shape}`" for shape in SHAPES),
    "on": "a list of " + ", ".join(f"`{about}`" for about in ABOUT),
    "evidence_after": TAKES[spellings.duration],
}
"""What keys take that are no plain number."""

HEAD = f"""{NOTE}

# Settings

Every setting is a flag of `serve`, a variable, and a key of `{FILE}` in the working directory.

- **Order.** A flag goes before a variable, that before the file, that before the default.
- **Faults.** All are told together, before anything slow. An unknown key is a fault; so is a variable that nearly
  has the name of a setting.
- **Lists.** In the file, `["v4", "v5"]`. In a variable, commas between them. As a flag, once for each, or with commas
  where the flag says so.
- **Frozen.** They are read when `serve` starts. A restart reads them anew. `[verdict]` and what decides which answers
  are compared begin a new deployment when they change; the start says so.
- **Unset.** An empty variable counts as not given.
"""


def text() -> str:
    """Return the whole page."""
    grouped = {name for group in GROUPS.values() for name in group}
    plain = [name for name, field in FIELDS.items() if field.metadata["flag"]]
    groups = {**GROUPS, REST: tuple(name for name in plain if name not in grouped)}
    parts = [HEAD]
    for title, members in groups.items():
        if members:
            parts += [f"## {title}\n", *(_setting(FIELDS[name]) for name in members)]
    tables = [name for name, field in FIELDS.items() if not field.metadata["flag"]]
    parts += [part for name in tables for part in _table(FIELDS[name])]
    return "\n".join(parts)


def _setting(field: Field[Any]) -> str:
    about = field.metadata
    usage = about["flag"] if not about["metavar"] else f"{about['flag']} {about['metavar']}"
    commands = ", ".join(f"`{command}`" for command in _commands(field.name))
    default = f"`{about['default']}`" if about["default"] else "none"
    lines = [
        f"### {field.name}\n",
        f"{about['help']}\n",
        f"- flag `{usage}` of {commands}",
        f"- variable `{variable_of(field.name)}`, key `{field.name}`",
        f"- takes {takes(field)}",
        f"- default: {default}",
        "",
    ]
    return "\n".join(lines)


def takes(field: Field[Any]) -> str:
    """Say what a setting takes, and in which unit."""
    read = field.metadata["read"]
    if read in TAKES:
        return TAKES[read]
    words = tuple(Kind) if field.metadata["metavar"] == "KIND" else _choices(field)
    return ", ".join(f"`{word}`" for word in words)


def _choices(field: Field[Any]) -> list[str]:
    metavar: str = field.metadata["metavar"]
    if "|" not in metavar:
        raise LookupError(
            f"The page of settings cannot say what {field.name!r} takes. Add its reader to TAKES."
        )
    return metavar.split("|")


@cache
def _commands(setting: str) -> list[str]:
    """Return the commands that take a setting's flag."""
    context = click.Context(main)
    found = []
    for name in sorted(main.list_commands(context)):
        command = main.get_command(context, name)
        if command and any(setting == parameter.name for parameter in command.params):
            found.append(name)
    return found


def _table(field: Field[Any]) -> Iterator[str]:
    """Yield a table of the file: its keys with unit and default."""
    yield f"## [{field.name}]\n"
    yield f"{field.metadata['help']}\n"
    kind, page, keys = TABLES[field.name]
    yield f"[{page[0]}]({page[1]}) explains them.\n"
    yield "| key | takes | default | means |\n|---|---|---|---|"
    told = _described(kind.__doc__ or "")
    for key in fields(kind):
        if key.name in keys:
            yield f"| `{key.name}` | {_key_takes(key)} | {_key_default(key)} | {told[key.name]} |"
    yield ""


def _key_takes(key: Field[Any]) -> str:
    kinds = {"float": "a number", "int": "a whole number"}
    return KEY_TAKES.get(key.name) or kinds[str(key.type)]


def _key_default(key: Field[Any]) -> str:
    if key.default in (MISSING, "") or key.name == "loss_cap":
        return "none"
    if isinstance(key.default, tuple):
        return ", ".join(f"`{word}`" for word in key.default)
    return f"`{key.default:g}`" if isinstance(key.default, float) else f"`{key.default}`"


def _described(docstring: str) -> dict[str, str]:
    """Return what a numpydoc docstring says of each parameter, in one line each."""
    _, _, parameters = docstring.partition("----------\n")
    entries = re.split(r"^    (\w+) : .*\n", parameters, flags=re.MULTILINE)
    told = dict(zip(entries[1::2], entries[2::2], strict=True))
    return {name: _line(text) for name, text in told.items()}


def _line(text: str) -> str:
    words = " ".join(text.split()).replace("``", "`")
    words = re.sub(r"`(LOSSES|SHAPES|ABOUT)`", "those on the left", words)
    return words.replace("(`of_challenger`) ", "")
