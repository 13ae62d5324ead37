"""What people see in MLflow's own pages after the demo, in a real browser; docs/mlflow.md shows the pictures.

``PICTURES=docs/mlflow`` writes them there.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from rig.browser import chromium
from rig.ports import free_port
from rig.served import COMMAND
from shadowserve.evidence import links
from shadowserve.state import arrival
from shadowserve.state.places import Places

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

QUIET = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
"""
# MLflow's own invitations, which lie over what is to be seen.
REQUESTS = 1_500
PATIENCE_MS = 60_000


class Site:
    """A demo's evidence behind a real ``mlflow server``."""

    def __init__(self, address: str, root: Path) -> None:
        self.address, self.root = address, root
        pages = arrival.read(Places(root / ".shadowserve").arrival).pages
        self.run = pages["challenger v4"]
        _, _, self.experiment_id, _, self.run_id = self.run.partition("?")[0].split("/")
        self.experiment = links.experiment(self.experiment_id)

    def traces(self, where: str) -> list[dict[str, Any]]:
        """Ask the server for traces by their tags."""
        place = {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": self.experiment_id},
        }
        answer = httpx.post(
            f"{self.address}api/3.0/mlflow/traces/search",
            json={"locations": [place], "filter": where, "max_results": 100},
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return answer.json().get("traces", [])

    def tab(self, *parts: str) -> str:
        return links.run(self.experiment_id, self.run_id, *parts)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("pages")
    store = f"sqlite:///{root}/mlflow.db"
    demo = [COMMAND, "demo", "--requests", str(REQUESTS), "--port", "0", "--console-port", "0"]
    made = subprocess.run(
        [*demo, "--tracking-uri", store],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert f"?{links.LAYOUT}" in made.stderr  # the demo ends with the way there
    port = free_port()
    server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    talk = (root / "server.txt").open("wb")
    process = subprocess.Popen(
        [*server, "--port", str(port), "--workers", "1"],
        cwd=root,
        stdout=talk,
        stderr=talk,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        _await(address, process, root / "server.txt")
        yield Site(address, root)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it leaves its workers, asked kindly
        process.wait(30)
        talk.close()


def _await(address: str, process: subprocess.Popen, talk: Path) -> None:
    deadline = time.monotonic() + 180.0
    while True:
        assert process.poll() is None, talk.read_text()
        assert time.monotonic() < deadline, talk.read_text()
        try:
            if httpx.get(address, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(site, browser) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light")
    context.add_init_script(QUIET)

    def opened(fragment: str) -> Page:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{site.address}{fragment}")
        return page

    expect.set_options(timeout=PATIENCE_MS)
    yield opened
    context.close()


def picture(page: Page, name: str) -> None:
    """Keep a picture where one is asked for."""
    if (folder := os.environ.get("PICTURES")) is None:
        return
    got_it = page.get_by_role("button", name="Got it")
    if got_it.count():
        got_it.click()
    page.wait_for_timeout(1_500)  # figures and rows move into place
    path = Path(folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Small, since they lie in git: few colours are enough for text and lines.
    shot = Image.open(BytesIO(page.screenshot())).convert("RGB").resize((960, 645), Image.LANCZOS)
    shot.quantize(48).save(path, optimize=True)


def test_a_bare_visit_shows_the_layout_for_language_models(site, open_page):
    """No tag of an experiment changes it: that is why our links say which layout."""
    page = open_page(f"#/experiments/{site.experiment_id}")
    page.wait_for_url("**workflowType=genai**")
    expect(page.get_by_text("Usage").first).to_be_visible()
    picture(page, "bare")


def test_our_link_to_the_experiment_shows_runs_with_verdict_and_totals(site, open_page):
    page = open_page(site.experiment)
    expect(page.get_by_role("link", name="v3 vs v4", exact=True)).to_be_visible()
    expect(page.get_by_text("total/disagreement").first).to_be_visible()
    expect(page.get_by_text("shadowserve.verdict").first).to_be_visible()
    expect(page.get_by_text("reject", exact=True).first).to_be_visible()
    expect(page.get_by_text("films in the shadow").first).to_be_visible()
    picture(page, "experiment")


def test_a_runs_page_says_why_in_words(site, open_page):
    page = open_page(site.run)
    expect(page.get_by_text("Reject", exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("v4 in the shadow of v3")).first).to_be_visible()
    page.get_by_text("Show more").first.click()
    expect(page.get_by_text(re.compile("answers another list")).first).to_be_visible()
    expect(page.get_by_text(re.compile("features/phrases")).first).to_be_visible()
    picture(page, "run")
    wanted = site.tab("artifacts", "report.html")
    expect(page.locator(f"a[href$='{wanted}']").first).to_be_visible()


def test_a_run_names_both_models_as_its_inputs(site):
    """Its page lists models of its own experiment only; programs see both."""
    told = httpx.get(
        f"{site.address}api/2.0/mlflow/runs/get", params={"run_id": site.run_id}, trust_env=False
    ).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in told["data"]["tags"]}
    wanted = {tags[f"shadowserve.{role}.model_id"] for role in ("champion", "challenger")}
    assert {one["model_id"] for one in told["inputs"]["model_inputs"]} == wanted


@pytest.mark.parametrize("name", ["divergence", "steps", "growth"])
def test_a_figure_is_shown_as_a_picture(site, open_page, name):
    page = open_page(site.tab("artifacts", "figures", f"{name}.svg"))
    image = page.locator("img[src^='blob:'], img[src^='data:'], img[src*='artifact']").first
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 500
    picture(page, f"figure-{name}")


@pytest.mark.parametrize("name", ["slow_requests", "worst_requests"])
def test_a_table_is_shown_as_a_table(site, open_page, name):
    page = open_page(site.tab("artifacts", f"{name}.json"))
    expect(page.get_by_text("View as table")).to_be_visible()
    first = {"slow_requests": "ms", "worst_requests": "disagreement"}[name]
    expect(page.get_by_text(first, exact=True).first).to_be_visible()
    picture(page, name)


def test_the_report_opens_within_the_run(site, open_page):
    page = open_page(site.tab("artifacts", "report.html"))
    frame = page.frame_locator("iframe").first
    expect(frame.get_by_text("phrases").first).to_be_visible()
    picture(page, "report")


def test_a_list_of_traces_says_what_was_asked_and_answered(site, open_page):
    page = open_page(f"#/experiments/{site.experiment_id}/traces?{links.LAYOUT}")
    expect(page.get_by_text(re.compile(r"\"?sizes\"?")).first).to_be_visible()
    expect(page.get_by_text(re.compile("champion v3")).first).to_be_visible()
    picture(page, "traces")


def test_a_trace_shows_which_step_was_slow(site, open_page):
    where = "tag.`shadowserve.why` = 'slow' AND tag.`shadowserve.step` = 'features/phrases'"
    slow = site.traces(where)
    assert slow
    slowest = max(slow, key=lambda one: float(one["execution_duration"].removesuffix("s")))
    chosen = f"traceId={slowest['trace_id']}&selectedEvaluationId={slowest['trace_id']}"
    page = open_page(f"#/experiments/{site.experiment_id}/traces?{links.LAYOUT}&{chosen}")
    expect(page.get_by_text("Spans", exact=True)).to_be_visible()
    for name in ("challenger v4", "features/phrases"):
        shown = page.get_by_text(name, exact=True).filter(visible=True)
        expect(shown.first).to_be_visible()
    picture(page, "trace")


def test_a_versions_page_leads_to_its_run(site, open_page):
    page = open_page(links.version("films", 4))
    expect(
        page.get_by_text(re.compile("with a feature for repeated phrases")).first
    ).to_be_visible()
    expect(page.get_by_text(re.compile("In the shadow of v3")).first).to_be_visible()
    picture(page, "version")
    expect(page.locator(f"a[href$='{site.run}']").first).to_be_visible()
