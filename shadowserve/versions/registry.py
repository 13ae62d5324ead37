"""The only door to the MLflow model registry: from a reference to one version's verified files.

A reference is resolved once, at start; from then on only the `Pin` is used, so an alias that moves
changes nothing that runs. Every call carries its own addresses: MLflow's global state and a wrong
default in the environment do not matter. MLflow is imported when a `Registry` is made, not before.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shadowserve.errors import RegistryError, ShadowserveError, UnreachableError
from shadowserve.versions import downloads
from shadowserve.versions.cache import Request, obtain
from shadowserve.versions.mlmodel import SMALL_FILES, read_manifest
from shadowserve.versions.pins import Pin, Reference
from shadowserve.versions.stores import Uris, preflight, redact, uris
from shadowserve.versions.training import TrainingData, training_data
from shadowserve.versions.version import Version, digest_of, identity, model_files, with_manifest

__all__ = ["Fetched", "Registry", "Uris", "Version", "identity", "preflight", "redact", "uris"]

_LOGGED_MODEL = re.compile(r"models:/(m-[0-9a-f]{32})")
_REGISTERED = re.compile(r"models:/([^/]+)/([0-9]+)")
# A registry whose names lead in a circle must not hold up the start for ever.
_MAX_HOPS = 5
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version's files, complete and verified, and everything known of the version."""

    version: Version
    path: Path
    reused: bool


