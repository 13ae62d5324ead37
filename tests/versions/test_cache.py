from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import shadowserve.versions.cache
from shadowserve.errors import ModelError, UnreachableError
from shadowserve.versions.cache import Request, obtain
from shadowserve.versions.version import digest_of


def writing(**files: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        for name, content in files.items():
            (folder / name).write_text(content)

    return fill


def request(key: str = "k", *, fill: Callable[[Path], None] | None = None) -> Request:
    return Request(key, "films:3", fill or writing(MLmodel=key))


def contents(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if len(path.name) == 64}


def test_a_directory_is_named_after_what_it_holds(tmp_path: Path) -> None:
    found = obtain(tmp_path / "new" / "cache", request())
    assert found.path.name == found.digest == digest_of(found.path)[0]
    assert (found.size_bytes, found.reused) == (1, False)


def test_the_second_time_nothing_is_filled(tmp_path: Path) -> None:
    obtain(tmp_path, request())

    def never(folder: Path) -> None:
        raise AssertionError

    assert obtain(tmp_path, request(fill=never)).reused


def test_equal_files_of_two_versions_are_kept_once(tmp_path: Path) -> None:
    paths = {obtain(tmp_path, request(key, fill=writing(a="1"))).path for key in "xy"}
    assert len(paths) == 1


@pytest.mark.parametrize("damage", ["change", "add", "remove"])
def test_a_damaged_directory_is_filled_again(tmp_path: Path, damage: str) -> None:
    first = obtain(tmp_path, request())
    if damage == "remove":
        (first.path / "MLmodel").unlink()
    else:
        (first.path / ("MLmodel" if damage == "change" else "extra")).write_text("x")
    again = obtain(tmp_path, request())
    assert (again.digest, again.reused) == (first.digest, False)
    assert digest_of(again.path)[0] == first.digest


def test_compiled_code_is_neither_trusted_nor_counted(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "code/__pycache__").mkdir(parents=True)
        (folder / "code/__pycache__/feats.pyc").write_text("from elsewhere")
        (folder / "code/feats.py").write_text("x = 1")

    found = obtain(tmp_path, request(fill=fill))
    assert not list(found.path.rglob("__pycache__"))
    (found.path / "code/__pycache__").mkdir()
    (found.path / "code/__pycache__/feats.pyc").write_text("made here")
    assert obtain(tmp_path, request(fill=fill)).reused


def test_other_files_under_the_same_version_are_refused(tmp_path: Path) -> None:
    obtain(tmp_path, request(fill=writing(a="1")))
    changed = Request("k", "films:3", writing(a="2"), digest="0" * 64)
    with pytest.raises(ModelError, match="films:3 is not what it was"):
        obtain(tmp_path, changed)
    for path in tmp_path.iterdir():
        if len(path.name) == 64:
            (path / "a").unlink()
    with pytest.raises(ModelError, match="not what it was"):
        obtain(tmp_path, request(fill=writing(a="2")))


def test_only_the_contents_used_last_stay(tmp_path: Path) -> None:
    digests = [obtain(tmp_path, request(key), keep=3).digest for key in "abc"]
    time.sleep(0.02)
    obtain(tmp_path, request("a"), keep=3)
    newest = obtain(tmp_path, request("d"), keep=3).digest
    assert contents(tmp_path) == {digests[0], digests[2], newest}


def test_what_somebody_needs_stays_whatever_else_comes(tmp_path: Path) -> None:
    served = obtain(tmp_path, request("served")).digest
    for key in "abcd":
        time.sleep(0.002)
        obtain(tmp_path, request(key), keep=2, spared={served})
    assert served in contents(tmp_path)
    assert len(contents(tmp_path)) == 3


def test_twenty_restarts_take_no_more_room_than_one(tmp_path: Path) -> None:
    sizes = set()
    for _ in range(20):
        obtain(tmp_path, request())
        sizes.add(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
    assert len(sizes) == 1


def test_a_failed_or_killed_download_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".part-killed").mkdir()
    (tmp_path / ".part-killed/half").write_text("x")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ConnectionResetError

    with pytest.raises(UnreachableError, match="cannot be used"):
        obtain(tmp_path, request(fill=fail))
    assert not list(tmp_path.glob(".part-*"))
    assert not contents(tmp_path)


def test_room_is_checked_before_the_download(tmp_path: Path) -> None:
    huge = Request("k", "films:3", writing(a="1"), size_bytes=10**18)
    with pytest.raises(UnreachableError, match=r"films:3 needs 1,000,000,000,000 MB .* are free"):
        obtain(tmp_path, huge)


def test_a_place_that_cannot_be_a_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreachableError, match="--state-dir"):
        obtain(tmp_path / "file" / "cache", request())


def test_eight_contents_stay_by_default(tmp_path: Path) -> None:
    for n in range(shadowserve.versions.cache.KEEP + 2):
        obtain(tmp_path, request(str(n)))
    assert len(contents(tmp_path)) == shadowserve.versions.cache.KEEP == 8
