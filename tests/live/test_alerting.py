"""Alerts of a real deployment: told once, across kills, and whatever the receiver does nobody else notices."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from rig import tiny
from rig.receiver import Receiver, hang, status
from rig.served import Load, Served, run
from shadowserve.alerts.memory import read
from shadowserve.state.places import Places

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

SETTINGS = """
[alerts]
webhook = "{url}"
"""


def served(root: Path, store: tiny.Store, receiver: Receiver) -> Served:
    root.mkdir(parents=True, exist_ok=True)
    (root / "shadowserve.toml").write_text(SETTINGS.format(url=receiver.url))
    return Served(root, store, challengers=(tiny.UNLOADABLE,))


def told(receiver: Receiver) -> list[dict]:
    """Each event that the receiver took or may have taken, by message only once."""
    by_id = {one["id"]: one for one in receiver.bodies()}
    return [event for one in by_id.values() for event in one["alerts"]]


def test_what_the_receiver_does_changes_nothing_else_and_it_hears_of_a_lane_once(tmp_path, store):
    with Receiver(hang) as receiver, served(tmp_path / "a", store, receiver) as live:
        with Load(live, callers=2) as load:
            receiver.wait(1)
            live.until(lambda: load.n > 200, "answers while the receiver hangs")
        assert set(load.told) == {"200"}
        assert load.wrong == 0
        live.until(
            lambda: not live.lane(tiny.CHAMPION, "control")["pending"], "the control to catch up"
        )
        ledger = live.ledger()
        assert ledger["balanced"]
        live.until(lambda: live.ledger()["evidence"]["state"] == "shipping", "evidence to arrive")

        receiver.answer = status(200)
        places, deployment = Places(live.state), ledger["deployment"]
        live.until(
            lambda: any(one["taken"] for one in read(places, deployment).sent),
            "an alert to be taken",
        )
        lanes = [event for event in told(receiver) if event["about"] == "lane"]
        assert [event["lane"] for event in lanes] == [f"challenger v{tiny.UNLOADABLE}"]

        # Killed at any moment, it goes on where it was.
        pid = live.titled(f"shadowserve alerts {live.state}")
        os.kill(pid, signal.SIGKILL)
        live.until(
            lambda: live.titled(f"shadowserve alerts {live.state}") not in (0, pid),
            "alerts to be back",
        )
        n = len(receiver.received)
        assert live.stop() == 0
        live.start()
        live.until(
            lambda: live.titled(f"shadowserve alerts {live.state}"), "alerts after a restart"
        )
        live.until(
            lambda: live.lane(tiny.UNLOADABLE)["state"] in ("degraded", "incompatible"),
            "the lane to fail anew",
        )
        assert live.stop() == 0
        again = [event for event in told(receiver) if event["about"] == "lane"]
        assert len(again) == 1, receiver.bodies()[n:]

        # The address is the sender's alone.
        assert "Alerts         to http://127.0.0.1" in live.said()
        files = [
            path
            for path in live.root.rglob("*")
            if path.is_file() and path.name != "shadowserve.toml"
        ]
        assert not [path for path in files if b"s3cret" in path.read_bytes()]
        listed = run("alerts", "--json", "--state-dir", str(live.state))
        assert [one["taken"] for one in json.loads(listed.stdout)["sent"]][:1] == [True]
        assert "The lane of challenger" in run("alerts", "--state-dir", str(live.state)).stdout


def test_the_webhook_can_be_tried_by_hand(tmp_path):
    with Receiver() as receiver:
        (tmp_path / "shadowserve.toml").write_text(SETTINGS.format(url=receiver.url))
        good = run("alerts", "--test", cwd=tmp_path)
        assert (good.returncode, good.stdout) == (
            0,
            f"http://127.0.0.1:{receiver.port}: taken (200).\n",
        )
        (body,) = receiver.bodies()
        assert body["alerts"][0]["about"] == "test"
        receiver.answer = status(404)
        bad = run("alerts", "--test", "--json", cwd=tmp_path)
        assert bad.returncode == 4
        assert json.loads(bad.stdout)["taken"] is False
        assert "no such webhook" in bad.stderr
        assert "s3cret" not in good.stdout + bad.stdout + bad.stderr
    (tmp_path / "shadowserve.toml").unlink()
    none = run("alerts", "--test", cwd=tmp_path)
    assert none.returncode == 2
    assert "No webhook is set here" in none.stderr
