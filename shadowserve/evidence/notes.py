"""What MLflow's pages say of themselves in Markdown: of an experiment, a run, a registered version.

People write there too. Ours is one block between two marks, the only part that is ever replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from shadowserve.evidence import links
from shadowserve.legible import counted
from shadowserve.records import Role
from shadowserve.report.markdown import text as as_text
from shadowserve.report.wording import compared, mark, percent, short, spaced
from shadowserve.state.deployment import Deployment, LaneName

NOTE = "mlflow.note.content"
"""The tag that MLflow's pages of experiments and runs show as their description."""
BEGIN, END = "<!-- shadowserve -->", "<!-- /shadowserve -->"
MOST = 5_000
"""Characters of a whole note that every store takes."""
MOST_FINDINGS, MOST_SAID, LEAST = 8, 480, 200

plain = partial(as_text, most=MOST_SAID)
_OURS = re.compile(f"{re.escape(BEGIN)}(?:(?!{re.escape(BEGIN)}).)*?{re.escape(END)}", re.DOTALL)


def with_block(known: str, text: str) -> str:
    r"""Return a note with our block brought up to date; what others wrote stays as it is.

    Parameters
    ----------
    known : str
        The note as it stands.
    text : str
        Markdown of ours; it is cut where the note would grow too long, and left out where others fill it.

    Examples
    --------
    >>> with_block("Ask Ann.", "all well")
    'Ask Ann.\n\n<!-- shadowserve -->\nall well\n<!-- /shadowserve -->'
    >>> with_block("<!-- shadowserve -->old<!-- /shadowserve -->\nAsk Ann.", "new")
    '<!-- shadowserve -->\nnew\n<!-- /shadowserve -->\nAsk Ann.'
    """
    found = _OURS.search(known)
    before, after = (known[: found.start()], known[found.end() :]) if found else (known, "")
    if not found and before.strip():
        before = f"{before.rstrip()}\n\n"
    room = MOST - len(before) - len(after) - len(BEGIN) - len(END) - 2
    if room < min(LEAST, len(text)):
        return f"{before}{after}" if found else known
    return f"{before}{BEGIN}\n{_cut(text, room)}\n{END}{after}"


def of_experiment(deployment: Deployment, experiment_id: str) -> str:
    """Return what an experiment says of itself; the same for every deployment of the model."""
    return (
        f"**{plain(deployment.model)} in the shadow**: one run for each version that is scored beside the champion, "
        f"and for each control. [The runs with verdict and totals]({links.experiment(experiment_id)}).\n\n"
        "`total/…` is of a whole run; `divergence/…`, `ledger/…`, `latency_ms/…` and `feature_ms/…` are by window. "
        "A run holds its report, figures, tables of the slowest and the furthest requests, and traces of some."
    )


def of_control(deployment: Deployment, experiment_id: str, run_id: str) -> str:
    """Return what a control's run says of itself."""
    number = deployment.champion.number
    tables = _linked(experiment_id, run_id, {"slow requests": ("artifacts", "slow_requests.json")})
    return (
        f"**The control**: v{number}, the champion, scored again in a lane. What it disagrees with its own answers in "
        "is the noise floor; its times are the yardstick for challengers'.\n\n"
        f"{' · '.join(tables)} · {_version(deployment, number)}"
    )


def of_run(
    deployment: Deployment,
    lane: LaneName,
    report: Mapping[str, Any],
    *,
    experiment_id: str,
    run_id: str,
) -> str:
    """Return what a challenger's run says: verdict, findings, times, and where to go on.

    Parameters
    ----------
    report : mapping
        As published beside it; a part that it lacks is left out.
    """
    champion = deployment.champion.number
    # MLflow shows the first lines; the rest unfolds.
    lines = [
        f"**{plain(str(report['verdict']).capitalize())}**: {plain(deployment.label_of(lane))} in the shadow of v{champion}. "
        f"{_on(report)}",
        "",
        *_findings(report.get("findings", ())),
        *([f"**{plain(switch['says'])}**"] if (switch := report.get("switch")) else []),
        "",
        *_figures(report, champion=f"v{champion}", challenger=deployment.label_of(lane)),
        "",
    ]
    where = {
        "report": ("artifacts", "report.html"),
        "divergence over time": ("artifacts", "figures", "divergence.svg"),
        "time by step": ("artifacts", "figures", "steps.svg"),
        "slow requests": ("artifacts", "slow_requests.json"),
        "worst requests": ("artifacts", "worst_requests.json"),
        "traces": ("traces",),
    }
    versions = [_version(deployment, number) for number in (champion, lane.version)]
    lines.append(" · ".join([*_linked(experiment_id, run_id, where), *versions]))
    return "\n".join(lines)


def of_version(
    deployment: Deployment,
    report: Mapping[str, Any],
    *,
    experiment_id: str,
    run_id: str,
) -> str:
    """Return what a registered version's page says: what became of it in the shadow."""
    return (
        f"In the shadow of v{deployment.champion.number}: **{plain(report['verdict'])}**. {_on(report)} "
        f"[Why]({links.run(experiment_id, run_id)}) · "
        f"[report]({links.run(experiment_id, run_id, 'artifacts', 'report.html')})"
    )


def _on(report: Mapping[str, Any]) -> str:
    if not {"compared", "requests"} <= report.keys():
        return ""
    return f"{compared(report).capitalize()}."


def _findings(found: Any) -> Iterator[str]:
    for one in found[:MOST_FINDINGS]:
        yield f"- **{plain(one['severity'])}**, {plain(spaced(one['kind']))}: {plain(one['message'])}"
        if said := mark(one):
            yield f"  - {plain(said)}"
    if len(found) > MOST_FINDINGS:
        yield f"- and {counted(len(found) - MOST_FINDINGS, 'finding')} more in the report"
    if not found:
        yield "No findings."


def _figures(report: Mapping[str, Any], *, champion: str, challenger: str) -> Iterator[str]:
    apart = (report.get("divergence") or {}).get("disagreement") or {}
    if apart.get("mean") is not None:
        floor = report["divergence"].get("noise_floor")
        noise = f", noise floor {percent(floor)}" if floor is not None else ""
        yield f"Mean disagreement {percent(apart['mean'])}{noise} (0 same, 100 % disjoint)."
    times = report.get("latency") or {}
    told = [
        f"{plain(name)} {short(own['p50_ms'])} ms, at most {short(own['max_ms'])} ms"
        for role, name in ((Role.CHAMPION, champion), (Role.CHALLENGER, challenger))
        if (own := times.get(role.value)) and own.get("p50_ms") is not None
    ]
    if told:
        yield f"Median time of the model: {'; '.join(told)}."


def _linked(experiment_id: str, run_id: str, where: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [f"[{name}]({links.run(experiment_id, run_id, *tab)})" for name, tab in where.items()]


def _version(deployment: Deployment, number: int) -> str:
    pin = deployment.version(number).pin
    return f"[{plain(pin.model)} {pin.label}]({links.version(pin.model, pin.version)})"


def _cut(text: str, most: int) -> str:
    """Cut at a line's end, so that no mark or link is left open."""
    if len(text) <= most:
        return text
    kept = text[: max(most - 2, 0)].rpartition("\n")[0]
    return f"{kept}\n…" if kept else "…"
