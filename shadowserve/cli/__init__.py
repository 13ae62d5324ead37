"""The command line: data on stdout, talk on stderr, one clear line for what a user can mend."""

from __future__ import annotations

import sys

import click

from shadowserve.cli.checking import check
from shadowserve.cli.demo import demo
from shadowserve.cli.judging import verdict
from shadowserve.cli.labelling import labels
from shadowserve.cli.looking import pins, report, status
from shadowserve.cli.serving import serve
from shadowserve.cli.steering import pause, resume
from shadowserve.errors import ShadowserveError


class _Group(click.Group):
    """Turns errors raised on purpose into their text and exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ShadowserveError as error:
            click.echo(str(error), err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shadowserve")
def main() -> None:
    """Score every production request with the next version, in silence, before anyone switches.

    Example: shadowserve serve --champion v3 --challenger v4
    """


for command in (serve, check, demo, pins, status, report, verdict, labels, pause, resume):
    main.add_command(command)
