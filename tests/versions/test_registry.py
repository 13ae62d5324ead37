from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from rig.registry import (
    DOTTED,
    FRAME,
    LABELS,
    SPOKEN,
    Store,
    register,
    register_uri,
    shared_store,
    use,
)
from shadowserve.errors import ModelError, RegistryError, UnreachableError
from shadowserve.versions import registry as registries
from shadowserve.versions.pins import Pin, Reference, parse
from shadowserve.versions.registry import Registry, Uris, identity
from shadowserve.versions.version import Version, digest_of

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def store() -> Store:
    return shared_store()


@pytest.fixture(scope="module")
def registry(store: Store) -> Registry:
    return Registry(store.uris)


def line(slope: float) -> LinearRegression:
    return LinearRegression().fit(FRAME, FRAME["a"] * slope)


def empty(folder: Path) -> Registry:
    uri = f"sqlite:///{folder}/empty.db"
    return Registry(Uris(uri, uri))


def test_a_reference_resolves_to_its_number(registry: Registry) -> None:
    assert registry.resolve(parse("v02"), "films") == Pin("films", 2)
    assert registry.resolve(parse("models:/films/1")) == Pin("films", 1)
    assert registry.resolve(parse("films:1"), "another") == Pin("films", 1)


def test_an_alias_is_looked_up_once_and_the_pin_stays(store: Store, registry: Registry) -> None:
    for slope in (1.0, 2.0):
        register(store, "moving", line(slope))
    store.client.set_registered_model_alias("moving", "champ", "1")
    pin = registry.resolve(parse("@champ"), "moving")
    store.client.set_registered_model_alias("moving", "champ", "2")
    assert pin == Pin("moving", 1)
    assert registry.describe(pin).number == 1
    assert registry.resolve(parse("moving@champ")) == Pin("moving", 2)
    assert registry.describe(Pin("moving", 2)).aliases == ("champ",)


@pytest.mark.parametrize("name", [DOTTED, SPOKEN, "映画", "team@home", "it's"])
def test_names_with_dots_spaces_and_any_script_are_found(
    store: Store, registry: Registry, name: str, tmp_path: Path
) -> None:
    number = register(store, name, line(3.0))
    pin = registry.resolve(parse(f"models:/{name}/0{number}"))
    assert pin == Pin(name, number)
    assert [version.pin for version in registry.versions(name)] == [pin]
    assert registry.fetch(pin, tmp_path).version.pin == pin
    assert name in registry.models()


