"""Click options made from the settings' own table, so that no option is described twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shadowserve.settings.loading import load
from shadowserve.settings.settings import Settings

_FIELDS = {option.name: option for option in dataclasses.fields(Settings)}
_MANY = (
    "challengers",
    "allow_digests",
    "allow_hosts",
    "allow_origins",
    "pass_env",
    "lane_processes",
    "adapt_output",
    "isolate",
)
Command = Callable[..., Any]


def options(*names: str) -> Callable[[Command], Command]:
    """Add the options of some settings to a command; values stay text until the settings read them.

    Parameters
    ----------
    *names : str
        Fields of `Settings`.
    """

    def decorate(command: Command) -> Command:
        # Decorators wrap from the inside; reversed, help lists the options in the order given.
        for name in reversed(names):
            command = _option(name)(command)
        return command

    return decorate


def _option(name: str) -> Callable[[Command], Command]:
    about = _FIELDS[name].metadata
    default = f" [default: {about['default']}]" if about["default"] else ""
    # No default of click's: the settings have to tell that a flag was not given.
    keywords: dict[str, Any] = {"default": None, "help": about["help"] + default}
    if not about["metavar"]:
        keywords["is_flag"] = True
    else:
        keywords["metavar"] = about["metavar"]
    if name in _MANY:
        keywords |= {"multiple": True, "default": ()}
    return click.option(about["flag"], name, **keywords)


def state_dir_option(command: Command) -> Command:
    """Add `--state-dir` to a command that looks at a deployment."""
    return options("state_dir")(command)


def deployment_option(command: Command) -> Command:
    """Add `--deployment` to a command that also looks at what is archived."""
    return click.option(
        "--deployment",
        "which",
        metavar="ID",
        default=None,
        help="One of 'shadowserve deployments', by default the present one.",
    )(command)


def state_dir_of(given: str | None) -> Path:
    """Return the state directory as flag, variable, file or default say."""
    return load({"state_dir": given}).state_dir
