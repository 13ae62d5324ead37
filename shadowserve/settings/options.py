"""The options of a deployment: those settings that reach workers and lanes, as its file keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from shadowserve.schema.disclosure import Disclosure
from shadowserve.settings.policy import Policy
from shadowserve.settings.settings import FIELDS, Settings
from shadowserve.versions.pins import Pin
from shadowserve.versions.version import Version
from shadowserve.withheld import without_credentials


def _as_set(name: str) -> Any:
    """Take over the default of a setting: what an older deployment's file lacks was not asked for."""
    setting = FIELDS[name]
    return field(default=setting.default, default_factory=setting.default_factory)


@dataclass(frozen=True, slots=True)
class Options:
    """What every process of a deployment is asked to do; each field is the setting of that name.

    Parameters
    ----------
    challengers_before : int
        How many challengers earlier deployments of this champion had; no setting, since it is counted.
    adapters : mapping of name to SHA-256
        The source of each function of `adapt_output`, as it was at the start.
    isolate : tuple of str
        The versions, each as its pin is written in full.
    package_index : str or None
        Without credentials: it stands in a file.
    rescored : str or None
        Whose recorded requests these are, where nobody asks them just now; no setting, but a command.
    """

    method: str = _as_set("method")
    sample_rate: float = _as_set("sample_rate")
    entity: str | None = _as_set("entity")
    entity_header: str | None = _as_set("entity_header")
    output_kind: str | None = _as_set("output_kind")
    log_inputs: str | tuple[str, ...] = _as_set("log_inputs")
    hash_inputs: tuple[str, ...] = _as_set("hash_inputs")
    drop_inputs: tuple[str, ...] = _as_set("drop_inputs")
    ignore_outputs: tuple[str, ...] = _as_set("ignore_outputs")
    batch: str = _as_set("batch")
    probe: str = _as_set("probe")
    rescore: bool = _as_set("rescore")
    adapt_output: tuple[str, ...] = _as_set("adapt_output")
    one_job: bool = _as_set("one_job")
    deadline: float = _as_set("deadline")
    journal_budget: int = _as_set("journal_budget")
    max_body: int = _as_set("max_body")
    strict_json: bool = _as_set("strict_json")
    lane_memory: int = _as_set("lane_memory")
    verdict: Mapping[str, Any] = _as_set("verdict")
    tap: bool = _as_set("tap")
    isolate: tuple[str, ...] = _as_set("isolate")
    package_index: str | None = _as_set("package_index")
    wheels: str | None = None
    challengers_before: int = 0
    rescored: str | None = None
    adapters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned; names of another release are left out."""
        known = {name: given[name] for name in _NAMES if name in given}
        return cls(**{name: _frozen(value) for name, value in known.items()})

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take over what was set."""
        given = {name: getattr(settings, name) for name in _NAMES if name in FIELDS}
        index = settings.package_index
        given["package_index"] = None if index is None else without_credentials(index)
        given["wheels"] = None if settings.wheels is None else str(settings.wheels.resolve())
        return cls.of(given)

    def isolates(self, version: Version) -> bool:
        """Whether a challenger runs in an environment of its own."""
        return str(version.pin) in self.isolate

    def isolating(self, pin: Pin, wanted: bool) -> Self:
        """Return the same with a version that runs in an environment of its own, or that does not."""
        others = tuple(one for one in self.isolate if one != str(pin))
        return replace(self, isolate=(*others, str(pin)) if wanted else others)

    def to_dict(self) -> dict[str, Any]:
        """Return all options by name, as JSON-able values; young ones where they are set."""
        told = {name: _plain(getattr(self, name)) for name in _NAMES}
        return {name: value for name, value in told.items() if value or name not in _YOUNG}

    @property
    def policy(self) -> Policy:
        """What the verdict is judged by."""
        return Policy.of(self.verdict)

    @property
    def by_probability(self) -> bool:
        """Whether probabilities are what callers get."""
        return self.method == "predict_proba"

    def disclosure(self, *, salt: str) -> Disclosure:
        """Return what may leave the journal of each column."""
        return Disclosure(
            salt=salt.encode(),
            log=self.log_inputs,
            hashed=self.hash_inputs,
            dropped=self.drop_inputs,
        )


_NAMES = tuple(option.name for option in fields(Options))

_YOUNG = ("adapt_output", "adapters", "isolate", "package_index", "wheels", "rescored")
"""Those that no file of an earlier release holds; where they are not set, ours does not either."""

DEFAULTS = Options()
"""Those of a team that set nothing."""


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else _plain_table(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else _plain_table(value)


def _plain_table(value: Any) -> Any:
    """Return a table as a dict of dicts and lists, which can be copied; anything else as it is."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value
