"""A settings file is looked for in the working directory, so each test has an empty one of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path
