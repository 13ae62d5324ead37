"""Environments are whole or not there: made once, from wheels of a folder, whatever ends in between."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from shadowserve.errors import ModelError
from shadowserve.scorer.isolated import environments, interpreters, tools
from shadowserve.scorer.isolated.environments import Source, find, key_of, obtain
from shadowserve.scorer.isolated.requirements import Requirements

MINOR = ".".join(map(str, sys.version_info[:2]))
WANTED = Requirements(MINOR, ("tinydep==1.0",))


def wheel(folder: Path, name: str = "tinydep", number: str = "1.0", *, filler: bytes = b"") -> Path:
    """Write a wheel with one module."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{number}.dist-info"
    files = {
        f"{name}.py": b"number = 1\n" + filler,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(content)}\n")
    file = folder / f"{name}-{number}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as out:
        for path, content in files.items():
            out.writestr(path, content)
        out.writestr(f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))
    return file


@pytest.fixture
def source(tmp_path):
    wheel(tmp_path / "wheels")
    return Source(wheels=tmp_path / "wheels")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def slow_uv(tmp_path, monkeypatch):
    """uv that notes each installation, and takes its time until a file is there."""
    go, notes = tmp_path / "go", tmp_path / "notes"
    script = tmp_path / "bin" / "uv"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        f'case "$1" in pip) echo installed >> {notes}; while [ ! -e {go} ]; do sleep 0.05; done;; esac\n'
        f'exec {tools.uv()} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return go, notes


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_environment_is_made_once_and_found_again(cache, source):
    assert find(WANTED, source, cache) is None
    made = obtain(WANTED, source, cache, name="films:4")
    assert made.libraries["tinydep"] == "1.0"
    assert made.python.startswith(MINOR)
    assert made.size_bytes > 0
    assert made.made_by in ("uv", "pip")
    told = subprocess.run(
        [made.interpreter, "-I", "-c", "import tinydep; print(tinydep.number)"], capture_output=True
    )
    assert told.stdout == b"1\n"
    assert find(WANTED, source, cache) == made
    assert obtain(WANTED, source, cache, name="films:4") == made


def test_it_holds_what_was_asked_for_and_nothing_of_the_server(cache, source):
    made = obtain(WANTED, source, cache, name="films:4")
    assert set(made.libraries) == {"tinydep"}


def test_other_requirements_another_python_or_another_source_are_another_environment(source):
    others = [
        (Requirements(MINOR, ("tinydep==1.1",)), source),
        (Requirements("3.99", WANTED.lines), source),
        (Requirements(MINOR, WANTED.lines, constraints=("x<2",)), source),
        (WANTED, Source()),
        (WANTED, Source(index="https://host.example/simple")),
    ]
    keys = {key_of(*each) for each in [(WANTED, source), *others]}
    assert len(keys) == 1 + len(others)
    with_password = Source(index="https://ann:pw@host.example/simple")
    assert key_of(WANTED, with_password) == key_of(
        WANTED, Source(index="https://bob:x@host.example/simple")
    )


def test_a_build_that_is_killed_leaves_nothing_that_is_taken_for_whole(cache, source, slow_uv):
    go, notes = slow_uv
    program = (
        "from pathlib import Path; from shadowserve.scorer.isolated.environments import Source, obtain;"
        "from shadowserve.scorer.isolated.requirements import Requirements;"
        f"obtain(Requirements({MINOR!r}, ('tinydep==1.0',)), Source(wheels=Path({str(source.wheels)!r})),"
        f" Path({str(cache)!r}), name='films:4')"
    )
    builder = subprocess.Popen([sys.executable, "-c", program])
    until(notes.exists)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert find(WANTED, source, cache) is None
    go.touch()
    made = obtain(WANTED, source, cache, name="films:4")
    assert find(WANTED, source, cache) == made
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [key_of(WANTED, source)]


def test_of_two_that_want_the_same_one_builds_and_the_other_waits(cache, source, slow_uv):
    go, notes = slow_uv
    found, said = [], []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                obtain(WANTED, source, cache, name="films:4", say=said.append)
            )
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    until(lambda: "waits for another build of it" in said and notes.exists())
    go.touch()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert notes.read_text() == "installed\n"


