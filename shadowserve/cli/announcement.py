"""The announcement of a start: who is served and judged by what, where it is kept, and what this machine can do."""

from __future__ import annotations

import json
import os

from shadowserve import withheld
from shadowserve.host import clock
from shadowserve.host.leash import SUPPORTED
from shadowserve.records import Role
from shadowserve.settings.adapting import adapter_of
from shadowserve.settings.alerting import Alerting
from shadowserve.settings.policy import Policy
from shadowserve.settings.settings import Settings
from shadowserve.settings.spellings import size_text
from shadowserve.state import batching, lane_numbers, sharing, threads
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_condition import condition
from shadowserve.state.places import Places
from shadowserve.supervisor.run import Supervisor
from shadowserve.versions.version import Version

FEW_PERCENT = 0.1
"""A margin below it was most likely written when margins were differences of losses."""

MOST_NAMES = 20


def opening(
    deployment: Deployment, settings: Settings, places: Places, *, story: str, console_port: int
) -> list[str]:
    """Say what will be served, and where everything is kept."""
    from shadowserve.scorer import parity  # imports pandas, which workers need not wait for

    lines = [f"Deployment     {deployment.id} ({story})"]
    lines += [_version_line("Champion", deployment.champion)]
    lines += [_version_line("Challenger", version) for version in deployment.challengers]
    lines += [f"Challengers    {one}" for one in lane_numbers.told(deployment.lane_numbers)]
    if deployment.asked is not None:
        lines.append(
            "Challengers    as they joined and left while serving, whatever --challenger names; "
            "'shadowserve challengers' changes them"
        )
    told = (parity.said(deployment.champion, version) for version in deployment.challengers)
    lines += [f"Typing         {typing}" for typing in told if typing]
    lines += [*answers(deployment), *_adapting(deployment), *_judging(deployment)]
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
        *_kept(settings, places),
        f"Console        {scheme(settings)}://{settings.console_host}:{console_port}/ (status.json, report.json)",
        f"Evidence       MLflow experiment shadowserve/{deployment.model}",
        *_alerts(settings),
        f"Limits         bodies of {settings.max_body / 2**20:g} MiB, {settings.deadline:g} s a request in a lane",
        _prints(settings, places),
        *_access(settings),
    ]


def _kept(settings: Settings, places: Places) -> list[str]:
    """Say how long requests are kept beyond that, where they are."""
    if settings.keep_journal is None:
        return []
    return [
        f"Kept           {settings.keep_journal}, in {places.journal_archive}, readable by you alone; "
        "'shadowserve journal list' says what"
    ]


def _alerts(settings: Settings) -> list[str]:
    """Say where alerts go, without what may be secret."""
    alerting = Alerting.of(settings.alerts)
    if not alerting.webhook:
        return []
    return [
        f"Alerts         to {alerting.receiver} ({', '.join(alerting.on)}), at most {alerting.per_hour} an hour"
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


def scheme(settings: Settings) -> str:
    """Return the scheme of both ports' addresses."""
    return "http" if settings.ssl_certfile is None else "https"


def loaded(supervisor: Supervisor, deployment: Deployment) -> list[str]:
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


def answers(deployment: Deployment) -> list[str]:
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


def _adapting(deployment: Deployment) -> list[str]:
    """Say which challengers' answers are put into another form before they are compared, and by what."""
    given = deployment.options
    named = [(one, adapter_of(given.adapt_output, one.number)) for one in deployment.challengers]
    return [
        f"Adapter        {deployment.name_of(deployment.number_of(one))} is compared as {name} makes it (sha256 "
        f"{given.adapters.get(name, '')[:12]}); callers never get that"
        for one, name in named
        if name is not None
    ]


def _judging(deployment: Deployment) -> list[str]:
    """Say what each challenger is judged by, as it is frozen now."""
    table = deployment.options.verdict
    judged = {
        deployment.name_of(number): Policy.of(table).of_challenger(deployment.place_of(number))
        for number in deployment.numbers
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


def abilities() -> str:
    """Say what this system lacks of what shadowserve asks of one."""
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


def lanes_line(supervisor: Supervisor) -> str:
    """Say how each lane fares, how much memory it takes and what it notes of its model."""
    words = []
    for watch in supervisor.lanes:
        state, reason = condition(watch.places)
        used = clock.rss_bytes(watch.child.pid) if watch.child.running else None
        memory = f", {used / 2**20:.0f} MiB" if used else ""
        parts = threads.told(supervisor.places.loaded(watch.name.role, watch.name.version))
        told = "; ".join(filter(None, (reason, parts)))
        words.append(f"{watch.name} {state}{memory}{f' ({told})' if told else ''}")
    return f"Lanes          {'; '.join(words)}"