@pytest.mark.parametrize(
    ("text", "model", "says"),
    [
        ("v9", "films", "Model 'films' has no version 9. It has v1, v2."),
        ("@nobody", "films", "Model 'films' has no alias '@nobody'. It has @champion."),
        ("v1", "nope", "No model 'nope' at .* Registered: .*films"),
        ("@champion", "nope", "No model 'nope'"),
        ("v1", None, "Several models are registered: .*films.* Say which: --model."),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    store: Store, registry: Registry, text: str, model: str | None, says: str
) -> None:
    register(store, "likes", line(1.0))
    with pytest.raises(RegistryError, match=says):
        registry.resolve(parse(text), model)


def test_the_only_model_is_the_default_and_an_empty_registry_says_so(
    tmp_path: Path,
) -> None:
    registry = empty(tmp_path)
    with pytest.raises(RegistryError, match="No model is registered"):
        registry.default_model()
    registry.calls.client.create_registered_model("only")
    assert registry.default_model() == "only"
    with pytest.raises(RegistryError, match=r"has no version 1\. It has none"):
        registry.resolve(parse("1"))


def test_a_version_that_is_not_ready_is_refused(store: Store, registry: Registry) -> None:
    number = register(store, "unready", line(1.0))
    _run_sql(
        store.uris.tracking,
        "UPDATE model_versions SET status='PENDING_REGISTRATION' WHERE name='unready'",
    )
    with pytest.raises(RegistryError, match="not ready"):
        registry.resolve(Reference("unready", number, None))


def test_a_version_records_where_it_comes_from(registry: Registry, tmp_path: Path) -> None:
    fetched = registry.fetch(Pin("films", 1), tmp_path)
    version = fetched.version
    assert version.model_id is not None
    assert version.source == f"models:/{version.model_id}"
    assert version.run_id is not None
    assert version.aliases == ("champion",)
    assert (version.flavors, version.loader_module) == (("sklearn",), "mlflow.sklearn")
    assert (version.serialization, version.executes_code) == ("cloudpickle", True)
    assert version.signature is not None
    assert [column["name"] for column in version.signature["inputs"]] == ["a", "b"]
    assert version.input_example == "serving_input_example.json"
    assert {"python", "mlflow", "scikit-learn", "numpy"} <= set(version.libraries)
    assert (version.digest, version.size_bytes) == digest_of(fetched.path)
    (data,) = version.training_data
    assert (data.name, data.rows, data.since) == ("events", 4, None)
    assert version == registry.describe(Pin("films", 1))
    assert Version.from_dict(json.loads(json.dumps(version.to_dict()))) == version


def test_the_runs_tags_tell_the_time_range_and_other_data_has_another_digest(
    registry: Registry,
) -> None:
    first, second = registry.versions("films")
    assert [first.number, second.number] == [1, 2]
    assert (second.training_data[0].since, second.training_data[0].until) == (
        "2020-04-01",
        "2020-04-13",
    )
    assert first.training_data[0].digest != second.training_data[0].digest


def test_a_run_that_is_gone_tells_nothing_of_the_training_data(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    number = register(store, "orphan", line(1.0), data=FRAME)
    version = registry.describe(Pin("orphan", number))
    assert version.training_data
    _run_sql(
        store.uris.tracking, f"UPDATE model_versions SET run_id='0' WHERE run_id='{version.run_id}'"
    )
    assert registry.versions("orphan")[0].training_data == ()
    with pytest.raises(ModelError, match="not what the registry says: its files have run"):
        registry.fetch(Pin("orphan", number), tmp_path)


def test_a_version_without_model_id_is_found_and_proven_by_run_and_digest(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    """As MLflow 2 logged: files in a run's artifacts, no id in them, a path as the source."""
    import mlflow

    folder = tmp_path / "old"
    with use(store):
        mlflow.sklearn.save_model(
            line(5.0), str(folder), pip_requirements=[], serialization_format="cloudpickle"
        )
        registered = store.client.create_registered_model("old") and register_source(store, folder)
    version = registry.fetch(Pin("old", registered), tmp_path / "cache").version
    assert (version.model_id, version.run_id) == (None, None)
    assert version.digest == digest_of(folder)[0]


def register_source(store: Store, folder: Path) -> int:
    return int(store.client.create_model_version("old", folder.as_uri()).version)


def test_a_wrong_default_store_changes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another store holds a model of the same name; every MLflow default points there."""
    wrong = make_wrong_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", wrong.uris.tracking)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", wrong.uris.tracking)
    right = Registry(store.uris)
    fetched = right.fetch(right.resolve(parse("films:1")), tmp_path / "cache")
    assert fetched.version.run_id == store.client.get_model_version("films", "1").run_id
    wrong_version = wrong.client.get_model_version("films", "1")
    assert fetched.version.run_id != wrong_version.run_id


def make_wrong_store(tmp_path: Path) -> Store:
    folder = tmp_path / "wrong"
    shutil.copytree(shared_store().root, folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    from mlflow import MlflowClient

    wrong = Store(Uris(uri, uri), folder, MlflowClient(uri, uri))
    _run_sql(wrong.uris.tracking, "UPDATE model_versions SET run_id='0'")
    return wrong


def test_a_source_that_only_names_a_model_is_looked_up_at_our_address(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    number = register(store, "indirect", line(1.0))
    _run_sql(
        store.uris.tracking, "UPDATE model_versions SET storage_location=NULL WHERE name='indirect'"
    )
    assert registry.fetch(Pin("indirect", number), tmp_path).path.is_dir()


def test_two_registrations_of_one_model_share_their_files(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    register(store, "twice", line(1.0))
    second = register_uri(store, "twice", registry.describe(Pin("twice", 1)).source or "")
    paths = [registry.fetch(Pin("twice", n), tmp_path).path for n in (1, second)]
    assert paths[0] == paths[1]


def test_files_are_fetched_once_and_reused(registry: Registry, tmp_path: Path) -> None:
    first = registry.fetch(Pin("films", 1), tmp_path)
    again = registry.fetch(Pin("films", 1), tmp_path)
    assert (first.reused, again.reused) == (False, True)
    assert first.path == again.path == tmp_path / str(first.version.digest)


def test_versions_that_are_fetched_together_leave_each_other_room(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "obtain", partial(registries.obtain, keep=1))
    pins = [Pin("films", 1), Pin("films", 2)]
    found = registry.fetch_all([*pins, pins[0]], tmp_path)
    assert list(found) == pins
    assert all((one.path / "MLmodel").is_file() for one in found.values())
    registry.fetch(pins[1], tmp_path)
    assert not found[pins[0]].path.exists()


def test_a_damaged_cache_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    first = registry.fetch(Pin("films", 1), tmp_path)
    (first.path / "model.pkl").write_bytes(b"damaged")
    again = registry.fetch(Pin("films", 1), tmp_path)
    assert not again.reused
    assert digest_of(again.path)[0] == first.version.digest


def test_files_changed_under_a_registered_version_are_refused(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    number = register(store, "changed", line(1.0))
    fetched = registry.fetch(Pin("changed", number), tmp_path)
    source = Path(registry.calls.location(fetched.version.pin).removeprefix("file://"))
    with (source / "model.pkl").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="not what it was"):
        registry.fetch(fetched.version.pin, tmp_path)


def test_files_that_are_gone_are_named(store: Store, registry: Registry, tmp_path: Path) -> None:
    number = register(store, "gone", line(1.0))
    shutil.rmtree(registry.calls.location(Pin("gone", number)).removeprefix("file://"))
    for look in (registry.describe, lambda pin: registry.fetch(pin, tmp_path)):
        with pytest.raises(RegistryError, match="files are gone"):
            look(Pin("gone", number))


def test_identity_refuses_every_difference(registry: Registry, tmp_path: Path) -> None:
    fetched = registry.fetch(Pin("films", 1), tmp_path)
    identity(fetched.version, fetched.path)
    for wrong, says in [
        (replace(fetched.version, digest="0" * 64), "have digest"),
        (replace(fetched.version, model_id="m-0"), "have model id"),
        (replace(fetched.version, run_id="0"), "have run"),
        (replace(fetched.version, digest=None), "no recorded digest"),
    ]:
        with pytest.raises(ModelError, match=says):
            identity(wrong, fetched.path)
    (fetched.path / "model.pkl").write_bytes(b"another")
    with pytest.raises(ModelError, match="films:1 is not what the registry says"):
        identity(fetched.version, fetched.path)


def _fetch(uris: Uris, cache: Path) -> tuple[str, bool]:
    fetched = Registry(uris).fetch(Pin("films", 2), cache)
    return str(fetched.path), fetched.reused


def test_five_processes_at_once_share_one_download(store: Store, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(5) as pool:
        found = pool.starmap(_fetch, [(store.uris, tmp_path)] * 5, chunksize=1)
    assert len({path for path, _ in found}) == 1
    assert sum(not reused for _, reused in found) == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == sorted(
        [Path(found[0][0]).name, "index"]
    )


def test_an_outdated_store_is_told_apart_from_an_unreachable_one(
    store: Store, tmp_path: Path
) -> None:
    shutil.copy(store.root / "mlflow.db", tmp_path / "old.db")
    uri = f"sqlite:///{tmp_path}/old.db"
    _run_sql(uri, "UPDATE alembic_version SET version_num='cfd24bdc0731'")
    with pytest.raises(RegistryError, match="mlflow db upgrade"):
        Registry(Uris(uri, uri)).models()


def test_a_server_that_is_gone_fails_in_one_redacted_line() -> None:
    """In a process of its own, as MLflow reads its patience from the environment."""
    program = (
        "import sys; from shadowserve.versions.registry import *;\n"
        "try: Registry(Uris(*2 * ['http://user:s3cret@127.0.0.1:1'])).models()\n"
        "except UnreachableError as e: print(e)"
    ).replace("UnreachableError", "Exception")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "cannot be used" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert "s3cret" not in done.stdout + done.stderr


@pytest.fixture
def server(store: Store, tmp_path: Path, free_port: int) -> Iterator[str]:
    """A real MLflow server over a copy of the store, handing out the files itself."""
    import time

    folder = tmp_path / "served"
    shutil.copytree(store.root, folder)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(free_port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "proxied")]
    process = subprocess.Popen(
        command,
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        from shadowserve.versions.stores import preflight

        uri = f"http://127.0.0.1:{free_port}"
        for _ in range(120):
            try:
                preflight(Uris(uri, uri))
                break
            except UnreachableError:
                time.sleep(0.5)
        yield uri
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_remote_registry_hands_out_the_same_version(server: str, tmp_path: Path) -> None:
    """Files come through the server's artifact proxy, never from this machine's disk."""
    from mlflow import MlflowClient

    remote = Store(Uris(server, server), tmp_path, MlflowClient(server, server))
    remote.client.create_experiment("remote", artifact_location="mlflow-artifacts:/remote")
    model = LogisticRegression().fit(FRAME, LABELS)
    number = register(remote, "remote", model, experiment="remote", data=FRAME)
    registry = Registry(remote.uris)
    pin = registry.resolve(parse(f"remote:{number}"))
    described = registry.describe(pin)
    fetched = registry.fetch(pin, tmp_path / "cache")
    assert replace(fetched.version, digest=None, size_bytes=None) == described
    assert fetched.version.digest == digest_of(fetched.path)[0]
    assert fetched.version.training_data[0].rows == 4
    assert registry.fetch(pin, tmp_path / "cache").reused


def _run_sql(uri: str, statement: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    engine.dispose()
