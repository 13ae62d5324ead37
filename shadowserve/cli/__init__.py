"""The command line: data on stdout, talk on stderr, one clear line for what a user can mend.

A command's module is imported when the command is used: some need scikit-learn and take seconds,
and `status` should answer at once.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module

import click

from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.legible import LONGEST_LINE, legible

_MODULES = {
    "serve": "serving",
    "check": "checking",
    "demo": "demo",
    "pins": "looking",
    "status": "looking",
    "watch": "watching",
    "report": "looking",
    "verdict": "judging",
    "explain": "explaining",
    "deployments": "deploying",
    "findings": "accepting",
    "promote": "promoting",
    "accept": "accepting",
    "alerts": "alerting",
    "labels": "labelling",
    "journal": "journaling",
    "rescore": "rescoring",
    "replay": "replaying",
    "challengers": "challenging",
    "pause": "steering",
    "resume": "steering",
}

INTERRUPTED = 130
"""128 and SIGINT's number, as shells have it."""


class _Group(click.Group):
    """Finds commands by name, and turns errors raised on purpose into their text and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"shadowserve.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ShadowserveError as error:
            for line in str(error).splitlines():
                click.echo(legible(line, most=LONGEST_LINE), err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read our data has had enough: click ends quietly
                raise
            click.echo(_unusable(error), err=True)
            sys.exit(UnreachableError.exit_code)
        except KeyboardInterrupt:  # not 1, which is the verdict's
            sys.exit(INTERRUPTED)


def _unusable(error: OSError) -> str:
    """Say which file or directory the system does not let us use."""
    where = f"{error.filename} cannot be used" if error.filename else "A file cannot be used"
    why = error.strerror or type(error).__name__
    return f"{where} ({why}). Free space there, mend its rights, or give --state-dir."


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shadowserve")
def main() -> None:
    """Score every production request with the next version, in silence, before anyone switches.

    Example: shadowserve serve --champion v3 --challenger v4
    """
