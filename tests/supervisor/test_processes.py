"""What each process of a deployment is told: models no secret that the team has not named, ports their gate."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from shadowserve.host.placement import place
from shadowserve.records import Role
from shadowserve.settings.gate import PREFIX, VARIABLE
from shadowserve.settings.settings import Settings
from shadowserve.state.deployment import LaneName
from shadowserve.state.places import Places
from shadowserve.supervisor.processes import Processes
from shadowserve.versions.stores import Uris

ADDRESSES = Uris(
    "http://ann:ann-s-password@mlflow.example", "http://ann:ann-s-password@mlflow.example"
)
ASKED = Settings(pass_env=("HF_TOKEN",))


@pytest.fixture
def environs(tmp_path, monkeypatch):
    """Return the environments of worker, lane, console and evidence writer for some settings."""
    for name in ("DB_PASS", "HF_TOKEN", "SORT_KEY"):
        monkeypatch.setenv(name, f"value-of-{name}")
    places = Places(tmp_path)
    places.make()

    def made(settings: Settings) -> dict[str, dict[str, str]]:
        placement = place(workers=1, lanes=1)
        processes = Processes(settings, places, placement, ADDRESSES, "start")
        with socket.socket() as listener:
            children = {
                "worker": processes.worker(0, listener),
                "lane": processes.lane(LaneName(Role.CHALLENGER, 4)).child,
                "console": processes.console(listener),
                "evidence": processes.evidence(),
            }
        return {name: dict(child.env) for name, child in children.items()}

    return made


def test_champion_and_lanes_see_the_same_and_no_secret_but_the_named_one(environs):
    told = environs(ASKED)
    for name in ("worker", "lane"):
        seen = told[name]
        assert "DB_PASS" not in seen
        assert seen["HF_TOKEN"] == "value-of-HF_TOKEN"
        assert seen["SORT_KEY"] == "value-of-SORT_KEY"
        assert seen["MLFLOW_TRACKING_URI"] == "http://mlflow.example"
        assert seen["MLFLOW_TRACE_SAMPLING_RATIO"] == "0"
        assert "ann-s-password" not in json.dumps(seen)


def test_the_console_gets_no_secret_and_the_evidence_writer_all(environs):
    told = environs(ASKED)
    assert not {"DB_PASS", "HF_TOKEN"} & set(told["console"])
    assert told["evidence"]["DB_PASS"] == "value-of-DB_PASS"
    assert told["evidence"]["SHADOWSERVE_TRACKING_URI"] == ADDRESSES.tracking


def test_origins_are_for_the_data_plane_alone_and_names_for_both_ports(environs):
    asked = replace(
        ASKED, allow_origins=("https://shop.example",), allow_hosts=("models.example",),
        root_path="/films",
    )  # fmt: skip
    told = environs(asked)
    worker, console = (json.loads(told[name][VARIABLE]) for name in ("worker", "console"))
    assert (worker[2], console[2]) == (["https://shop.example"], [])
    assert all("models.example" in one[0] for one in (worker, console))
    assert told["worker"][PREFIX] == told["console"][PREFIX] == "/films"
    assert VARIABLE not in told["lane"]


def test_prints_are_kept_only_where_asked_for(environs, tmp_path):
    assert not any("SHADOWSERVE_PRINTS" in seen for seen in environs(ASKED).values())
    told = environs(replace(ASKED, keep_prints=True))
    paths = {name: told[name].get("SHADOWSERVE_PRINTS") for name in told}
    assert paths["worker"] == str(tmp_path / "logs" / "champion-0.prints.log")
    assert paths["lane"] == str(tmp_path / "logs" / "lane-challenger-v4.prints.log")
    assert paths["console"] is paths["evidence"] is None