class Registry:
    """A model registry and the tracking server that knows its runs.

    Parameters
    ----------
    addresses : Uris
        Checked by `preflight` before; a SQLite file that does not exist would be made here.
    say : callable
        Told how far a download is, one line a call, where it takes longer than a few seconds.
    """

    def __init__(self, addresses: Uris, *, say: Callable[[str], None] = lambda _: None) -> None:
        for name, value in downloads.CALL_PATIENCE.items():
            os.environ.setdefault(name, value)
        self.uris = addresses
        self._say = say
        with self._reaching():
            # Imported here, within the guard: an MLflow that cannot start is told in one line, too.
            from mlflow import MlflowClient

            self._client = MlflowClient(addresses.tracking, addresses.registry)

    def models(self) -> list[str]:
        """Names of all registered models, sorted; empty in an empty registry."""
        return sorted(model.name for model in self._pages("search_registered_models"))

    def default_model(self) -> str:
        """Name of the registry's only model.

        Raises
        ------
        RegistryError
            There is none, or more than one; the names are listed.
        """
        names = self.models()
        if len(names) == 1:
            return names[0]
        if not names:
            raise RegistryError(f"No model is registered at {self.uris}. Register one first.")
        raise RegistryError(f"Several models are registered: {_some(names)}. Say which: --model.")

    def resolve(self, reference: Reference, model: str | None = None) -> Pin:
        """Turn a reference into a pin; an alias is looked up this once.

        Parameters
        ----------
        reference : Reference
            As `pins.parse` reads it. A model it names wins over `model`.
        model : str, optional
            Model for a reference that names none; the registry's only one where not given.

        Raises
        ------
        RegistryError
            No such model, version or alias, or the version is not ready; what exists is listed.
        """
        name = reference.model or model or self.default_model()
        if reference.version is None:
            number = self._aliased(name, str(reference.alias))
        else:
            number = reference.version
        found = self._entity(Pin(name, number))
        if found.status != "READY":
            raise RegistryError(
                f"{name}:{number} is not ready ({found.status}). Wait for it, or register it again."
            )
        return Pin(name, number)

    def describe(self, pin: Pin) -> Version:
        """Everything known of a version without copying its model.

        Returns
        -------
        Version
            With digest and size where the files lie on this machine; else those are None.

        Raises
        ------
        RegistryError
            No such version, or its files are gone.
        """
        version = self._recorded(self._entity(pin), self._aliases(pin.model))
        location = self._location(pin)
        local = _local(location)
        if local is not None:
            digest, size_bytes = digest_of(_existing(local, pin))
            described = with_manifest(version, read_manifest(local, pin=pin))
            return replace(described, digest=digest, size_bytes=size_bytes)
        with (
            tempfile.TemporaryDirectory(prefix="shadowserve-") as folder,
            downloads.reading(str(pin), location),
        ):
            repository = self._repository(location)
            # Only the small files: the model itself may be gigabytes.
            present = {file.path for file in repository.list_artifacts()}
            for name in present.intersection(SMALL_FILES):
                repository.download_artifacts(name, folder)
            return with_manifest(version, read_manifest(Path(folder), pin=pin))

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, oldest first, with what the registry and the runs tell.

        Nothing is downloaded: what only the files tell (digest, signature, …) is unset.

        Raises
        ------
        RegistryError
            No such model; the names are listed.
        """
        aliases = self._aliases(model)
        # An apostrophe in the name would end the filter's text.
        quote = '"' if "'" in model else "'"
        found = self._pages("search_model_versions", filter_string=f"name={quote}{model}{quote}")
        # Some databases compare names without regard to case.
        records = [self._recorded(entity, aliases) for entity in found if entity.name == model]
        return sorted(records, key=lambda version: version.number)

    def fetch_all(
        self, pins: Iterable[Pin], cache: Path, *, spared: Collection[str] = ()
    ) -> dict[Pin, Fetched]:
        """Bring several versions' files here; none makes room at another's expense.

        See `fetch` for the rest.
        """
        fetched: dict[Pin, Fetched] = {}
        needed = set(spared)
        for pin in dict.fromkeys(pins):
            fetched[pin] = self.fetch(pin, cache, spared=needed)
            # The cache may prune at each fetch, and must not prune a version that was just fetched.
            needed.add(fetched[pin].path.name)
        return fetched

    def fetch(self, pin: Pin, cache: Path, *, spared: Collection[str] = ()) -> Fetched:
        """Bring a version's files to this machine and prove that they are that version.

        Parameters
        ----------
        pin : Pin
            From `resolve`.
        cache : Path
            Directory with one subdirectory for each content; see `shadowserve.versions.cache`.
        spared : collection of str
            Digests whose contents stay there in any case.

        Raises
        ------
        RegistryError
            No such version, or its files are gone.
        ModelError
            The files are another version's, changed since they were first fetched, or no model.
        UnreachableError
            The files cannot be downloaded, or there is no room for them.
        """
        version = self._recorded(self._entity(pin), self._aliases(pin.model))
        cached = obtain(cache, self._request(version), spared=spared)
        version = replace(version, digest=cached.digest, size_bytes=cached.size_bytes)
        identity(version, cached.path)
        complete = with_manifest(version, read_manifest(cached.path, pin=pin))
        return Fetched(complete, cached.path, cached.reused)

    def _request(self, version: Version) -> Request:
        pin = version.pin
        location = self._location(pin)
        # A number that was deleted can be given again; time and run tell the two versions apart.
        ids = (redact(self.uris.registry), str(pin), version.created, version.run_id)
        key = "\n".join(map(str, (*ids, version.source)))
        local = _local(location)
        if local is not None:
            digest, size_bytes = digest_of(_existing(local, pin))
            return Request(key, str(pin), lambda to: _copy(local, to), size_bytes, digest)
        with downloads.reading(str(pin), location):
            size_bytes = _size(self._repository(location))

        def fill(folder: Path) -> None:
            told = downloads.told(self._say, str(pin), folder, size_bytes)
            with downloads.reading(str(pin), location), told:
                self._repository(location).download_artifacts("", str(folder))

        return Request(key, str(pin), fill, size_bytes)

    def _repository(self, location: str) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(
            location, tracking_uri=self.uris.tracking, registry_uri=self.uris.registry
        )

    def _location(self, pin: Pin) -> str:
        """Where the files are: the registry's download address, never the version's source.

        The answer may name a logged model or another version. Those are looked up at our own
        addresses, where MLflow would ask its global ones.
        """
        with self._reaching():
            uri = self._client.get_model_version_download_uri(pin.model, str(pin.version))
            for _ in range(_MAX_HOPS):
                if match := _LOGGED_MODEL.fullmatch(uri):
                    uri = self._client.get_logged_model(match[1]).artifact_location
                elif match := _REGISTERED.fullmatch(uri):
                    uri = self._client.get_model_version_download_uri(match[1], match[2])
                else:
                    return str(uri)
        raise RegistryError(f"{pin}: its files are not found, only further names. Register again.")

    def _recorded(self, entity: Any, aliases: Mapping[str, int]) -> Version:
        number = int(entity.version)
        from_source = _LOGGED_MODEL.fullmatch(entity.source or "")
        created = datetime.fromtimestamp(entity.creation_timestamp / 1000, UTC)
        return Version(
            model=entity.name,
            number=number,
            created=created.isoformat(timespec="seconds"),
            model_id=entity.model_id or (from_source[1] if from_source else None),
            run_id=entity.run_id or None,
            source=redact(entity.source) if entity.source else None,
            aliases=tuple(sorted(name for name, at in aliases.items() if at == number)),
            training_data=self._training_data(entity.run_id),
        )

    def _training_data(self, run_id: str | None) -> tuple[TrainingData, ...]:
        """Read what the run logged as its input; a run that is gone tells nothing."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return ()
        try:
            run = self._client.get_run(run_id)
        except MlflowException:
            return ()
        return training_data(run.inputs.dataset_inputs if run.inputs else (), run.data.tags)

    def _entity(self, pin: Pin) -> Any:
        with self._reaching(missing=lambda: self._no_version(pin)):
            return self._client.get_model_version(pin.model, str(pin.version))

    def _aliased(self, model: str, alias: str) -> int:
        with self._reaching(missing=lambda: self._no_alias(model, alias)):
            return int(self._client.get_model_version_by_alias(model, alias).version)

    def _aliases(self, model: str) -> dict[str, int]:
        with self._reaching(missing=lambda: self._no_model(model)):
            aliases = self._client.get_registered_model(model).aliases
        return {name: int(number) for name, number in aliases.items()}

    def _no_model(self, model: str) -> RegistryError:
        names = self.models()
        listed = f"Registered: {_some(names)}." if names else "Nothing is registered there."
        return RegistryError(f"No model {model!r} at {self.uris}. {listed} Say which: --model.")

    def _no_version(self, pin: Pin) -> RegistryError:
        existing = [version.pin.label for version in self.versions(pin.model)]
        listed = f"It has {_some(existing)}." if existing else "It has none."
        return RegistryError(f"Model {pin.model!r} has no version {pin.version}. {listed}")

    def _no_alias(self, model: str, alias: str) -> RegistryError:
        known = self._aliases(model)
        if alias in known:
            versions = [version.pin.label for version in self.versions(model)]
            has = f"It has {_some(versions)}." if versions else "It has none."
            return RegistryError(
                f"Alias '@{alias}' of model {model!r} stands for version {known[alias]}, which is no "
                f"longer there. {has} Write a number, or set the alias anew."
            )
        existing = [f"@{name}" for name in sorted(known)]
        listed = f"It has {_some(existing)}." if existing else "It has none; write a number."
        return RegistryError(f"Model {model!r} has no alias '@{alias}'. {listed}")

    def _pages(self, search: str, **options: Any) -> Iterator[Any]:
        token = None
        while True:
            with self._reaching():
                page = getattr(self._client, search)(max_results=_PAGE, page_token=token, **options)
            yield from page
            token = page.token
            if not token:
                return

    @contextmanager
    def _reaching(self, missing: Callable[[], ShadowserveError] | None = None) -> Iterator[None]:
        """Turn what MLflow and its clients raise into one clear, redacted line."""
        try:
            yield
        except ShadowserveError:
            raise
        except Exception as error:
            code = getattr(error, "error_code", None)
            # MLflow has no one code for what is missing: of an alias it says INVALID_PARAMETER_VALUE.
            if missing is not None and code in {
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            }:
                raise missing() from error
            raise _unusable(error, self.uris) from error


