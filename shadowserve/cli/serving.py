"""`shadowserve serve`: from the user's words to a running deployment, and its first dozen lines."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable
from typing import Any

import click

from shadowserve import withheld
from shadowserve.cli.options import options
from shadowserve.host import claims, clock
from shadowserve.host.claims import Claims
from shadowserve.host.leash import SUPPORTED
from shadowserve.host.ownership import refuse_foreign
from shadowserve.host.placement import place
from shadowserve.legible import LONGEST_LINE, legible
from shadowserve.records import Role
from shadowserve.scorer import parity
from shadowserve.settings.loading import load
from shadowserve.settings.policy import Policy
from shadowserve.settings.settings import FIELDS, Settings
from shadowserve.settings.spellings import size_text
from shadowserve.state import batching, sharing, threads
from shadowserve.state.deployment import Deployment, forget
from shadowserve.state.lane_condition import condition
from shadowserve.state.places import Places
from shadowserve.supervisor import refusals, start, surroundings
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.run import Supervisor
from shadowserve.supervisor.waiting import wait_for_evidence, wait_for_lanes
from shadowserve.versions.stores import preflight, uris
from shadowserve.versions.version import Version

FEW_PERCENT = 0.1
"""A margin below it was most likely written when margins were differences of losses."""

MOST_NAMES = 20
SERVE_OPTIONS = tuple(name for name, option in FIELDS.items() if option.metadata["flag"])

EVIDENCE_S = 20.0
"""How long a start looks whether evidence arrives before it goes on without having told."""


@click.command(short_help="Serve the champion and score its requests with challengers.")
@options(*SERVE_OPTIONS)
def serve(**flags: Any) -> None:
    """Serve a pinned champion and score every request with pinned challengers, in silence.

    Callers get the champion's answers. Divergence, step times and findings go to MLflow and to the
    console; 'shadowserve status' and 'shadowserve report' show them from another shell.

    With --tap nobody is answered here: a server elsewhere sends copies of its requests and answers.

    Example: shadowserve serve --champion v3 --challenger v4
    """
    settings = load(flags, required=("champion",))
    with running(settings, say=_say) as supervisor:
        wait_for_lanes(supervisor)
        _say(_lanes_line(supervisor))
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
            others=claims.taken(),
            claim=lambda cpus, n: self._claims.take(cpus, n=n),
        )
        if not placement.workers:  # there were too few, and what was had is of use to others
            self._claims.close()
        start.scratch_directory(places)
        start_token = secrets.token_hex(8)
        supervisor = Supervisor(
            settings=settings,
            places=places,
            data_socket=data,
            console_socket=console,
            processes=Processes(settings, places, placement, addresses, start_token),
            say=say,
        )
        self._supervisor = supervisor
        try:
            supervisor.begin()
            say(f"Store          {addresses}")
            with supervisor.stop_signals.ending_at_once():
                wanted = start.resolve(settings, addresses, places, start=start_token, say=say)
            deployment, story = start.settle(places, wanted, fresh=self._fresh)
            if forgotten := forget(places, older_than_s=settings.retention):
                say(f"Retention      deleted from the archive: {', '.join(forgotten)}")
            port = console.getsockname()[1]
            for line in _opening(deployment, settings, places, story=story, console_port=port):
                say(line)
            say(f"Placement      {placement.describe()}")
            say(f"This system    {_abilities()}")
            supervisor.deploy(deployment)
            if supervisor.wait_until_ready():
                for line in _loaded(supervisor, deployment):
                    say(line)
                host, port = supervisor.address
                path = "tap" if settings.tap else "invocations"
                say(f"Ready          {_scheme(settings)}://{host}:{port}/{path}")
        except BaseException:
            supervisor.kill()
            self._claims.close()
            raise
        return supervisor

    def __exit__(self, *_: object) -> None:
        if self._supervisor is not None:
            self._supervisor.end()
            self._claims.close()


def _opening(
    deployment: Deployment, settings: Settings, places: Places, *, story: str, console_port: int
) -> list[str]:
    """Say what will be served, and where everything is kept."""
    lines = [f"Deployment     {deployment.id} ({story})"]
    lines += [_version_line("Champion", deployment.champion)]
    lines += [_version_line("Challenger", version) for version in deployment.challengers]
    told = (parity.said(deployment.champion, version) for version in deployment.challengers)
    lines += [f"Typing         {typing}" for typing in told if typing]
    lines += [*_answers(deployment), *_judging(deployment)]
    if settings.tap:
        lines.append(
            f"Data plane     none: a server elsewhere answers with {deployment.champion.pin} and "
            "sends copies to the tap"
        )
    serving = 0 if settings.tap else settings.workers
    copies = serving + len(deployment.lanes)
    sizes = sum(
        version.size_bytes or 0 for version in (deployment.champion, *deployment.challengers)
    )
    return [
        *lines,
        f"Copies         {serving} of the champion to serve, {len(deployment.lanes)} in lanes; "
        f"{copies} processes hold a model ({sizes / 2**20:.1f} MiB of files)",
        f"Request bodies {places.journal}, readable by you alone, until every lane has scored them "
        f"(at most {size_text(settings.journal_budget)}; {size_text(settings.max_body)} a request)",
        f"Console        {_scheme(settings)}://{settings.console_host}:{console_port}/ (status.json, report.json)",
        f"Evidence       MLflow experiment shadowserve/{deployment.model}",
        f"Limits         bodies of {settings.max_body / 2**20:g} MiB, {settings.deadline:g} s a request in a lane",
        _prints(settings, places),
        *_access(settings),
    ]


def _prints(settings: Settings, places: Places) -> str:
    """Say where what models print and log goes."""
    if settings.keep_prints:
        return f"Models' prints {places.logs}/*.prints.log, values and all, readable by you alone"
    return (
        "Models' prints go nowhere, since values may be in them; --keep-prints writes them to files"
    )


def _access(settings: Settings) -> list[str]:
    """Say who is let in where that may not be what the user expects."""
    named = "".join(f", {name}" for name in settings.allow_hosts)
    lines = []
    if kept := withheld.names(os.environ, passed=settings.pass_env):
        shown = ", ".join(kept[:MOST_NAMES]) + (
            f" and {len(kept) - MOST_NAMES} more" if len(kept) > MOST_NAMES else ""
        )
        lines.append(f"Environment    withheld from models: {shown}; --pass-env NAME passes one")
    if unset := [name for name in settings.pass_env if name not in os.environ]:
        lines.append(f"Environment    --pass-env: {', '.join(unset)} not set here")
    if settings.token_file is None and settings.host in ("0.0.0.0", "::") and not settings.tap:  # noqa: S104
        lines.append(
            f"Callers        may ask for any address of this machine, its name or localhost{named}; "
            "--allow-host adds names"
        )
    if settings.allow_origins:
        lines.append(f"Pages          of {', '.join(settings.allow_origins)} may ask the model")
    return lines


def _scheme(settings: Settings) -> str:
    return "http" if settings.ssl_certfile is None else "https"


def _loaded(supervisor: Supervisor, deployment: Deployment) -> list[str]:
    """Say what the champion takes now that it is loaded, and what all copies together may."""
    known = [
        used
        for one in supervisor.workers.children
        if (used := clock.rss_bytes(one.pid)) is not None
    ]
    if not known:
        return []
    copies = len(supervisor.workers.children) + len(deployment.lanes)
    measured = " + ".join(f"{used / 2**20:.0f}" for used in known)
    expected = max(known) * copies
    limit = clock.memory_limit_bytes()
    lines = [
        f"Memory         champion {measured} MiB; about {expected / 2**20:.0f} MiB for "
        f"{copies} copies, {'no limit' if limit is None else f'{limit / 2**20:.0f} MiB allowed'} here"
    ]
    if limit is not None and expected > limit:
        lines.append(
            "Warning        that is more than is allowed here. Lower --workers, leave challengers "
            "away or give --no-control."
        )
    champion = supervisor.places.loaded(Role.CHAMPION, deployment.champion.number)
    number = deployment.champion.number
    if decided := sharing.told(supervisor.places.sharing(Role.CHAMPION, number)):
        lines.append(f"Batching       champion: {_batching(supervisor, deployment)}")
        lines.append(f"Probe          {_probe(decided)}")
    if parts := threads.told(champion):
        lines.append(f"Parallelism    champion: {parts}")
    return lines


def _answers(deployment: Deployment) -> list[str]:
    """Say how answers are compared where that may surprise: whole numbers are names or sizes."""
    named = deployment.options.output_kind
    if named:
        return [f"Answers        compared as {named}, as --output-kind says"]
    outputs = (deployment.champion.signature or {}).get("outputs") or []
    outputs = json.loads(outputs) if isinstance(outputs, str) else outputs
    if not any(str(one.get("type")) in ("integer", "long") for one in outputs):
        return []
    return [
        "Answers        whole numbers count as classes until they prove to be quantities; --output-kind "
        "says which"
    ]


def _judging(deployment: Deployment) -> list[str]:
    """Say what each challenger is judged by, as it is frozen now."""
    table = deployment.options.verdict
    judged = {
        one.pin.label: Policy.of(table).of_challenger(deployment.place_of(one.number))
        for one in deployment.challengers
    }
    lines = [f"Judged         {one} {of.describe()}" for one, of in judged.items()]
    margin = table.get("loss_margin", 1.0)
    if margin < FEW_PERCENT:
        lines.append(
            f"Note           loss_margin = {margin:g} is a share of the champion's gain now, no difference of "
            "losses: as little as that takes very many labels. Leave the line away for 0.3."
        )
    return lines


def _batching(supervisor: Supervisor, deployment: Deployment) -> str:
    champion = deployment.champion
    return str(
        batching.batching(
            supervisor.places, Role.CHAMPION, champion.number,
            digest=champion.digest, method=deployment.options.method,
        )
    )  # fmt: skip


def _probe(decided: sharing.Sharing) -> str:
    """Say how often the model was called before any request."""
    warmed = f", and {len(decided.warmed)} times to warm it" if decided.warmed else ""
    fresh = "; a fresh instance serves" if decided.tries and decided.unknown is not None else ""
    return (
        f"tried on {decided.tried or 'nothing'}; predict was called {decided.tries} times by each process that loads the model{warmed}{fresh} "
        f"(--probe {decided.probe})"
    )


def _version_line(role: str, version: Version) -> str:
    trained = ""
    for data in version.training_data[:1]:
        when = f", {data.since} to {data.until}" if data.since and data.until else ""
        trained = f"; trained on {data.name} ({data.rows or '?'} rows{when})"
    code = "; loading it runs code that came with it" if version.executes_code else ""
    return f"{role:<14} {version.pin} registered {version.age()} ago, sha256 {(version.digest or '')[:12]}{trained}{code}"


def _abilities() -> str:
    lacking = [
        text
        for able, text in (
            (SUPPORTED, "children may outlive a killed supervisor by a second"),
            (clock.supported(), "starvation cannot be told from slowness"),
        )
        if not able
    ]
    return (
        "; ".join(lacking) or "can pin CPUs, end orphans at once and tell starvation from slowness"
    )


def _lanes_line(supervisor: Supervisor) -> str:
    words = []
    for watch in supervisor.lanes:
        state, reason = condition(watch.places)
        used = clock.rss_bytes(watch.child.pid) if watch.child.running else None
        memory = f", {used / 2**20:.0f} MiB" if used else ""
        parts = threads.told(supervisor.places.loaded(watch.name.role, watch.name.version))
        told = "; ".join(filter(None, (reason, parts)))
        words.append(f"{watch.name} {state}{memory}{f' ({told})' if told else ''}")
    return f"Lanes          {'; '.join(words)}"


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone; serving is not
        click.echo(legible(line, most=LONGEST_LINE), err=True)
