"""One registry of small versions for all live tests of a run; one deployment where tests can share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import tiny
from rig.once import once
from rig.served import Served

LONGEST_FIRST = (
    "test_docs_run.py",
    "test_surroundings.py",
    "test_dying.py",
    "test_joining_live.py",
    "test_evidence_process.py",
    "test_models.py",
)
"""Files that would leave the other core idle if they came last: a file is one worker's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; the others stay in their order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="module", autouse=True)
def _lanes_have_a_share(request) -> Iterator[None]:
    """Beside other tests, which take both cores at times, lanes that run when nobody else does stand still for minutes."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("alone") is None:
            patch.setenv("SHADOWSERVE_LANE_PRIORITY", "normal")
        yield


@pytest.fixture(scope="session")
def store() -> tiny.Store:
    """The registry of tiny versions."""
    return tiny.at(once("tiny", tiny.registered))


@pytest.fixture(scope="session")
def paired_store() -> tiny.Store:
    """The registry of models that MLflow's server serves too."""
    script = str(Path(__file__).with_name("paired.py"))
    return tiny.at(once("paired", lambda root: tiny.registered(root, script)))


@pytest.fixture(scope="session")
def champion_of(tmp_path_factory, paired_store) -> Iterator[Callable[[str], Served]]:
    """Serve one of the paired models without lanes; each is started once."""
    started: dict[str, Served] = {}

    def serve(model: str) -> Served:
        if model not in started:
            root = tmp_path_factory.mktemp(model)
            served = Served(root, paired_store, "--model", model, "--no-control", challengers=())
            started[model] = served
            served.start()
        return started[model]

    yield serve
    for served in started.values():
        served.close()


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> dict[str, Any]:
    """Small models behind MLflow's scoring app and behind the wire, in this process."""
    from pairs import make_pairs

    return make_pairs(tmp_path_factory.mktemp("pairs"))
