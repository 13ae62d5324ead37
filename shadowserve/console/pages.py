"""The console's pages: the report's parts, what renews them, and what steers; and one for each state without a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from shadowserve.records import Role
from shadowserve.report import over_time
from shadowserve.report.over_time import History
from shadowserve.report.page.document import contents, document, model, parts, title
from shadowserve.report.page.html import Html, element
from shadowserve.report.page.overview import overview
from shadowserve.report.page.request import request_page
from shadowserve.report.page.step import step_page
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import Places

REFRESH_S = 10
"""How often a page asks again where no script runs."""

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Steering:
    """What a page's buttons need.

    Parameters
    ----------
    mark : str
        Shows that a page of this console sent the form.
    paused : bool
        Whether the team has asked lanes to stand still.
    """

    mark: str
    paused: bool


@dataclass(frozen=True, slots=True)
class View:
    """What one page shows: its title and its parts by name, in their order."""

    title: str
    parts: Mapping[str, Html]


@cache
def asset(name: str) -> tuple[bytes, str]:
    """Return the style sheet or the script, and a mark that changes with it."""
    room = "shadowserve.report.page" if name.endswith(".css") else "shadowserve.console"
    content = files(room).joinpath(name).read_bytes()
    return content, blake2b(content, digest_size=6).hexdigest()


def of_challenger(report: Report, challengers: Sequence[int], steering: Steering) -> View:
    """Return one challenger's page."""
    made = parts(report, linked=True)
    order = {
        "others": _others(challengers, shown=report["challenger"]),
        "schema": made.pop("schema"),
        "head": made.pop("head"),
        "steering": _steering(report, steering),
        "contents": contents(made),
        **made,
    }
    return View(title(report), order)


def of_all(reports: Sequence[Report], challengers: Sequence[int], steering: Steering) -> View:
    """Return the overview of several challengers, a column each."""
    first = reports[0]
    head = element("header", element("h1", model(first), element("small", f" champion v{first['champion']}, {len(reports)} challengers")))  # fmt: skip
    order = {
        "others": _others(challengers, shown=None),
        "head": head,
        "steering": _steering(first, steering),
        "overview": overview(reports),
    }
    return View(f"{model(first)}: {len(reports)} challengers", order)


def page(view: View, *, challenger: str, tick: str, every_s: float) -> str:
    """Return a page that is renewed: by the script part by part, else as a whole."""
    body = [element("div", part, data_part=name) for name, part in view.parts.items()]
    return _live(view.title, [*body], challenger=challenger, tick=tick, every_s=every_s)


def waiting(reason: str, *, state: str = "loading") -> str:
    """Return a page for as long as there is no report: it asks again."""
    body = [element("h1", "shadowserve"), element(f"p.empty.{state}", reason)]
    return _live("shadowserve", body, challenger="", tick="", every_s=REFRESH_S)


def of_request(told: Mapping[str, Any], deployment: Deployment, challenger: int) -> str:
    """Return the page of one request."""
    champion = deployment.champion.number
    body = request_page(told, model=deployment.model, champion=champion, challenger=challenger)
    return document(f"Request {told['challenger']['request_id']}", body, head=_style())


def of_step(
    places: Places, history: History, deployment: Deployment, challenger: int, step: str
) -> str | None:
    """Return the page of one step's history; None where no step is named."""
    if not step:
        return None
    wanted = [LaneName(Role.CHALLENGER, challenger)]
    wanted += [lane for lane in deployment.lanes if lane.role is Role.CONTROL]
    told = over_time.of_step(places, wanted, step, history)
    body = step_page(told, step, model=deployment.model, challenger=challenger)
    return document(f"Step {step}", body, head=_style())


def missing(told: str) -> str:
    """Return a page that says why there is nothing, and leads back."""
    back = element("nav", element("a", "Back to the report", href="./"), aria_label="Back")
    return document(
        "shadowserve", [back, element("h1", "shadowserve"), element("p.empty", told)], head=_style()
    )


def _live(name: str, body: Sequence[Html], *, challenger: str, tick: str, every_s: float) -> str:
    _, mark = asset("live.js")
    head = (
        f'{_style()}<script src="live.js?{mark}" defer></script>'
        f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>'
    )
    news = [
        element("div.banner", id="banner", role="alert", hidden=""),
        element("p.note.pulse", "Renewed every few seconds.", id="pulse"),
    ]
    data = {"data_challenger": challenger, "data_tick": tick, "data_every": f"{every_s:.1f}"}
    return document(name, [*news, *body], head=head, **data)


def _style() -> str:
    # Without an icon of its own a page makes browsers ask for one that is not there.
    icon = '<link rel="icon" href="data:,">'
    return f'{icon}<link rel="stylesheet" href="style.css?{asset("style.css")[1]}">'


def _steering(report: Report, steering: Steering) -> Html:
    """Return the buttons: pause, or resume; also resume where a lane has given up."""
    lanes = report["ledger"]["lanes"]
    given_up = [one for one in lanes if one["state"] == "degraded"]
    buttons = []
    if steering.paused:
        told = "Lanes stand still: what comes is counted as skipped. Callers notice nothing."
        buttons.append(_button("resume", "Resume scoring", report, steering))
    else:
        told = f"Callers get v{report['champion']}'s answers alone. A pause stops the lanes; callers notice nothing."
        buttons.append(_button("pause", "Pause scoring", report, steering))
        if given_up:
            told = (
                f"{given_up[0]['role']} v{given_up[0]['version']} has given up; its requests wait."
            )
            buttons.append(_button("resume", "Try again", report, steering))
    return element("div.steering", buttons, element("p.note", told))


def _button(action: str, says: str, report: Report, steering: Steering) -> Html:
    return element(
        "form",
        element("input", type="hidden", name_="mark", value=steering.mark),
        element("input", type="hidden", name_="challenger", value=report["challenger"]),
        element("button", says, type="submit"),
        method="post",
        action=action,
    )


def _others(challengers: Sequence[int], *, shown: int | None) -> Html:
    """Return links to the overview and to each challenger, where there are several."""
    if len(challengers) < 2:
        return Html("")
    links = [element("b", "Overview") if shown is None else element("a", "Overview", href="./")]
    links += [
        element("b", f"v{number}")
        if number == shown
        else element("a", f"v{number}", href=f"?challenger={number}")
        for number in challengers
    ]
    return element("nav", links, aria_label="Challengers")
