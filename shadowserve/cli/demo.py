"""`shadowserve demo`: the two stories, played on real events from an empty directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shadowserve.cli.demo_traffic import DemoTraffic
from shadowserve.cli.options import options
from shadowserve.cli.report_text import print_report
from shadowserve.cli.serving import running
from shadowserve.cli.terminal import screen
from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.report import build as reports
from shadowserve.settings.loading import load
from shadowserve.state import arrival
from shadowserve.state.ledger import read as read_ledger
from shadowserve.supervisor.draining import pending
from shadowserve.supervisor.run import Supervisor
from shadowserve.supervisor.waiting import wait_for_lanes
from shadowserve.versions.stores import uris

MODEL, CHAMPION, CHALLENGER = "films", "v3", "v4"
CATCH_UP_S = 120.0


@click.command(short_help="Play a champion, a faulty challenger and real traffic.")
@options("tracking_uri", "port", "console_port", "state_dir")
@click.option("--requests", default=3000, show_default=True, metavar="N", help="Events to replay.")
@click.option("--keep", is_flag=True, help="Leave it running afterwards, until Ctrl-C.")
def demo(requests: int, keep: bool, **flags: Any) -> None:
    """Serve films v3 with v4 in its shadow, replay real events, and say what is wrong with v4.

    v4 was trained on one holiday only, and one of its features is slow on long descriptions. Both
    are found while every caller gets v3's answers.

    Example: shadowserve demo
    """
    wanted = {
        **flags,
        "champion": CHAMPION,
        "challengers": (CHALLENGER,),
        "model": MODEL,
        "batch": "on",  # its own code, FilmRanking, looks at one row at a time
    }
    settings = load(wanted)
    register, traffic = _models()
    addresses = uris(settings.tracking_uri, settings.registry_uri)
    talk = Console(stderr=True, highlight=False)
    say = _sayer(talk)
    say(f"Models         films v1 to v5 at {addresses}; what is missing is trained now")
    register.ensure(addresses.tracking, models=(MODEL,), progress=say)
    with running(settings, say=say, fresh=True) as supervisor:
        wait_for_lanes(supervisor)
        _replay(supervisor, traffic.films(requests), requests, talk)
        _catch_up(supervisor, talk)
        _show(supervisor, addresses, talk)
        if keep and not supervisor.stop_signals.n:
            talk.print("It goes on serving. Ctrl-C stops it.")
            supervisor.run()


def _sayer(talk: Console) -> Callable[[str], None]:
    return lambda line: talk.print(line, markup=False, soft_wrap=True)


def _models() -> tuple[ModuleType, ModuleType]:
    """Return the demo's own package, which is no part of an installed shadowserve."""
    try:
        from models import register, traffic
    except ImportError as error:
        raise ShadowserveError(
            "The demo's models are not here. Run it from a checkout of shadowserve, with the demo "
            "extra installed: make demo."
        ) from error
    return register, traffic


def _replay(supervisor: Supervisor, records: Any, n: int, talk: Console) -> None:
    """Send the events while the supervisor looks after everything."""
    host, port = supervisor.address
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=talk) as progress:
        task = progress.add_task("Real events", total=n)
        sending = DemoTraffic(host, port, records, sent=lambda: progress.advance(task))
        sending.start()
        supervisor.run(until=lambda: sending.finished)
    if sending.failure is not None:
        raise UnreachableError(f"The replay stopped: {type(sending.failure).__name__}.")
    told = ", ".join(f"{count} with {status}" for status, count in sorted(sending.statuses.items()))
    talk.print(f"Callers got    {told}")


def _catch_up(supervisor: Supervisor, talk: Console) -> None:
    """Wait for the lanes to score what is in the journal."""
    until = time.monotonic() + CATCH_UP_S
    with talk.status("The lanes are scoring what is in the journal"):
        supervisor.run(
            until=lambda: (
                pending(supervisor.places, supervisor.lanes) == 0 or time.monotonic() > until
            )
        )


def _show(supervisor: Supervisor, addresses: Any, talk: Console) -> None:
    deployment = supervisor.deployment
    if deployment is None:
        return
    number = deployment.numbers[0]
    print_report(reports.build(supervisor.places, deployment, challenger=number), screen())
    ledger = read_ledger(supervisor.places, deployment)
    # Two streams share the terminal: the report has to come out before what follows.
    sys.stdout.flush()
    talk.print(
        "The ledger balances: every request is accounted for in every lane."
        if ledger.balanced
        else "The ledger does not balance."
    )
    seen = arrival.read(supervisor.places.arrival)
    page = seen.pages.get(f"challenger v{number}", "")
    # The page in the layout for models: MLflow itself begins with the one for language models.
    where = page if page.startswith("http") else f"http://127.0.0.1:5000/{page}"
    started = "" if page.startswith("http") else f"mlflow ui --backend-store-uri {addresses}, then "
    talk.print(f"In MLflow      {started}{where}", markup=False, soft_wrap=True)
    talk.print("In a notebook  notebooks/explore_divergence.ipynb")
    talk.print("By yourself    shadowserve serve --champion v3 --challenger v4")