def _local(location: str) -> Path | None:
    """Return the directory where a location is one of this machine."""
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(url2pathname(parts.path))
    return Path(location) if not parts.scheme else None


def _existing(folder: Path, pin: Pin) -> Path:
    if not folder.is_dir():
        raise RegistryError(
            f"{pin} is registered, but its files are gone from {folder}. Restore them, or pin "
            "another version."
        )
    return folder


def _copy(source: Path, target: Path) -> None:
    for file in model_files(source):
        copied = target / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)


def _size(repository: Any, folder: str | None = None) -> int:
    found = repository.list_artifacts(folder)
    return sum(
        _size(repository, file.path) if file.is_dir else int(file.file_size or 0) for file in found
    )


def _unusable(error: Exception, addresses: Uris) -> ShadowserveError:
    """Say what went wrong with the addresses; credentials never appear."""
    lines = redact(str(error)).strip().splitlines() or [type(error).__name__]
    if "out-of-date database schema" in lines[0]:
        return RegistryError(
            f"Store {addresses} was made by another MLflow than this one. Take a backup, then run "
            "'mlflow db upgrade' on it, or install the MLflow that made it."
        )
    return UnreachableError(
        f"The registry at {addresses} cannot be used ({type(error).__name__}: {lines[0][:200]}). "
        "Check that it runs and that its address is right."
    )


def _some(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
