"""A module imports only from lower floors, and some things have one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from sources import ROOT, Import, imports, modules, own, tree

STOREYS = (
    "ambience ending errors faults legible records steps withheld",  # the ground: files, and no room
    "host journal schema tap versions",
    "settings statistics wire",
    "divergence http state",
    "labels scorer",
    "check comparison serving testing",
    "judgement lane",
    "report",
    "alerts console evidence",
    "promotion replay runs supervisor",
    "rescoring",
    "cli",
)
FLOORS = {name: floor for floor, storey in enumerate(STOREYS) for name in storey.split()}
GROUND = frozenset(STOREYS[0].split())

DOORS = {
    "mlflow": {"versions.calls", "evidence", "scorer.loading"},
    "bentoml": {"serving.service"},
    "_bentoml_impl": {"serving.service"},
    "sqlite3": {
        "journal",
        "state.lane_file",
        "state.lane_reading",
        "lane.kept",
        "labels",
        "state.archive.index",
        "evidence",
    },
    "rdatasets": set(),
    "models": {"cli.demo"},
}

HEAVY = ("mlflow", "bentoml", "pandas", "numpy", "sklearn")


def room(module: str) -> str:
    """The folder that a module lies in, or the module itself where it lies in none."""
    return module.partition(".")[0]


def own_imports() -> list[tuple[Import, str]]:
    """Every import of one module of ours by another, with the module imported."""
    pairs = ((found, own(found.target)) for found in imports())
    return [(found, target) for found, target in pairs if target is not None]


def climbs(found: Import, target: str) -> bool:
    """Whether the import goes sideways or up; within a room or the ground it may go anywhere but in circles."""
    here, there = room(found.module), room(target)
    if here == there or {here, there} <= GROUND:
        return False
    return FLOORS.get(there, -1) >= FLOORS.get(here, len(STOREYS))


def test_every_module_has_a_floor():
    homeless = [name for name in modules() if name and room(name) not in FLOORS]
    assert not homeless, (
        f"{homeless} have no floor. Add each to STOREYS, above all that it imports, "
        "and ask whether it is one noun of the story."
    )


def test_every_floor_has_its_modules_once():
    names = " ".join(STOREYS).split()
    assert len(names) == len(set(names))


def test_a_module_imports_only_from_lower_floors():
    faults = [
        f"{found}  ({room(found.module)}, floor {FLOORS.get(room(found.module))}, "
        f"from {room(target)}, floor {FLOORS.get(room(target))})"
        for found, target in own_imports()
        if found.module and target and climbs(found, target)
    ]
    assert not faults, "\n" + "\n".join(faults)


def floors_table() -> str:
    """The table of docs/architecture.md: each floor with its rooms and what each is."""
    rows = ["| floor | room | what it is |", "|---|---|---|"]
    for floor, storey in reversed(list(enumerate(STOREYS))):
        for name in storey.split():
            text = ast.get_docstring(tree(modules()[name])) or ""
            rows.append(f"| {floor} | `{name}` | {text.splitlines()[0].rstrip('.')} |")
    return "\n".join(rows)


def test_the_docs_have_every_room_on_its_floor():
    docs = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert floors_table() in docs, (
        f"docs/architecture.md, section Floors, should say:\n{floors_table()}"
    )


def test_the_house_has_few_rooms_and_no_loose_furniture():
    """A newcomer reads the whole house from the door."""
    folders = {name for name, path in modules().items() if path.stem == "__init__" and name}
    rooms = {name for name in folders if "." not in name}
    beside = [p.name for p in (ROOT / "shadowserve").iterdir() if p.is_file()]
    assert len(rooms) <= 28
    assert len(STOREYS) <= 12
    assert len(beside) <= 12, sorted(beside)


def test_nobody_imports_from_the_package_root():
    faults = [str(found) for found, target in own_imports() if found.module and not target]
    assert not faults, "\n" + "\n".join(faults)


def test_no_import_goes_in_a_circle():
    """Importing a module runs its packages' ``__init__`` too, save those it lies in itself."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for found, target in own_imports():
        parts = target.split(".")
        reached = {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)} or {target}
        ancestors = {package for package in reached if f"{found.module}.".startswith(f"{package}.")}
        graph[found.module] |= reached - ancestors - {found.module, ""} | (
            {target} - {found.module, ""}
        )
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports from ".join(reversed(error.args[1])))


@pytest.mark.parametrize("stranger", DOORS)
def test_one_door_to_each_stranger(stranger):
    faults = [
        str(found)
        for found in imports()
        if found.target.partition(".")[0] == stranger
        and not any(f"{found.module}.".startswith(f"{door}.") for door in DOORS[stranger])
    ]
    allowed = ", ".join(sorted(DOORS[stranger])) or "nobody"
    assert not faults, f"only {allowed} may import {stranger}:\n" + "\n".join(faults)


def test_importing_the_package_is_cheap():
    code = f"import shadowserve, sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_champion_waits_for_no_import_of_the_supervisors():
    """Workers are begun by a process that has not imported what takes seconds."""
    heavy = ("mlflow", "bentoml", "pandas", "pyarrow", "scipy", "sklearn", "uvicorn", "rich")
    code = f"import shadowserve.cli.serving, sys; print(*[m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
