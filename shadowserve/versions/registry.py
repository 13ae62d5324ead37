"""The MLflow model registry: from a reference to one version's verified files.

A reference is resolved once, at start; from then on only the `Pin` is used, so an alias that moves
changes nothing that runs. `calls` asks MLflow's client, `location` says where files lie, `cache` keeps
them. MLflow is imported when a `Registry` is made, not before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shadowserve.errors import RegistryError
from shadowserve.versions import downloads
from shadowserve.versions.cache import Request, obtain
from shadowserve.versions.calls import LOGGED_MODEL, Calls, some
from shadowserve.versions.location import copy, existing, local, size
from shadowserve.versions.mlmodel import SMALL_FILES, read_manifest
from shadowserve.versions.pins import Pin, Reference
from shadowserve.versions.stores import Uris, preflight, redact, uris
from shadowserve.versions.training import TrainingData, training_data
from shadowserve.versions.version import Version, digest_of, identity, with_manifest

__all__ = ["Fetched", "Registry", "Uris", "Version", "identity", "preflight", "redact", "uris"]


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
        self.uris = addresses
        self.calls = Calls(addresses)
        self._say = say

    def models(self) -> list[str]:
        """Names of all registered models, sorted; empty in an empty registry."""
        return self.calls.models()

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
        raise RegistryError(f"Several models are registered: {some(names)}. Say which: --model.")

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
            number = self.calls.aliased(name, str(reference.alias))
        else:
            number = reference.version
        found = self.calls.entity(Pin(name, number))
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
        version = self._recorded(self.calls.entity(pin), self.calls.aliases(pin.model))
        location = self.calls.location(pin)
        here = local(location)
        if here is not None:
            digest, size_bytes = digest_of(existing(here, pin))
            described = with_manifest(version, read_manifest(here, pin=pin))
            return replace(described, digest=digest, size_bytes=size_bytes)
        with (
            tempfile.TemporaryDirectory(prefix="shadowserve-") as folder,
            downloads.reading(str(pin), location),
        ):
            repository = self.calls.repository(location)
            # Only the small files: the model itself may be gigabytes.
            present = {file.path for file in repository.list_artifacts()}
            for name in present.intersection(SMALL_FILES):
                repository.download_artifacts(name, folder)
            return with_manifest(version, read_manifest(Path(folder), pin=pin))

    def identified(self, pin: Pin) -> Version:
        """Return what tells a version from another one of its number, as the registry has it at this moment.

        Returns
        -------
        Version
            With digest and size where the files lie on this machine, read anew.

        Raises
        ------
        RegistryError
            No such version, or its files are gone.
        """
        version = self._recorded(self.calls.entity(pin), {})
        here = local(self.calls.location(pin))
        if here is None:
            return version
        digest, size_bytes = digest_of(existing(here, pin))
        return replace(version, digest=digest, size_bytes=size_bytes)

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, oldest first, with what the registry and the runs tell.

        Nothing is downloaded: what only the files tell (digest, signature, …) is unset.

        Raises
        ------
        RegistryError
            No such model; the names are listed.
        """
        aliases = self.calls.aliases(model)
        return [self._recorded(entity, aliases) for entity in self.calls.entities(model)]

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
        version = self._recorded(self.calls.entity(pin), self.calls.aliases(pin.model))
        cached = obtain(cache, self._request(version), spared=spared)
        version = replace(version, digest=cached.digest, size_bytes=cached.size_bytes)
        identity(version, cached.path)
        complete = with_manifest(version, read_manifest(cached.path, pin=pin))
        return Fetched(complete, cached.path, cached.reused)

    def _request(self, version: Version) -> Request:
        pin = version.pin
        location = self.calls.location(pin)
        # A number that was deleted can be given again; time and run tell the two versions apart.
        ids = (redact(self.uris.registry), str(pin), version.created, version.run_id)
        key = "\n".join(map(str, (*ids, version.source)))
        here = local(location)
        if here is not None:
            digest, size_bytes = digest_of(existing(here, pin))
            return Request(key, str(pin), lambda to: copy(here, to), size_bytes, digest)
        with downloads.reading(str(pin), location):
            size_bytes = size(self.calls.repository(location))

        def fill(folder: Path) -> None:
            told = downloads.told(self._say, str(pin), folder, size_bytes)
            with downloads.reading(str(pin), location), told:
                self.calls.repository(location).download_artifacts("", str(folder))

        return Request(key, str(pin), fill, size_bytes)

    def _recorded(self, entity: Any, aliases: Mapping[str, int]) -> Version:
        number = int(entity.version)
        from_source = LOGGED_MODEL.fullmatch(entity.source or "")
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
        run = self.calls.run(run_id)
        if run is None:
            return ()
        return training_data(run.inputs.dataset_inputs if run.inputs else (), run.data.tags)
