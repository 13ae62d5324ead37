"""The options of `replay`: how quickly, how much, which requests, to whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

SHAPES = ("burst", "ramp", "day")
_OPTIONS = (
    click.option(
        "--to",
        "url",
        required=True,
        metavar="URL",
        help="The data plane, such as http://127.0.0.1:3000.",
    ),
    click.option(
        "--speed",
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        metavar="X",
        help="So many times as quickly as it came. [default: 1]",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        metavar="N",
        help="So many requests a second, whatever the gaps were.",
    ),
    click.option(
        "--shape",
        type=click.Choice(SHAPES),
        default=None,
        help="How the rate changes; --rate is the highest.",
    ),
    click.option(
        "--for",
        "length",
        default=None,
        metavar="DURATION",
        help="Send no longer than this. [default: 10m; of a shape 1m]",
    ),
    click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=100_000,
        show_default=True,
        metavar="N",
        help="Send no more than this.",
    ),
    click.option(
        "--repeat", is_flag=True, help="Begin again at the recording's end, until --for or --limit."
    ),
    click.option(
        "--in-flight",
        type=click.IntRange(1, 10_000),
        default=256,
        show_default=True,
        metavar="N",
        help="Requests not answered yet; what is due beyond waits.",
    ),
    click.option(
        "--timeout",
        default="30s",
        show_default=True,
        metavar="DURATION",
        help="How long an answer is waited for.",
    ),
    click.option(
        "--only",
        default=None,
        metavar="slow|divergent|FINDING",
        help="Only such requests; a finding by its id.",
    ),
    click.option(
        "--challenger",
        metavar="PIN",
        default=None,
        help="Whose lane tells what is slow or divergent, by default the first's.",
    ),
    click.option(
        "--find-capacity", is_flag=True, help="Raise the rate until something breaks, and say what."
    ),
    click.option(
        "--p99",
        default="1s",
        show_default=True,
        metavar="DURATION",
        help="How long answers may take at capacity.",
    ),
    click.option(
        "--step",
        default="5s",
        show_default=True,
        metavar="DURATION",
        help="How long each rate is tried.",
    ),
    click.option(
        "--most-rate",
        type=click.FloatRange(min=0, min_open=True),
        default=5_000,
        show_default=True,
        metavar="N",
        help="No higher rate is tried.",
    ),
    click.option(
        "--plot",
        type=click.Path(path_type=Path),
        default=None,
        metavar="FILE",
        help="Draw what was found as SVG.",
    ),
    click.option(
        "--console",
        default=None,
        metavar="URL",
        help="The control plane, to see lanes; by default that of the state directory, if it serves the target.",
    ),
    click.option(
        "--allow-host",
        "allow_hosts",
        multiple=True,
        metavar="HOST",
        help="A host beside this machine that may be sent to; more than once if needed.",
    ),
    click.option(
        "--into-live", is_flag=True, help="Load it although it serves others, or does not say so."
    ),
    click.option(
        "--skip-bad", is_flag=True, help="Leave a table's bad rows out; else the first ends it."
    ),
)


def replay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
