"""The table and the plot of `benchmarks.peers` say what the blocks hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.peers import environments, models
from benchmarks.peers.environments import NotToBeHadError
from benchmarks.peers.rendering import best_peer, loads, plot, table
from benchmarks.peers.servers import SERVERS


def block(
    server: str, rps: float, *, kind: str = "peer", clients: int = 16, **more: Any
) -> dict[str, Any]:
    return {
        "model": "constant", "server": server, "kind": kind, "rows": 1, "clients": clients,
        "round": 0, "rps": rps, "p50_ms": 1.0, "p99_ms": 2.0, "errors": 0, "least": 9, "most": 10,
        "client_us": 40.0, **more,
    }  # fmt: skip


FOUND = [
    *(block("ours", rps, kind="ours", lane_share=0.5) for rps in (90.0, 120.0, 100.0)),
    *(block("slow", rps, errors=1) for rps in (9.0, 10.0, 11.0)),
    *(block("fast", rps) for rps in (45.0, 50.0, 55.0)),
    block("limit", 900.0, kind="limit"),
    {"left_out": "absent", "model": "constant", "reason": "no wheel"},
]


def test_a_figure_is_the_median_with_least_and_most_beside_the_best_peer() -> None:
    lines = table(FOUND).splitlines()
    ours = next(line for line in lines if "| ours |" in line)
    assert "100 (90 to 120)" in ours
    assert "| 2.00 | 0.50 |" in ours


def test_the_best_peer_is_neither_ours_nor_a_limit() -> None:
    (servers,) = loads(FOUND).values()
    assert best_peer(servers) == 50.0


def test_errors_are_added_up_and_who_is_missing_is_named() -> None:
    told = table(FOUND)
    assert "| slow | 10 (9 to 11) | 1.0 | 2 | 3 |" in told
    assert "Left out: absent: no wheel" in told


def test_the_plot_has_a_line_for_each_server(tmp_path: Path) -> None:
    more = [block(one["server"], one["rps"], kind=one["kind"], clients=64) for one in FOUND[:-1]]
    plot(tmp_path / "it.svg", [*FOUND, *more])
    root = ElementTree.parse(tmp_path / "it.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}polyline")) == 4
    assert {"ours", "slow", "fast", "limit"} <= {text.text for text in root.findall(f"{space}text")}


def test_every_server_gets_all_of_a_row() -> None:
    rows = models.rows(2)
    for server in SERVERS:
        told = str(server.form(rows))
        for row in rows:
            assert row["note"] in told, server.name
            assert str(row["income"]) in told, server.name


def test_rows_differ_and_are_the_same_each_time() -> None:
    rows = models.rows()
    assert len({row["note"] for row in rows}) == len(rows) == 500
    assert rows == models.rows()


def test_what_cannot_be_installed_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NotToBeHadError) as told:
        environments.python("bad", [f"{tmp_path}/absent-1.0-py3-none-any.whl"])
    assert "absent" in str(told.value)
    assert "\n" not in str(told.value)
    assert not any((tmp_path / "shadowserve" / "peers").iterdir())
