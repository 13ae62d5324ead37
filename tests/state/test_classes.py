"""The class labels that one process leaves and another reads."""

from __future__ import annotations

import pytest

from shadowserve.state import classes


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"], [False, True], [1.5, 2.5], None])
def test_labels_are_read_back_with_their_types(tmp_path, labels):
    classes.tell(tmp_path / "classes", labels)
    found = classes.told(tmp_path / "classes")
    assert found == labels
    assert list(map(type, found or [])) == list(map(type, labels or []))


def test_what_was_never_left_or_is_damaged_says_nothing(tmp_path):
    assert classes.told(tmp_path / "classes") is None
    (tmp_path / "classes").write_text("{")
    assert classes.told(tmp_path / "classes") is None
