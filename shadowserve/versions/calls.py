"""The only door to the MLflow model registry: its client, with each of its faults told in one clear line.

Every call carries its own addresses: MLflow's global state and a wrong default in the environment do not
matter. What is missing is answered with what exists; credentials never appear. MLflow is imported when
`Calls` is made, not before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shadowserve.errors import RegistryError, ShadowserveError, UnreachableError
from shadowserve.versions import downloads
from shadowserve.versions.lock_names import is_lock
from shadowserve.versions.pins import Pin
from shadowserve.versions.stores import Uris, redact

LOGGED_MODEL = re.compile(r"models:/(m-[0-9a-f]{32})")
"""Address of a logged model, which is no version: its id alone says where the files lie."""

_REGISTERED = re.compile(r"models:/([^/]+)/([0-9]+)")
# A registry whose names lead in a circle must not hold up the start for ever.
_MAX_HOPS = 5
_REFUSALS = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_PAGE = 200
"""Entries a page: few calls, and answers that a slow server still gives within a call's patience."""


class Calls:
    """The registry's client at fixed addresses.

    Parameters
    ----------
    addresses : Uris
        Checked by `preflight` before; a SQLite file that does not exist would be made here.

    Attributes
    ----------
    client : MlflowClient
        To be used within `reaching`.
    """

    def __init__(self, addresses: Uris) -> None:
        for name, value in downloads.CALL_PATIENCE.items():
            os.environ.setdefault(name, value)
        self.uris = addresses
        with self.reaching():
            # Imported here, within the guard: an MLflow that cannot start is told in one line, too.
            from mlflow import MlflowClient

            self.client = MlflowClient(addresses.tracking, addresses.registry)

    def models(self) -> list[str]:
        """Names of all registered models, sorted; empty in an empty registry."""
        return [name for name in self.registered() if not is_lock(name)]

    def registered(self) -> list[str]:
        """Names of all that is registered as a model, locks of promotions too, sorted."""
        return sorted(model.name for model in self.pages("search_registered_models"))

    def register(self, name: str, *, tags: Mapping[str, str], said: str) -> bool:
        """Register a model without versions, in one step; False where the name is taken.

        Parameters
        ----------
        said : str
            What its page says.
        """
        from mlflow.exceptions import MlflowException

        with self.reaching():
            try:
                self.client.create_registered_model(name, tags=dict(tags), description=said)
            except MlflowException as error:
                if error.error_code == "RESOURCE_ALREADY_EXISTS":
                    return False
                raise
        return True

    def unregister(self, name: str) -> None:
        """Delete a registered model; nothing where it is gone."""
        with self._unless_missing():
            self.client.delete_registered_model(name)

    def model_tags(self, name: str) -> dict[str, str] | None:
        """Return a registered model's tags; None where there is no such model."""
        found: list[dict[str, str]] = []
        with self._unless_missing():
            found.append(dict(self.client.get_registered_model(name).tags))
        return found[0] if found else None

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Let an alias stand for a version, whatever it stood for."""
        with self.reaching():
            self.client.set_registered_model_alias(model, alias, str(number))

    def tag_version(self, pin: Pin, tags: Mapping[str, str]) -> None:
        """Set tags of a version; those of the same name are replaced."""
        for name, value in tags.items():
            with self.reaching():
                self.client.set_model_version_tag(pin.model, str(pin.version), name, value)

    def entities(self, model: str) -> list[Any]:
        """Return what the registry records of all versions of a model, oldest first.

        None of a model that is not there: a search says nothing of it, `aliases` does.
        """
        # An apostrophe in the name would end the filter's text.
        quote = '"' if "'" in model else "'"
        found = self.pages("search_model_versions", filter_string=f"name={quote}{model}{quote}")
        # Some databases compare names without regard to case.
        return sorted((one for one in found if one.name == model), key=lambda one: int(one.version))

    def entity(self, pin: Pin) -> Any:
        """Return what the registry records of a version.

        Raises
        ------
        RegistryError
            No such model or version; what exists is listed.
        """
        with self.reaching(missing=lambda: self._no_version(pin)):
            return self.client.get_model_version(pin.model, str(pin.version))

    def aliased(self, model: str, alias: str) -> int:
        """Return the number that an alias stands for now.

        Raises
        ------
        RegistryError
            No such alias, or its version is gone; what exists is listed.
        """
        with self.reaching(missing=lambda: self._no_alias(model, alias)):
            return int(self.client.get_model_version_by_alias(model, alias).version)

    def aliases(self, model: str) -> dict[str, int]:
        """Return a model's aliases with their numbers.

        Raises
        ------
        RegistryError
            No such model; the names are listed.
        """
        with self.reaching(missing=lambda: self._no_model(model)):
            aliases = self.client.get_registered_model(model).aliases
        return {name: int(number) for name, number in aliases.items()}

    def location(self, pin: Pin) -> str:
        """Where the files are: the registry's download address, never the version's source.

        The answer may name a logged model or another version. Those are looked up at our own
        addresses, where MLflow would ask its global ones.

        Raises
        ------
        RegistryError
            Names lead to names only.
        """
        with self.reaching():
            uri = self.client.get_model_version_download_uri(pin.model, str(pin.version))
            for _ in range(_MAX_HOPS):
                if match := LOGGED_MODEL.fullmatch(uri):
                    uri = self.client.get_logged_model(match[1]).artifact_location
                elif match := _REGISTERED.fullmatch(uri):
                    uri = self.client.get_model_version_download_uri(match[1], match[2])
                else:
                    return str(uri)
        raise RegistryError(f"{pin}: its files are not found, only further names. Register again.")

    def repository(self, location: str) -> Any:
        """Return MLflow's store of the files at a location, asked at our own addresses."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(
            location, tracking_uri=self.uris.tracking, registry_uri=self.uris.registry
        )

    def run(self, run_id: str | None) -> Any | None:
        """Return the run that made a version; None where there was none, or it is gone."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return None
        try:
            return self.client.get_run(run_id)
        except MlflowException:
            return None

    def _labels(self, model: str) -> list[str]:
        self.aliases(model)  # raises for a model that is not there
        return [Pin(model, int(one.version)).label for one in self.entities(model)]

    def _no_model(self, model: str) -> RegistryError:
        names = self.models()
        listed = f"Registered: {some(names)}." if names else "Nothing is registered there."
        return RegistryError(f"No model {model!r} at {self.uris}. {listed} Say which: --model.")

    def _no_version(self, pin: Pin) -> RegistryError:
        existing = self._labels(pin.model)
        listed = f"It has {some(existing)}." if existing else "It has none."
        return RegistryError(f"Model {pin.model!r} has no version {pin.version}. {listed}")

    def _no_alias(self, model: str, alias: str) -> RegistryError:
        known = self.aliases(model)
        if alias in known:
            versions = self._labels(model)
            has = f"It has {some(versions)}." if versions else "It has none."
            return RegistryError(
                f"Alias '@{alias}' of model {model!r} stands for version {known[alias]}, which is no "
                f"longer there. {has} Write a number, or set the alias anew."
            )
        existing = [f"@{name}" for name in sorted(known)]
        listed = f"It has {some(existing)}." if existing else "It has none; write a number."
        return RegistryError(f"Model {model!r} has no alias '@{alias}'. {listed}")

    def pages(self, search: str, **options: Any) -> Iterator[Any]:
        """Yield all that a search of MLflow's client finds, page by page."""
        token = None
        while True:
            with self.reaching():
                page = getattr(self.client, search)(max_results=_PAGE, page_token=token, **options)
            yield from page
            token = page.token
            # Servers end with an empty token or with none at all.
            if not token:
                return

    @contextmanager
    def _unless_missing(self) -> Iterator[None]:
        """Let a block be where what it asks for is not there."""
        from mlflow.exceptions import MlflowException

        with self.reaching():
            try:
                yield
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    @contextmanager
    def reaching(self, missing: Callable[[], ShadowserveError] | None = None) -> Iterator[None]:
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


def _unusable(error: Exception, addresses: Uris) -> ShadowserveError:
    """Say what went wrong with the addresses; credentials never appear."""
    lines = redact(str(error)).strip().splitlines() or [type(error).__name__]
    if "out-of-date database schema" in lines[0]:
        return RegistryError(
            f"Store {addresses} was made by another MLflow than this one. Take a backup, then run "
            "'mlflow db upgrade' on it, or install the MLflow that made it."
        )
    if getattr(error, "error_code", None) in _REFUSALS or "readonly database" in lines[0]:
        return UnreachableError(
            f"The registry at {addresses} does not let this user do that ({lines[0][:200]}). Ask for the rights, or "
            "do it as somebody who has them."
        )
    return UnreachableError(
        f"The registry at {addresses} cannot be used ({type(error).__name__}: {lines[0][:200]}). "
        "Check that it runs and that its address is right."
    )


def some(names: list[str], most: int = 20) -> str:
    """List names, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
