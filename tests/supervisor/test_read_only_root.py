"""On a read-only root, home, temporary files and caches lie below the state directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from shadowserve.supervisor import surroundings


@pytest.fixture(autouse=True)
def found_anew():
    yield
    tempfile.tempdir = None


def test_what_is_there_is_left_as_it_is(tmp_path):
    environ = {"HOME": str(tmp_path)}
    assert surroundings.settle(tmp_path / "state", environ) == []
    assert environ == {"HOME": str(tmp_path)}


@pytest.mark.parametrize("home", [None, "", "/nonexistent", __file__])
def test_a_home_that_cannot_be_written_is_replaced_with_its_caches(tmp_path, home):
    environ = {} if home is None else {"HOME": home}
    environ["MPLCONFIGDIR"] = "/mine"
    found = surroundings.settle(tmp_path / "state", environ)
    assert found == ["HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"]
    assert environ["MPLCONFIGDIR"] == "/mine"
    for name in found:
        place = Path(environ[name])
        assert place.is_relative_to(tmp_path / "state")
        assert place.is_dir()


def test_without_any_place_for_temporary_files_one_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    environ = {"HOME": str(tmp_path)}
    assert surroundings.settle(tmp_path / "state", environ) == ["TMPDIR"]
    assert Path(environ["TMPDIR"]) == tmp_path / "state" / "tmp"


STORY = """
import os, sys, tempfile
from pathlib import Path
from shadowserve.supervisor import surroundings
os.chdir("/")
print(sorted(surroundings.settle(Path(sys.argv[1]))))
with tempfile.NamedTemporaryFile() as file:
    print(file.name.startswith(sys.argv[1]))
"""


def test_it_holds_on_a_read_only_root(tmp_path):
    """The real thing: everything is read-only but the state directory."""
    state = tmp_path / "state"
    state.mkdir()
    space = ["unshare", "--mount", "sh", "-ec"]
    mounts = (
        f"mount --bind {state} {state}; mount -o remount,bind,ro /; "
        "mount -t tmpfs -o ro none /var/tmp; mount -t tmpfs -o ro none /dev/shm; "
    )
    if shutil.which("unshare") is None or subprocess.run([*space, mounts], check=False, capture_output=True).returncode:  # fmt: skip
        pytest.skip("needs the right to mount")
    command = f"{mounts} exec {sys.executable} -c '{STORY}' {state}"
    ran = subprocess.run([*space, command], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    named, kept = ran.stdout.splitlines()
    assert "HOME" in named
    assert "TMPDIR" in named
    assert kept == "True"
