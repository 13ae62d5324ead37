from __future__ import annotations

from pathlib import Path

from shadowserve.evidence.shipped import Shipped


def test_what_has_arrived_is_remembered_over_a_restart(tmp_path: Path) -> None:
    memory = Shipped(tmp_path / "evidence.db", "films-1")
    assert (memory.run_id("challenger v4"), memory.delivered("challenger v4")) == (None, -1)
    memory.begin("challenger v4", "run")
    memory.arrived("challenger v4", 0)
    memory.arrived("challenger v4", 1)
    memory.add_names("challenger v4", {"a[1]": "a_1_-x"})
    memory.close()
    memory = Shipped(tmp_path / "evidence.db", "films-1")
    assert (memory.run_id("challenger v4"), memory.delivered("challenger v4")) == ("run", 1)
    assert memory.names("challenger v4") == {"a[1]": "a_1_-x"}
    assert memory.run_id("control v3") is None


def test_a_forgotten_lane_begins_anew(tmp_path: Path) -> None:
    memory = Shipped(tmp_path / "evidence.db", "films-1")
    memory.begin("challenger v4", "run")
    memory.arrived("challenger v4", 3)
    memory.forget("challenger v4")
    assert (memory.run_id("challenger v4"), memory.delivered("challenger v4")) == (None, -1)


def test_a_file_that_is_no_memory_is_laid_aside(tmp_path: Path) -> None:
    (tmp_path / "evidence.db").write_text("no database, and long enough to tell" * 100)
    assert Shipped(tmp_path / "evidence.db", "films-1").delivered("challenger v4") == -1
    assert (tmp_path / "evidence.broken").exists()


def test_the_memory_is_its_owners_alone(tmp_path: Path) -> None:
    Shipped(tmp_path / "evidence.db", "films-1")
    assert (tmp_path / "evidence.db").stat().st_mode & 0o077 == 0


def test_another_deployments_lanes_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    Shipped(tmp_path / "evidence.db", "films-1").begin("challenger v4", "run")
    assert Shipped(tmp_path / "evidence.db", "films-2").run_id("challenger v4") is None
