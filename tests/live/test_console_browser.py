"""The console of a running demo in real Chromium: what people see on a desk and on a phone, light and dark.

``PICTURES=folder`` keeps pictures of every page and width there.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from rich.console import Console, Group

from rig import films
from rig.browser import chromium
from rig.ports import free_port
from rig.served import COMMAND, run
from shadowserve.cli.glance import Glance, now, texts
from shadowserve.report.page.document import render
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger
from shadowserve.state.places import Places

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

REQUESTS = 1_000
WIDTHS = {"desk": (1_400, 900), "phone": (390, 844)}
SEEN = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Where the demo runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def console(root) -> Iterator[str]:
    """The address of a demo's console, once both stories are found."""
    port = free_port()
    talk = (root / "talk.txt").open("wb")
    command = [COMMAND, "demo", "--keep", "--requests", str(REQUESTS), "--port", "0"]
    demo = subprocess.Popen(
        [*command, "--console-port", str(port), "--tracking-uri", films.registry(root)],
        cwd=root,
        stdout=talk,
        stderr=talk,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        _await_findings(address, demo, root / "talk.txt")
        yield address
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(120)
        talk.close()


def _await_findings(address: str, demo: subprocess.Popen, talk: Path) -> None:
    deadline = time.monotonic() + 480
    while True:
        assert demo.poll() is None, talk.read_text()
        assert time.monotonic() < deadline, talk.read_text()
        try:
            report = httpx.get(f"{address}report.json", trust_env=False, timeout=30).json()
            found = {one["kind"] for one in report.get("findings", ())}
            if {"concentration", "slow_feature", "lineage"} <= found:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Seen:
    """A page, and all that went wrong on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.said, self.asked = page, [], []
        page.on(
            "console",
            lambda told: self.said.append(told.text) if told.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        self.address = address

    def elsewhere(self) -> list[str]:
        """What was asked of another host."""
        return [url for url in self.asked if not url.startswith((self.address, "data:"))]


@contextmanager
def seen(
    browser: Browser, console: str, width: str = "desk", scheme: str = "light", path: str = ""
):
    across, down = WIDTHS[width]
    context = browser.new_context(
        viewport={"width": across, "height": down}, color_scheme=scheme, timezone_id="UTC"
    )
    try:
        own = Seen(context.new_page(), console)
        own.page.goto(console + path)
        expect(own.page.locator("h1")).to_be_visible()
        yield own
    finally:
        context.close()


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")
        page.screenshot(path=f"{folder}/{name}-whole.png", full_page=True)


def cut_off(page: Page) -> list[str]:
    """What reaches beyond the screen's edge and lies in nothing that scrolls."""
    return page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((one) => {
            const box = one.getBoundingClientRect();
            const beyond = box.width && (box.right > innerWidth + 1 || box.left < -1);
            return beyond && !one.closest(".scroll") && getComputedStyle(one).visibility !== "hidden";
        }).map((one) => `${one.tagName} ${one.className.baseVal ?? one.className} ${one.textContent.slice(0, 40)}`)"""
    )


@pytest.mark.parametrize(("width", "scheme"), SEEN)
def test_both_stories_are_on_the_first_screen(browser, console, width, scheme):
    with seen(browser, console, width, scheme) as own:
        for words in ("shows nearly everybody the same", "gets slow on long inputs"):
            told = own.page.locator(".worst li", has_text=words)
            expect(told).to_be_in_viewport(ratio=0.95)
        expect(own.page.locator(".verdict", has_text="reject").first).to_be_in_viewport()
        keep(own.page, f"first-{width}-{scheme}")
        assert own.said == []
        assert own.elsewhere() == []


@pytest.mark.parametrize(("width", "scheme"), SEEN)
@pytest.mark.parametrize("path", ["", "request", "step"])
def test_nothing_is_cut_off_and_nobody_is_kept_out(browser, console, width, scheme, path):
    with seen(browser, console, width, scheme) as own:
        page = own.page
        if path:
            page.locator(f'a[href^="{path}?"]').first.click()
            expect(page.get_by_role("link", name="Back to the report")).to_be_visible()
            keep(page, f"{path}-{width}-{scheme}")
        else:
            page.evaluate(
                "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
            )
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width][0]
        assert cut_off(page) == []
        found = Axe().run(page).response["violations"]
        bad = [
            (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert bad == []
        assert own.said == []
        assert own.elsewhere() == []


def test_text_in_pictures_can_be_read_on_a_phone(browser, console):
    with seen(browser, console, "phone") as own:
        sizes = own.page.evaluate(
            """() => [...document.querySelectorAll("svg text")].map((one) => {
                const scale = one.getScreenCTM();
                return parseFloat(getComputedStyle(one).fontSize) * Math.hypot(scale.b, scale.d);
            })"""
        )
        assert sizes
        assert min(sizes) >= 10.5


def test_pause_and_resume_are_heard_and_shown_without_loading_the_page_again(browser, console):
    with seen(browser, console) as own:
        page = own.page
        page.evaluate("() => { window.same = true; }")
        page.get_by_role("button", name="Pause scoring").click()
        resume = page.get_by_role("button", name="Resume scoring")
        expect(resume).to_be_visible(timeout=PATIENCE_MS)
        keep(page, "paused")
        lanes = httpx.get(f"{console}status.json", trust_env=False).json()["lanes"]
        assert {lane["state"] for lane in lanes} == {"paused"}
        resume.click()
        expect(page.get_by_role("button", name="Pause scoring")).to_be_visible(timeout=PATIENCE_MS)
        assert page.evaluate("window.same")
        assert own.said == []


def test_a_finding_is_accepted_with_a_reason_and_taken_back(browser, console):
    with seen(browser, console) as own:
        page = own.page
        article = page.locator("article", has_text="training data")
        article.locator("summary").click()
        article.get_by_label("reason").fill("The holiday's data is meant.")
        article.get_by_role("button", name="Accept").click()
        expect(article).to_contain_text("The holiday's data is meant.", timeout=PATIENCE_MS)
        keep(page, "accepted")
        article.locator("summary").click()
        article.get_by_label("reason").fill("It is not.")
        article.get_by_role("button", name="Withdraw").click()
        expect(article).not_to_contain_text("The holiday's data is meant.", timeout=PATIENCE_MS)
        assert own.said == []


def test_without_a_script_a_page_stands_and_asks_again(browser, console):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(console)
        expect(page.locator("#ledger")).to_contain_text("It balances.")
        page.get_by_role("button", name="Pause scoring").click()
        expect(page.get_by_role("button", name="Resume scoring")).to_be_visible()
        page.get_by_role("button", name="Resume scoring").click()
        expect(page.get_by_role("button", name="Pause scoring")).to_be_visible()
        assert re.search(r'<noscript><meta http-equiv="refresh"', page.content())
    finally:
        context.close()


def test_ten_tabs_load_and_are_renewed(browser, console):
    context = browser.new_context()
    try:
        pages = [context.new_page() for _ in range(10)]
        for page in pages:
            page.goto(console)
        for page in pages:
            expect(page.locator("#pulse")).to_contain_text("Updated", timeout=PATIENCE_MS)
        ticks = [page.locator("main").get_attribute("data-tick") for page in pages]
        assert all(ticks)
        expect(pages[0].locator("#pulse")).not_to_contain_text("reconnecting", timeout=PATIENCE_MS)
    finally:
        context.close()


def test_a_hidden_tab_closes_its_stream_and_opens_it_again(browser, console):
    with seen(browser, console) as own:
        page = own.page
        hide = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
        expect(page.locator("#pulse")).to_contain_text("Updated", timeout=PATIENCE_MS)
        with page.expect_event("requestfailed", lambda request: "/events?" in request.url):
            page.evaluate(hide, True)
        n = sum("/events?" in url for url in own.asked)
        with page.expect_request("**/events?*"):
            page.evaluate(hide, False)
        expect(page.locator("#pulse")).to_contain_text("Updated", timeout=PATIENCE_MS)
        assert sum("/events?" in url for url in own.asked) == n + 1


def test_a_console_that_does_not_answer_makes_the_page_look_old(browser, console):
    with seen(browser, console) as own:
        page = own.page
        expect(page.locator("#pulse")).to_contain_text("Updated", timeout=PATIENCE_MS)
        page.context.set_offline(True)
        page.route("**/events*", lambda route: route.abort())
        page.clock.install()
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        for _ in range(12):
            page.clock.fast_forward(10_000)
            page.wait_for_timeout(50)
        expect(page.locator("#banner")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("main")).to_have_class("old")
        keep(page, "disconnected")


@pytest.mark.parametrize(("width", "scheme"), SEEN)
def test_the_report_as_a_file_stands_alone(browser, console, root, tmp_path, width, scheme):
    file = tmp_path / "report.html"
    made = run("report", "--html", str(file), cwd=root)
    assert made.returncode == 0, made.stderr
    with seen(browser, file.as_uri(), width, scheme) as own:
        page = own.page
        expect(page.locator("main")).to_contain_text("gets slow on long inputs")
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width][0]
        assert cut_off(page) == []
        assert page.get_by_role("button").count() == 0  # nobody there would hear it
        keep(page, f"file-{width}-{scheme}")
        page.emulate_media(media="print")
        keep(page, f"file-{width}-{scheme}-printed")
        assert own.said == []
        assert own.elsewhere() == []


HOSTILE = (
    "<img src=x onerror=alert(1)>", "[bold red]loud[/]", "\x1b[31mred\x00\x08", "\u202egnp.exe\u200f", "W" * 500,
    "'\"><script>alert(2)</script>",
)  # fmt: skip


def renamed(told: Any, names: Mapping[str, str]) -> Any:
    """Return a report in which names of steps, columns, models and requests are others, wherever they stand."""
    if isinstance(told, str):
        for name, other in names.items():
            told = told.replace(name, other)
        return told
    if isinstance(told, Mapping):
        return {key: renamed(one, names) for key, one in told.items()}
    return [renamed(one, names) for one in told] if isinstance(told, list) else told


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_shown_as_text_and_stay_within_a_phone(
    browser, console, tmp_path, hostile
):
    report = httpx.get(f"{console}report.json", trust_env=False, timeout=60).json()
    ids = {one["payload"] for one in report["worst_requests"]}
    steps = {one["step"] for one in report["features"]}
    columns = {one["payload"]["column"] for one in report["slow_requests"]}
    assert ids
    assert steps
    names = dict.fromkeys([*ids, *sorted(steps | columns, key=len, reverse=True), "films"], hostile)
    file = tmp_path / "report.html"
    file.write_text(render(renamed(report, names)), encoding="utf-8")
    with seen(browser, file.as_uri(), "phone") as own:
        own.page.on("dialog", lambda dialog: own.said.append(dialog.message))
        own.page.evaluate(
            "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
        )
        keep(own.page, f"hostile-{HOSTILE.index(hostile)}")
        expect(own.page.locator(".verdict", has_text="reject").first).to_be_in_viewport()
        shown = own.page.locator("main").inner_text()
        assert (
            next(
                part for part in ("alert(", "loud", "31mred", "gnp.exe", "WWWW") if part in hostile
            )
            in shown
        )
        assert own.page.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"][0]
        assert cut_off(own.page) == []
        assert own.page.locator("main img, main script").count() == 0
        assert own.said == []


@pytest.mark.parametrize("width", [120, 60])
def test_watch_says_the_same_at_a_glance(browser, console, root, width):
    told = run("watch", "--once", cwd=root).stdout
    for words in ("reject", "shows nearly everybody the same", "gets slow on long inputs"):
        assert words in told
    out = Console(record=True, width=width, file=io.StringIO(), legacy_windows=False)
    places = Places(root / ".shadowserve")
    deployment = deployments.read(places)
    status = ledger.read(places, deployment).to_status(served=True)
    report = httpx.get(f"{console}report.json", trust_env=False, timeout=60).json()
    lines = list(Glance(status, report, "", now()).lines(findings=15, messages=width >= 60))
    out.print(Group(*texts(lines)))
    with seen_page(browser) as page:
        page.set_content(out.export_svg(title="shadowserve watch"))
        keep(page, f"watch-{width}")


@contextmanager
def seen_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1_400, "height": 900})
    try:
        yield context.new_page()
    finally:
        context.close()
