"""Every code block of README and documentation runs, beside one small deployment of the demo's films."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pytest

from models import traffic
from rig import films, tiny
from rig.pages import command
from rig.pages.blocks import PROSE, ROOT, RUN, Block, blocks, indented, pages
from rig.pages.interpreter import Interpreter
from rig.served import Served
from shadowserve.settings.loading import load

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

PAGES = [page for page in pages() if any(block.language in RUN for block in blocks(page))]
SHADOW = ("--model", "films", "--champion", "v3", "--challenger", "v4", "--batch", "on")
REQUESTS = 400  # by then each fault of v4 is found
SECRETS = ("SHADOWSERVE_", "MLFLOW_")


@dataclass
class Place:
    """The directory that pages speak of: a registry, settings, and what is served from there.

    What several pages show alike runs once; ``said`` keeps what came of it.
    """

    root: Path
    served: Served
    environ: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """Return a block's text with the ports that are really used."""
        for name, port in (("3000", "port"), ("3001", "console_port")):
            if self.served.facts.get(port):
                text = text.replace(f"127.0.0.1:{name}", f"127.0.0.1:{self.served.facts[port]}")
        return text


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    """Films v3 with v4 in its shadow, some requests later."""
    root = tmp_path_factory.mktemp("docs")
    uri = films.registry(root)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    environ["PYTHONPATH"] = str(ROOT)
    (root / "shadowserve.toml").write_bytes((ROOT / "shadowserve.toml").read_bytes())
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/activate").write_text("")
    commands = command.install(root / "commands")
    environ["PATH"] = f"{commands}:{Path(sys.executable).parent}:{environ['PATH']}"
    environ["CURL_HOME"] = str(root)
    # What a model needs besides takes ten seconds to find out, for each that a page logs.
    environ["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "1"
    (root / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    served = _served(root, uri, ".shadowserve", *SHADOW, "--keep-journal", "7d")
    with served:
        for number, record in enumerate(islice(traffic.films(REQUESTS), REQUESTS)):
            answer = served.client.post(
                f"{served.url}/invocations",
                json={"dataframe_records": [record]},
                headers={"X-Request-ID": f"order-{number}"},
            )
            assert answer.status_code == 200, answer.text
        served.settled()
        yield Place(root, served, environ)


def _served(root: Path, uri: str, state: str, *options: str) -> Served:
    """Films, to be served from a place."""
    served = Served(root, tiny.Store(uri, root / "mlflow.db"))
    served.talk, served.state = root / f"{state}.txt", root / state
    ports = ("--port", "0", "--console-port", "0")
    where = ("--tracking-uri", uri, "--state-dir", str(served.state))
    served.arguments = [*options, *(() if "--tap" in options else ports), *where]
    return served


@pytest.fixture(scope="module")
def tapped(place) -> Iterator[Place]:
    """The same place, where a server elsewhere answers: its page speaks of the tap."""
    uri = f"sqlite:///{place.root / 'mlflow.db'}"
    options = (*SHADOW, "--tap", "--console-port", "0")
    with _served(place.root, uri, "tapped", *options) as served:
        yield replace(place, served=served)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page, place, request):
    place = request.getfixturevalue("tapped") if page.stem == "tap" else place
    interpreter = Interpreter(place.root, place.environ)
    try:
        faults = [fault for block in blocks(page) if (fault := _fault(block, place, interpreter))]
    finally:
        interpreter.close()
    assert not faults, "\n\n".join(faults)


def _fault(block: Block, place: Place, interpreter: Interpreter) -> str:
    """Return what is wrong with a block; empty if it runs."""
    text = place.here(block.text)
    if block.title is not None:
        (place.root / block.title).write_text(text)
    if block.shown is not None or block.language in PROSE:
        return ""
    if block.language == "sh":
        if text not in place.said:
            place.said[text] = _shell(text, place)
        said = place.said[text]
    elif block.language == "python":
        said = interpreter.run(block, text)
    else:
        said = _read(block, text, place)
    return f"{block.place}\n{text}\n{said}" if said else ""


def _shell(text: str, place: Place) -> str:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=place.root,
        env=place.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    return f"exit code {ran.returncode}: {ran.stdout}" if ran.returncode else ""


def _read(block: Block, text: str, place: Place) -> str:
    """Read what is data: JSON, or settings."""
    file = place.root / "shown.toml"
    file.write_text(text)
    try:
        if block.language == "json":
            json.loads(text)
        elif block.language == "toml":
            load({}, file=file, environ={})
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page):
    assert [b.place for b in blocks(page) if b.language not in (*RUN, *PROSE) and not b.title] == []
    assert list(indented(page)) == []


def test_few_blocks_are_only_shown_and_each_says_why():
    shown = [block for page in pages() for block in blocks(page) if block.shown is not None]
    assert [block.place for block in shown if len(block.shown.split()) < 3] == []
    assert len(shown) <= 5
