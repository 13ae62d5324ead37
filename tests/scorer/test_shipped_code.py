from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowserve.errors import ModelError
from shadowserve.scorer.shipped_code import forget, protected_names, shipped_code


@pytest.fixture(autouse=True)
def python_as_it_was() -> Iterator[None]:
    path, finders, modules = sys.path[:], sys.meta_path[:], set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def code(folder: Path, **modules: str) -> Path:
    """Write modules by their path without ``.py``."""
    for name, source in modules.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def import_shipped(folder: Path, name: str) -> object:
    with shipped_code(folder, name="m:1"):
        sys.path.insert(0, str(folder))  # as MLflow does while it loads
        return importlib.import_module(name)


def test_a_shipped_module_wins_over_one_on_the_path(tmp_path: Path) -> None:
    sys.path.insert(0, str(code(tmp_path / "elsewhere", own_x="x = 'elsewhere'")))
    assert import_shipped(code(tmp_path / "ship", own_x="x = 'shipped'"), "own_x").x == "shipped"


def test_a_shipped_module_can_still_be_imported_while_predicting(tmp_path: Path) -> None:
    with shipped_code(code(tmp_path / "ship", own_late="x = 1"), name="m:1"):
        pass
    sys.path.insert(0, str(code(tmp_path / "elsewhere", own_late="x = 2")))
    assert importlib.import_module("own_late").x == 1


@pytest.mark.parametrize("name", ["json", "wave", "yaml", "click", "shadowserve", "mlflow"])
def test_the_servers_own_modules_stay_even_while_mlflow_puts_code_first(
    tmp_path: Path, name: str
) -> None:
    before = importlib.util.find_spec(name)
    folder = code(tmp_path / "ship", **{name: "raise SystemExit"})
    with shipped_code(folder, name="m:1") as hidden:
        sys.path.insert(0, str(folder))
        after = importlib.util.find_spec(name)
    assert hidden == {name}
    assert before is not None
    assert after is not None
    assert after.origin == before.origin
    assert sys.path[-1] == str(folder)
    assert sys.path.count(str(folder)) == 1


def test_packages_and_folders_without_init_are_shipped_too(tmp_path: Path) -> None:
    modules = {"own_pkg/__init__": "", "own_pkg/json": "x = 1", "own_ns/part": "x = 2"}
    folder = code(tmp_path / "ship", **modules)
    assert import_shipped(folder, "own_pkg.json").x == 1
    assert import_shipped(folder, "own_ns.part").x == 2
    assert "json" not in {name for name in sys.modules if name.startswith("own_")}


@pytest.mark.parametrize("package", [False, True])
def test_another_versions_module_of_that_name_is_refused(tmp_path: Path, package: bool) -> None:
    name = "own_p/__init__" if package else "own_p"
    first = code(tmp_path / "1", **{name: "x = 1"})
    second = code(tmp_path / "2", **{name: "x = 2"})
    assert import_shipped(first, "own_p").x == 1
    path, finders = sys.path[:], sys.meta_path[:]
    with pytest.raises(ModelError, match=r"m:1 ships a module 'own_p'.* process of its own"):
        import_shipped(second, "own_p")
    assert (sys.path, sys.meta_path) == (path, finders)


@pytest.mark.parametrize("package", [False, True])
def test_the_very_same_code_may_be_loaded_twice(tmp_path: Path, package: bool) -> None:
    name = "own_q/__init__" if package else "own_q"
    folders = [code(tmp_path / n, **{name: "x = 1"}) for n in "12"]
    modules = [import_shipped(folder, "own_q") for folder in [*folders, folders[0]]]
    assert modules[0] is modules[1] is modules[2]


def test_a_failed_load_leaves_python_as_it_was(tmp_path: Path) -> None:
    folder = code(tmp_path / "ship", own_f="raise RuntimeError")
    path, finders = sys.path[:], sys.meta_path[:]
    with pytest.raises(RuntimeError):
        import_shipped(folder, "own_f")
    assert (sys.path, sys.meta_path) == (path, finders)


def test_a_version_without_code_changes_nothing(tmp_path: Path) -> None:
    path, finders = sys.path[:], sys.meta_path[:]
    for folder in (None, tmp_path / "missing"):
        with shipped_code(folder, name="m:1") as hidden:
            assert hidden == frozenset()
    assert (sys.path, sys.meta_path) == (path, finders)


def test_what_a_team_would_call_its_own_is_not_protected() -> None:
    assert not {"feats", "utils", "features", "preprocessing", "models"} & protected_names()


def test_what_is_forgotten_runs_anew_when_it_is_imported_again(tmp_path: Path) -> None:
    folder = code(tmp_path / "ship", own_counting="seen = []", elsewhere="")
    import_shipped(folder, "own_counting").seen.append(1)
    assert import_shipped(folder, "own_counting").seen == [1]
    forget(tmp_path / "ship")
    assert import_shipped(folder, "own_counting").seen == []
