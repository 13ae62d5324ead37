"""Beginnings are left by each process and read by the supervisor; what is not there is not known."""

from __future__ import annotations

import pytest

from shadowserve.host import stages
from shadowserve.state import beginnings


@pytest.fixture(autouse=True)
def _forgotten():
    stages.begin(None)
    yield
    stages.begin(None)


def test_what_a_process_left_is_read(tmp_path):
    stages.begin(5)
    stages.reached("imports")
    beginnings.tell(tmp_path, "console")
    found = beginnings.read(tmp_path, "console")
    assert found is not None
    assert found.began_ns == 5
    ((stage, seconds),) = found.parts()
    assert stage == "imports"
    assert seconds == (found.stages[0][1] - 5) / 1e9


def test_where_nobody_knows_the_beginning_the_first_part_is_not_known(tmp_path, monkeypatch):
    monkeypatch.delenv(stages.VARIABLE, raising=False)
    stages.reached("imports")
    stages.reached("page")
    beginnings.tell(tmp_path, "console")
    found = beginnings.read(tmp_path, "console")
    assert found is not None
    (_, first), (_, second) = found.parts()
    assert first is None
    assert second is not None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"began_ns": 1}', '{"began_ns": "x", "stages": []}',
     '{"began_ns": 1, "stages": [["imports"]]}', '{"began_ns": 1, "stages": 3}'],
)  # fmt: skip
def test_what_is_not_legible_is_not_known(tmp_path, text):
    assert beginnings.read(tmp_path, "lane") is None
    (tmp_path / "began-lane.json").write_text(text)
    assert beginnings.read(tmp_path, "lane") is None


def test_a_folder_that_is_not_there_hinders_nobody(tmp_path):
    beginnings.tell(tmp_path / "gone", "lane")
    assert not (tmp_path / "gone").exists()
