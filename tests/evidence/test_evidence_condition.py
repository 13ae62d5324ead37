from __future__ import annotations

import json
from pathlib import Path

from shadowserve.evidence.condition import LONGEST_PAUSE_S, Condition
from shadowserve.evidence.undelivered import UndeliveredError

LANES = {"challenger v4": {"run_id": None, "arrived": 0, "waiting": 2}}
AWAY = UndeliveredError("No answer from x.", kind="sink_dead")
REFUSED = UndeliveredError("x: 403.", kind="sink_error", hopeless=True)


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_file_tells_state_reason_and_what_waits(tmp_path: Path) -> None:
    condition = Condition(tmp_path / "evidence.json")
    condition.good(LANES)
    assert read(condition.path) == {
        "state": "shipping",
        "kind": None,
        "reason": None,
        "since": None,
        "lanes": LANES,
        "late": [],
    }
    condition.bad(AWAY, LANES)
    told = read(condition.path)
    assert (told["state"], told["kind"], told["reason"]) == (
        "waiting",
        "sink_dead",
        "No answer from x.",
    )
    condition.bad(REFUSED, LANES)
    assert (read(condition.path)["state"], read(condition.path)["since"]) == (
        "failed",
        told["since"],
    )


def test_pauses_grow_to_a_minute_and_begin_anew_after_success(tmp_path: Path) -> None:
    condition = Condition(tmp_path / "evidence.json")
    longest = []
    for _ in range(2_000):
        condition.bad(AWAY, LANES)
        longest.append(condition.pause_s())
    assert longest[0] <= 1.0
    assert all(0.5 <= pause <= LONGEST_PAUSE_S for pause in longest)
    assert max(longest) > 50.0
    assert len(set(longest[-20:])) == 20  # jitter
    condition.good(LANES)
    condition.bad(AWAY, LANES)
    assert condition.pause_s() <= 1.0


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    condition = Condition(tmp_path / "evidence.json")
    condition.good(LANES)
    assert condition.path.stat().st_mode & 0o077 == 0
