from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.errors import ModelError
from shadowserve.versions.mlmodel import read_manifest
from shadowserve.versions.pins import Pin
from shadowserve.versions.training import TrainingData
from shadowserve.versions.version import Version, digest_of, identity, model_files, with_manifest

CREATED = datetime(2024, 5, 1, 12, tzinfo=UTC)
VERSION = Version("films", 3, CREATED.isoformat())


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_the_digest_depends_on_names_and_bytes_and_nothing_else(tmp_path: Path) -> None:
    files = {"MLmodel": "a", "code/feats.py": "b"}
    first = digest_of(write(tmp_path / "1", files))
    assert first == digest_of(write(tmp_path / "2", dict(reversed(files.items()))))
    assert first[1] == 2
    others = [
        {"MLmodel": "a", "code/feats.py": "c"},
        {"MLmodel": "a", "code/other.py": "b"},
        {"MLmodel": "ab", "code/feats.py": ""},
        {"MLmodel": "a", "code/feats.py": "b", "empty": ""},
    ]
    digests = {digest_of(write(tmp_path / f"o{n}", other))[0] for n, other in enumerate(others)}
    assert len(digests | {first[0]}) == 5


def test_what_mlflow_and_python_add_later_is_not_of_the_model(tmp_path: Path) -> None:
    folder = write(tmp_path, {"MLmodel": "a", "code/feats.py": "b"})
    before = digest_of(folder)
    write(folder, {"registered_model_meta": "x", "code/__pycache__/feats.pyc": "x"})
    assert digest_of(folder) == before
    assert [file.name for file in model_files(folder)] == ["MLmodel", "feats.py"]


@given(
    training=st.lists(
        st.builds(TrainingData, name=st.text(), rows=st.none() | st.integers(0)), max_size=2
    ),
    aliases=st.lists(st.text(), max_size=2),
    libraries=st.dictionaries(st.text(), st.text(), max_size=2),
)
def test_a_version_survives_json(
    training: list[TrainingData], aliases: list[str], libraries: dict[str, str]
) -> None:
    version = Version(
        "films",
        3,
        CREATED.isoformat(),
        aliases=tuple(aliases),
        libraries=libraries,
        training_data=tuple(training),
    )
    sent = json.loads(json.dumps({**version.to_dict(), "added_later": 1}))
    assert Version.from_dict(sent) == version


@pytest.mark.parametrize(
    ("passed", "says"),
    [
        (timedelta(seconds=5), "under a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=5, minutes=59), "5 hours"),
        (timedelta(days=3), "3 days"),
        (timedelta(days=800), "2 years"),
        (timedelta(days=-1), "under a minute"),
    ],
)
def test_age_is_said_in_its_largest_unit(passed: timedelta, says: str) -> None:
    assert VERSION.age(CREATED + passed) == says


def test_the_registrys_ids_win_over_the_files_and_gaps_are_filled(tmp_path: Path) -> None:
    write(tmp_path, {"MLmodel": "flavors: {sklearn: {}}\nmodel_id: m-1\nrun_id: r-1\n"})
    manifest = read_manifest(tmp_path)
    assert with_manifest(VERSION, manifest).model_id == "m-1"
    registered = Version("films", 3, CREATED.isoformat(), model_id="m-2", run_id="r-2")
    merged = with_manifest(registered, manifest)
    assert (merged.model_id, merged.run_id, merged.pin) == ("m-2", "r-2", Pin("films", 3))


def test_ids_that_one_side_does_not_know_prove_nothing_wrong(tmp_path: Path) -> None:
    write(tmp_path, {"MLmodel": "flavors: {sklearn: {}}\n"})
    digest = digest_of(tmp_path)[0]
    identity(Version("films", 3, "", digest=digest), tmp_path)
    identity(Version("films", 3, "", digest=digest, model_id="m-1", run_id="r-1"), tmp_path)
    with pytest.raises(ModelError, match="have digest"):
        identity(Version("films", 3, "", digest="0"), tmp_path)
