"""What is imported is declared, what is declared is used, and both are explained."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from sources import PACKAGE, ROOT, imports

CHOSEN_BY_UVICORN = {"httptools", "uvloop"}
OF_A_MODEL = {
    "onnx",
    "skops",
}  # read where a model of that kind is loaded, and done without where it is missing
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    """Distribution names, without bounds and markers."""
    return {re.split(r"[^\w.-]", text, maxsplit=1)[0].lower() for text in requirements}


OURS = {PACKAGE, "models"}  # the demo imports the checkout's own models
RUN_TIME = names(PROJECT["dependencies"])


def imported() -> dict[str, str]:
    """Distributions that the package imports from, each with one place."""
    providers = packages_distributions()
    found = {}
    for each in imports():
        top = each.target.partition(".")[0]
        if top not in OURS and top not in sys.stdlib_module_names:
            candidates = [name.lower().replace("_", "-") for name in providers.get(top, [top])]
            found[min(candidates, key=len)] = str(each)
    return found


def test_every_import_is_declared():
    missing = {
        name: place for name, place in imported().items() if name not in RUN_TIME | OF_A_MODEL
    }
    assert not missing, f"add to pyproject.toml and docs/dependencies.md, or do without: {missing}"


def test_every_declared_dependency_is_used():
    assert RUN_TIME - set(imported()) - CHOSEN_BY_UVICORN == set()


def test_every_dependency_is_explained():
    page = (ROOT / "docs/dependencies.md").read_text()
    rows = re.findall(r"^\| ([\w, -]+) \|", page, re.MULTILINE)
    explained = {name.strip() for row in rows for name in row.split(",")} - {"package", "---"}
    extras = names([text for extra in PROJECT["optional-dependencies"].values() for text in extra])
    assert explained == RUN_TIME | extras - {PACKAGE}


def test_constraints_are_versions_and_nothing_else():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    strange = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+", line)]
    assert strange == []
