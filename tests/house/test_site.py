"""The documentation as a site: it builds strictly, leads nowhere wrong, and needs no other host."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sources import ROOT

from rig.pages import messages
from rig.pages.__main__ import DOCS, MADE

FETCHES = {
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href",
    "object": "data", "script": "src", "source": "src", "track": "src", "video": "src",
}  # fmt: skip
"""Elements that a browser fetches something for, without being asked."""
NO_FILE = {"canonical", "next", "prev"}
"""Relations of a link that name a page, and fetch nothing."""


class Page(HTMLParser):
    """What one page refers to, and the places in it that others may refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.classes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        self.classes |= set(given.get("class", "").split())
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in FETCHES and given.get("rel") not in NO_FILE:
            self.fetched += [given[name] for name in (FETCHES[tag], "srcset") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built where the network cannot be reached through any proxy."""
    into = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return into


@pytest.fixture(scope="module")
def read(site) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


@pytest.mark.parametrize("name", MADE)
def test_a_page_made_from_the_code_is_what_the_code_says(name):
    assert (DOCS / name).read_text() == MADE[name](), "run: python -m rig.pages"


def test_every_page_of_the_documentation_is_in_the_site(site):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    made = {page.with_name("index.html") if page.stem == "README" else page for page in pages}
    assert {page for page in made if not (site / page).exists()} == set()


def test_every_code_block_is_shown_as_one(site):
    assert [path.name for path in site.rglob("*.html") if "```" in path.read_text()] == []
    lost = [
        f"{path.relative_to(site)}: {reason}"
        for path in site.rglob("*.html")
        for reason in re.findall(r"<p>[^<]*<code>[^<]*data-shown[^<]*", path.read_text())
    ]
    assert lost == []


def test_nothing_is_fetched_from_another_host(site, read):
    away = [f for page in read.values() for f in page.fetched if urlsplit(f).netloc]
    assert away == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)]*", styles) == []
    # The theme's script fetches a library from elsewhere for pages with these, and for them alone.
    assert {"mermaid", "md-source"} & {
        name for page in read.values() for name in page.classes
    } == set()


def test_every_link_within_the_site_leads_somewhere(site, read):
    wrong = []
    for path, page in read.items():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            base = site if parts.path.startswith("/") else path.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            known = read.get(target)
            if not target.exists() or (
                known and parts.fragment and unquote(parts.fragment) not in known.ids
            ):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert wrong == []


def test_every_message_is_in_the_search_as_it_is_said(site):
    index = json.loads((site / "search/search_index.json").read_text())
    sections = [
        entry["text"]
        for entry in index["docs"]
        if entry["location"].startswith("troubleshooting.html#")
    ]
    said = [html.escape(message.text, quote=False) for message in messages.messages()]
    assert [text for text in said if not any(text in section for section in sections)] == []


def test_links_to_elsewhere_are_few_and_of_one_page(read):
    away = {path.name for path, page in read.items() for link in page.links if "https:" in link}
    assert away <= {"compare.html", "benchmarks.html", "dependencies.html", "access.html"}
