"""A death note is read back as it was left."""

from __future__ import annotations

import json

from shadowserve.state.death import Death


def test_what_the_supervisor_leaves_is_what_the_next_process_reads(tmp_path):
    note = Death(id="7-9", positions=(3, 4), cause="deadline", step=-2, worked_ms=9.5)
    note.write(tmp_path / "death.json")
    assert Death.read(tmp_path / "death.json") == note


def test_a_note_of_the_release_before_is_read(tmp_path):
    written = {"id": "7-9", "positions": [3], "cause": "crash", "step": 1, "worked_ms": 2.0}
    (tmp_path / "death.json").write_text(json.dumps(written))
    assert Death.read(tmp_path / "death.json") == Death("7-9", (3,), "crash", 1, 2.0)
