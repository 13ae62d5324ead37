"""What a model writes beside its own files reaches no other process, and not what was downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.pyfunc import PythonModel

from rig.registry import register, shared_store
from shadowserve.scorer import scoring
from shadowserve.settings.options import Options
from shadowserve.versions import copies, pins
from shadowserve.versions.registry import Registry
from shadowserve.versions.version import digest_of, identity


class Writing(PythonModel):
    """Keeps a count in a database beside its files, as a cache or a lock would be."""

    def load_context(self, context):
        import sqlite3

        self.database = sqlite3.connect(Path(context.artifacts["known"]).with_name("cache.db"))
        self.database.execute("create table if not exists seen (n)")
        with Path(context.artifacts["known"]).open("a") as file:
            file.write("!")

    def predict(self, context, model_input, params=None):
        with self.database:
            self.database.execute("insert into seen values (1)")
        (n,) = self.database.execute("select count(*) from seen").fetchone()
        return [n] * len(model_input)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    root = tmp_path_factory.mktemp("writing")
    (root / "known.txt").write_text("known")
    store = shared_store()
    artifacts = {"known": str(root / "known.txt")}
    number = register(store, "writing", Writing(), artifacts=artifacts)
    registry = Registry(store.uris)
    return registry.fetch(registry.resolve(pins.parse(f"writing:{number}"), None), root / "cache")


def counted(fetched, folder):
    """Load a version in a process's own copy, and score a row with it."""
    scorer = scoring.open_version(
        fetched.version, copies.own(fetched.path, folder), options=Options(probe="none")
    )
    return scorer.score(scorer.schema.type_records([{"a": 1.0}])).output


def test_control_and_a_replaced_worker_load_what_was_downloaded(fetched, tmp_path):
    assert counted(fetched, tmp_path / "champion") == [1]
    assert counted(fetched, tmp_path / "control") == [1]
    assert counted(fetched, tmp_path / "champion") == [1]
    identity(fetched.version, fetched.path)


def test_a_copy_is_the_owners_alone_and_an_earlier_ones_leavings_go(fetched, tmp_path):
    folder = tmp_path / "lane"
    copies.own(fetched.path, folder)
    (folder / "left.txt").write_text("left")
    assert copies.own(fetched.path, folder) == folder
    assert not (folder / "left.txt").exists()
    assert not any(path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*")))
    assert digest_of(folder) == digest_of(fetched.path)


def test_a_file_too_large_to_copy_is_linked_to(fetched, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "LARGE_BYTES", 3)
    monkeypatch.setattr(copies, "_cloned", lambda file, target: False)
    copies.own(fetched.path, tmp_path / "lane")
    assert (tmp_path / "lane" / "MLmodel").is_symlink()
    assert digest_of(tmp_path / "lane") == digest_of(fetched.path)


def test_where_there_is_no_room_the_shared_files_are_used(fetched, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert copies.own(fetched.path, tmp_path / "file" / "lane") == fetched.path
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
