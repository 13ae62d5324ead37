"""The command line's own names: commands and their flags."""

from __future__ import annotations

import re

import click

from shadowserve.cli import main

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def commands() -> dict[str, click.Command]:
    """What the command line offers, by name."""
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def flags_of(command: click.Command) -> set[str]:
    """Every way to write one of the command's options, or of those below it."""
    own = {text for p in command.params for text in (*p.opts, *p.secondary_opts)} | {"--help"}
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*map(flags_of, below))
