from __future__ import annotations

import os
from pathlib import Path

from shadowserve.evidence.parts import bound


def lay(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for age, name in enumerate(names):
        path = folder / f"{name}.parquet"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1_000 + age, 1_000 + age))
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.parquet"))


def test_the_newest_parts_within_the_budget_stay(tmp_path: Path) -> None:
    folder = lay(tmp_path / "a", "one", "two", "three")
    assert bound({folder: frozenset()}, budget=200) == (1, [])
    assert left(folder) == ["three", "two"]


def test_parts_that_arrived_make_room_for_those_that_wait(tmp_path: Path) -> None:
    folder = lay(tmp_path / "a", "one", "two", "three")
    assert bound({folder: frozenset({"one.parquet"})}, budget=100) == (2, [])
    assert left(folder) == ["one"]


def test_the_budget_holds_however_long_mlflow_is_away(tmp_path: Path) -> None:
    folder = lay(tmp_path / "a", "one", "two", "three")
    waiting = frozenset({"one.parquet", "two.parquet", "three.parquet"})
    assert bound({folder: waiting}, budget=100) == (0, [folder / "one.parquet", folder / "two.parquet"])  # fmt: skip
    assert left(folder) == ["three"]


def test_all_lanes_share_the_budget(tmp_path: Path) -> None:
    first, second = lay(tmp_path / "a", "old", "new"), lay(tmp_path / "b", "old", "new")
    assert bound({first: frozenset(), second: frozenset()}, budget=200) == (2, [])
    assert left(first) == left(second) == ["new"]


def test_within_the_budget_nothing_goes(tmp_path: Path) -> None:
    folder = lay(tmp_path / "a", "one")
    assert bound({folder: frozenset(), tmp_path / "missing": frozenset()}, budget=100) == (0, [])
