"""The record of one registered version, and the proof that files are that version.

A `Version` is a plain record. The registry fills in its identity and its training data; the model's
own files tell what it expects and how it is loaded. It travels as JSON to lanes, evidence and
reports. MLflow is not needed to read one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from shadowserve.errors import ModelError
from shadowserve.versions.mlmodel import Manifest, read_manifest
from shadowserve.versions.pins import Pin
from shadowserve.versions.training import TrainingData

# MLflow writes the first when it downloads by name, Python the second when shipped code runs.
_NOT_OF_THE_MODEL = {"registered_model_meta", "__pycache__"}
_AGES = ((86_400 * 365, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model.

    Parameters
    ----------
    model, number : str, int
        The pin.
    model_id, run_id : str, optional
        MLflow's ids; a registry on SQLite does not keep the first, so it may be taken from the
        source. None where neither tells.
    source : str, optional
        As registered. Never a place to download from.
    digest : str, optional
        SHA-256 over the sorted relative paths and bytes of all files. None until files are seen.
    size_bytes : int, optional
        Sum over the files.
    created : str
        UTC, ISO 8601, when the version was registered.
    aliases, flavors, requirements : tuple of str
        Flavors without ``python_function``, which every servable model has.
    loader_module : str, optional
        Module that pyfunc loads it with.
    serialization : str, optional
        ``cloudpickle``, ``pickle``, ``skops`` or ``code``; None where the format holds data only.
    executes_code : bool
        Whether loading runs code that comes with the version.
    signature : mapping, optional
        ``inputs``, ``outputs`` and ``params`` as parsed JSON, each a list or None.
    input_example : str, optional
        Relative path of the example that can be sent as it stands.
    libraries : mapping of str to str
        Distribution name to the version trained with; ``python`` among them.
    training_data : tuple of TrainingData
        Empty where the run tells nothing.
    """

    model: str
    number: int
    created: str
    model_id: str | None = None
    run_id: str | None = None
    source: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    aliases: tuple[str, ...] = ()
    flavors: tuple[str, ...] = ()
    loader_module: str | None = None
    serialization: str | None = None
    executes_code: bool = True
    signature: Mapping[str, Any] | None = None
    input_example: str | None = None
    requirements: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    training_data: tuple[TrainingData, ...] = ()

    @property
    def pin(self) -> Pin:
        """The version's name for good."""
        return Pin(self.model, self.number)

    def age(self, now: datetime | None = None) -> str:
        """How long ago it was registered, in words: ``3 days``.

        Parameters
        ----------
        now : datetime with a time zone, optional
            The present; the clock's where not given.
        """
        then = datetime.fromisoformat(self.created)
        seconds = ((now or datetime.now(UTC)) - then).total_seconds()
        for width, unit in _AGES:
            count = int(seconds // width)
            if count > 0:
                return f"{count} {unit}{'s' if count > 1 else ''}"
        return "under a minute"

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, also after a trip through JSON; unknown keys are left."""
        known = {f.name for f in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        for name in ("aliases", "flavors", "requirements"):
            kept[name] = tuple(kept.get(name, ()))
        kept["training_data"] = tuple(TrainingData(**d) for d in kept.get("training_data", ()))
        return cls(**kept)


def model_files(path: Path) -> Iterator[Path]:
    """Every file that belongs to the model in a directory, in the order of its relative path."""
    files = (file for file in path.rglob("*") if file.is_file())
    own = (file for file in files if not _NOT_OF_THE_MODEL & set(file.relative_to(path).parts))
    yield from sorted(own, key=lambda file: file.relative_to(path).as_posix())


def digest_of(path: Path) -> tuple[str, int]:
    """Digest and size of a model's files.

    Parameters
    ----------
    path : Path
        Directory that holds ``MLmodel``.

    Returns
    -------
    digest : str
        SHA-256 in hex over, for each file in order, its relative path, size and bytes.
    size_bytes : int
        Sum over the files.
    """
    total = hashlib.sha256()
    size_bytes = 0
    for file in model_files(path):
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256")
            size = opened.tell()
        name = file.relative_to(path).as_posix()
        # With the lengths, no two lists of files can run together into the same bytes.
        total.update(f"{len(name.encode())}:{name}:{size}:".encode() + content.digest())
        size_bytes += size
    return total.hexdigest(), size_bytes


def identity(version: Version, path: Path) -> None:
    """Prove that a directory holds exactly this version (a version is what it says).

    Parameters
    ----------
    version : Version
        The record, with the digest it had when it was fetched.
    path : Path
        Directory of the files that were loaded.

    Raises
    ------
    ModelError
        The files' digest, model id or run differ from the record's, or cannot be told.
    """
    if version.digest is None:
        raise ModelError(f"{version.pin} has no recorded digest. Fetch it from the registry first.")
    manifest = read_manifest(path, pin=version.pin)
    found = {"digest": digest_of(path)[0], "model id": manifest.model_id, "run": manifest.run_id}
    recorded = {"digest": version.digest, "model id": version.model_id, "run": version.run_id}
    for name, expected in recorded.items():
        actual = found[name]
        # Ids that one side does not know cannot differ; without a digest nothing is proven.
        told = expected is not None and (actual is not None or name == "digest")
        if told and actual != expected:
            raise ModelError(
                f"{version.pin} is not what the registry says: its files have {name} {actual}, "
                f"the record {expected}. Register the files again, or pin another version."
            )


def with_manifest(version: Version, manifest: Manifest) -> Version:
    """Fill in what the model's own files tell; the registry's word on ids comes first."""
    told = asdict(manifest)
    merged = version.to_dict() | {k: told[k] for k in told if k not in {"model_id", "run_id"}}
    merged["model_id"] = version.model_id or manifest.model_id
    merged["run_id"] = version.run_id or manifest.run_id
    return Version.from_dict(merged)
