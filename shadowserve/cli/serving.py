"""`shadowserve serve`: from the user's words to a running deployment, and its first dozen lines."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any

import click

from shadowserve.cli import again, announcement, beginning
from shadowserve.cli.options import options
from shadowserve.host import claims, stages
from shadowserve.host.claims import Claims
from shadowserve.host.ownership import refuse_foreign
from shadowserve.host.placement import place
from shadowserve.legible import LONGEST_LINE, legible
from shadowserve.settings import lane_processes
from shadowserve.settings.loading import load
from shadowserve.settings.settings import FIELDS, Settings
from shadowserve.state.deployment import forget
from shadowserve.state.places import Places
from shadowserve.supervisor import refusals, start, surroundings
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.run import Supervisor
from shadowserve.supervisor.waiting import wait_for_evidence, wait_for_lanes
from shadowserve.versions.stores import preflight, uris

OF_OTHERS = ("alias", "max_age")
"""Settings of commands that look at what was served."""
SERVE_OPTIONS = tuple(
    name for name, option in FIELDS.items() if option.metadata["flag"] and name not in OF_OTHERS
)

EVIDENCE_S = 20.0
"""How long a start looks whether evidence arrives before it goes on without having told."""


@click.command(short_help="Serve the champion and score its requests with challengers.")
@options(*SERVE_OPTIONS)
def serve(**flags: Any) -> None:
    """Serve a pinned champion and score every request with pinned challengers, in silence.

    Callers get the champion's answers. Divergence, step times and findings go to MLflow and to the
    console; 'shadowserve status' and 'shadowserve report' show them from another shell.

    Given again while it runs, it asks what runs: other challengers join and leave, and no process is restarted.

    With --tap nobody is answered here: a server elsewhere sends copies of its requests and answers.

    Example: shadowserve serve --champion v3 --challenger v4
    """
    stages.begin(stages.own_beginning_ns())
    settings = load(flags, required=("champion",))
    if again.ask_the_running(settings, say=_say):
        return
    with running(settings, say=_say) as supervisor:
        wait_for_lanes(supervisor)
        _say(announcement.lanes_line(supervisor))
        if settings.verbose:
            for line in beginning.lines(supervisor):
                _say(line)
        if supervisor.places.paused.exists():
            _say(
                "Paused         since an earlier start; 'shadowserve resume' lets lanes score again"
            )
        if wait_for_evidence(supervisor, seconds=EVIDENCE_S).state == "shipping":
            _say("Evidence       arrives in MLflow: a run was written and read back")
        supervisor.run()
        _say("Stopping: finishing requests, then lanes and evidence.")


class running:  # noqa: N801 - reads as a verb
    """A deployment that runs for the length of a block, its champion ready at the beginning.

    Parameters
    ----------
    settings : Settings
        What to serve.
    say : callable
        Tells the user, one line a call.
    fresh : bool
        Begin anew instead of resuming what was served from the same directory.

    Raises
    ------
    ShadowserveError
        On entry, whatever stands against it; nothing is left running.
    """

    def __init__(
        self, settings: Settings, *, say: Callable[[str], None], fresh: bool = False
    ) -> None:
        self._settings = settings
        self._say = say
        self._fresh = fresh
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Supervisor:
        settings, say = self._settings, self._say
        stages.reached("imports")
        refusals.refuse_settings(settings)
        start.allow_open_files()
        addresses = uris(settings.tracking_uri, settings.registry_uri)
        preflight(addresses)
        places = Places(settings.state_dir.resolve())
        refuse_foreign(settings.state_dir)
        self._lock = start.claim(places)
        if made := surroundings.settle(places.root):
            say(f"Surroundings   made below the state directory: {', '.join(made)}")
        data = None
        if not settings.tap:
            data = start.listen(settings.host, settings.port, what="data plane")
        console = start.listen(settings.console_host, settings.console_port, what="console")
        lanes = len(settings.challengers) + settings.control
        workers = 0 if settings.tap else settings.workers
        self._claims = Claims()
        placement = place(
            workers=workers,
            lanes=lanes,
            scoring=lane_processes.threads_for(settings.lane_processes, lanes=lanes) or 0,
            wanted=settings.placement,
            others=claims.taken(),
            claim=lambda cpus, n: self._claims.take(cpus, n=n),
        )
        if not placement.workers:  # there were too few, and what was had is of use to others
            self._claims.close()
        start.scratch_directory(places)
        start_token = secrets.token_hex(8)
        processes = Processes(settings, places, placement, addresses, start_token)
        supervisor = Supervisor(
            settings=settings,
            places=places,
            data_socket=data,
            console_socket=console,
            processes=processes,
            say=say,
        )
        self._supervisor = supervisor
        stages.reached("checks")
        try:
            supervisor.begin()
            stages.reached("workers begun")
            say(f"Store          {addresses}")
            # Bringing files may wait long for a server, and nothing is served yet that had to be
            # finished.
            with supervisor.stop_signals.ending_at_once():
                wanted = start.resolve(
                    settings, addresses, places, start=start_token, fresh=self._fresh, say=say
                )
            stages.reached("files")
            deployment, story = start.settle(places, wanted, fresh=self._fresh)
            if forgotten := forget(places, older_than_s=settings.retention):
                say(f"Retention      deleted from the archive: {', '.join(forgotten)}")
            port = console.getsockname()[1]
            for line in announcement.opening(
                deployment, settings, places, story=story, console_port=port
            ):
                say(line)
            say(f"Placement      {placement.describe(processes.priority)}")
            say(f"This system    {announcement.abilities()}")
            supervisor.deploy(deployment)
            stages.reached("others begun")
            if supervisor.wait_until_ready():
                stages.reached("champion awaited")
                for line in announcement.loaded(supervisor, deployment):
                    say(line)
                host, port = supervisor.address
                path = "tap" if settings.tap else "invocations"
                say(f"Ready          {announcement.scheme(settings)}://{host}:{port}/{path}")
        except BaseException:
            supervisor.kill()
            self._claims.close()
            raise
        return supervisor

    def __exit__(self, *_: object) -> None:
        if self._supervisor is not None:
            self._supervisor.end()
            self._claims.close()


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone; serving is not
        click.echo(legible(line, most=LONGEST_LINE), err=True)