def test_an_environment_without_its_record_or_its_interpreter_is_none(cache, source):
    made = obtain(WANTED, source, cache, name="films:4")
    (Path(made.path) / environments.RECORD).unlink()
    assert find(WANTED, source, cache) is None
    again = obtain(WANTED, source, cache, name="films:4")
    again.interpreter.unlink()
    assert find(WANTED, source, cache) is None
    assert obtain(WANTED, source, cache, name="films:4").interpreter.exists()


def failure(wanted, source, cache):
    with pytest.raises(ModelError) as raised:
        obtain(wanted, source, cache, name="films:4")
    told = str(raised.value)
    assert told.startswith("films:4: its environment cannot be made: ")
    assert "\n" not in told
    assert find(wanted, source, cache) is None
    assert not [path for path in cache.glob("*") if path.is_dir()]
    return told


def test_requirements_that_do_not_resolve_are_told_in_a_line(cache, source):
    assert "do not resolve" in failure(Requirements(MINOR, ("tinydep==9.9",)), source, cache)


def test_an_index_that_is_away_is_told_with_the_next_step(cache, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    away = Source(index="http://ann:s3cret@127.0.0.1:9/simple")
    told = failure(WANTED, away, cache)
    assert "127.0.0.1:9/simple cannot be reached" in told
    assert "s3cret" not in told


def test_what_has_no_wheel_is_not_built(cache, source, tmp_path):
    import io
    import tarfile

    with tarfile.open(source.wheels / "onlysource-1.0.tar.gz", "w:gz") as out:
        for name, text in (
            ("setup.py", f"open({str(tmp_path / 'ran')!r}, 'w')"),
            ("PKG-INFO", "Name: onlysource\nVersion: 1.0\n"),
        ):
            entry = tarfile.TarInfo(f"onlysource-1.0/{name}")
            entry.size = len(text)
            out.addfile(entry, io.BytesIO(text.encode()))
    assert "no wheel" in failure(Requirements(MINOR, ("onlysource==1.0",)), source, cache)
    assert not (tmp_path / "ran").exists()


def test_another_hash_than_was_recorded_is_refused(cache, source):
    wrong = Requirements(MINOR, (f"tinydep==1.0 --hash=sha256:{'0' * 64}",))
    assert "another hash" in failure(wrong, source, cache)
    digest = hashlib.sha256(
        (source.wheels / "tinydep-1.0-py3-none-any.whl").read_bytes()
    ).hexdigest()
    right = Requirements(MINOR, (f"tinydep==1.0 --hash=sha256:{digest}",))
    assert obtain(right, source, cache, name="films:4").libraries == {"tinydep": "1.0"}


def test_a_full_disk_is_told_and_changes_nothing(cache, source):
    """A limit on the size of files stands for a disk that is full."""
    import resource

    wheel(source.wheels, "largedep", filler=b"#" * 2**22)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        told = failure(Requirements(MINOR, ("largedep==1.0",)), source, cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "there is no room for it" in told


def test_a_cache_that_cannot_be_written_is_told(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="XDG_CACHE_HOME"):
        obtain(WANTED, source, tmp_path / "file" / "cache", name="films:4")


def test_pip_makes_the_same_where_there_is_no_uv(cache, source, monkeypatch):
    monkeypatch.setattr(tools, "uv", lambda: None)
    made = obtain(WANTED, source, cache, name="films:4")
    assert made.libraries == {"tinydep": "1.0"}
    assert made.made_by == "pip"


def test_without_uv_and_pip_it_says_what_to_install(monkeypatch, cache, source):
    bare = obtain(WANTED, source, cache, name="films:4").interpreter
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(ModelError, match="pip install uv"):
        tools.tool()


def test_a_name_on_the_path_that_starts_nothing_is_no_interpreter(tmp_path, monkeypatch):
    """Version managers leave such shims; and a link may lead to another minor."""
    shim = tmp_path / "python3.77"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    (tmp_path / "python3.78").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for minor in ("3.77", "3.78"):
        with pytest.raises(
            ModelError, match=rf"there is no python{minor} here.*uv python install {minor}"
        ):
            interpreters.find(minor, name="films:4")


def test_this_interpreters_own_minor_is_found_without_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = interpreters.find(MINOR, name="films:4")
    assert Path(sys.prefix) not in found.parents
