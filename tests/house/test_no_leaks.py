"""Nothing of one machine is tracked: no paths, no package-index lines, no binaries."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from sources import ROOT

HOMES = re.compile(r"/(?:home|Users)/\w|/root/\w")
INDEX_LINES = re.compile(r"--(?:extra-)?index-ur[l]|--find-link[s]|--trusted-hos[t]")
PICTURES = {".png", ".svg", ".gif"}


def tracked() -> list[Path]:
    """Files that git knows and that still exist."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


FILES = tracked()
TEXTS = [path for path in FILES if path.suffix not in PICTURES]


def test_there_is_something_to_look_at():
    assert ROOT / "README.md" in FILES


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Places where a pattern stands, as path:line."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("pattern", [HOMES, INDEX_LINES], ids=["home", "index"])
def test_no_file_names_somebody_s_machine(pattern):
    assert lines_with(pattern) == []


def test_no_file_names_the_directory_it_was_written_in():
    around = ROOT.parent
    shared = {Path("/"), Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")}
    place = ROOT if around in shared else around
    assert lines_with(re.compile(re.escape(f"{place}/"))) == []


def test_no_binary_is_tracked():
    assert [str(path.relative_to(ROOT)) for path in TEXTS if b"\0" in path.read_bytes()] == []
