"""The settings: every option that a user may give, read once from flags, environment and file.

A flag goes before a ``SHADOWSERVE_…`` variable, that before ``shadowserve.toml`` in the working
directory, that before the default. The fields of `Settings` are the one table: the command line's
options, the variables, the file's keys and the documentation are made from it. Everything wrong is
reported together, before anything slow.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shadowserve.errors import PinError, SettingsError
from shadowserve.settings import gate, policy, spellings
from shadowserve.settings.sources import FILE, Source, from_environment, from_file, variable_of
from shadowserve.settings.vocabulary import METHODS, Kind
from shadowserve.versions import pins

BATCHES = ("auto", "earned", "on", "off")
PROBES = ("none", "example", "full")

Reader = Callable[[object], Any]
LogInputs = str | tuple[str, ...]
"""``"none"``, ``"all"``, or the columns whose values may leave the journal."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def _pin(value: object) -> str:
    """Keep the text, once it is sure to name one fixed version; the registry resolves it later."""
    written = spellings.text(value)
    try:
        pins.parse(written)
    except PinError as error:
        raise ValueError(str(error)) from error
    return written


def _pins(value: object) -> tuple[str, ...]:
    return tuple(_pin(part) for part in spellings.texts(value))


def _log_inputs(value: object) -> LogInputs:
    word = value.strip() if isinstance(value, str) else ""
    return word if word in ("none", "all") else spellings.texts(value)


def _digests(value: object) -> tuple[str, ...]:
    found = tuple(digest.lower() for digest in spellings.texts(value))
    for digest in found:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(
                f"{digest!r} is no SHA-256 in hex, 64 digits. 'shadowserve pins' prints them."
            )
    return found


def _hosts(value: object) -> tuple[str, ...]:
    """Read names as a Host header may bear them; ``*`` for all, ``*.example.com`` for all below it."""
    found = []
    for name in spellings.texts(value):
        known = gate.canonical(name.removeprefix("*."))
        if name != "*" and (known is None or known[1] is not None):
            raise ValueError(f"{name!r} is no host. Write its name alone, such as models.example.")
        found.append(name if known is None else f"{'*.' * name.startswith('*.')}{known[0]}")
    return tuple(found)


def _origins(value: object) -> tuple[str, ...]:
    """Read origins as browsers send them; ``*`` for every page."""
    found = []
    for text in spellings.texts(value):
        origin = "*" if text == "*" else gate.written(text)
        if origin is None:
            raise ValueError(f"{text!r} is no origin. Write scheme and host: https://shop.example.")
        found.append(origin)
    return tuple(found)


def _root_path(value: object) -> str:
    path = spellings.text(value).rstrip("/")
    if not _ROOT_PATH.fullmatch(path):
        raise ValueError(f"{value!r} is no path. Write it like /models/films.")
    return path


def _table(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"it is a table: write [verdict] in {FILE}, and its keys below.")
    return MappingProxyType({str(key): _frozen(part) for key, part in value.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _table(value)
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _about(read: Reader, usage: str, help_text: str, *, default: str = "") -> dict[str, Any]:
    """Describe one option: how it is read, and what the command line and the docs say of it."""
    flag, _, metavar = usage.partition(" ")
    return {
        "read": read, "flag": flag, "metavar": metavar, "help": help_text, "default": default,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """Every option of a deployment, valid. Durations are in seconds, sizes in bytes.

    Each field's metadata holds ``read`` (text or typed value to value), ``help``, ``flag``,
    ``metavar`` (empty for switches) and ``default`` (as people write it; empty for none).
    """

    champion: str = field(
        default="",
        metadata=_about(
            _pin, "--champion PIN", "Version whose answer callers get: v3, 3 or @alias."
        ),
    )
    challengers: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            _pins, "--challenger PIN", "Version scored in silence; may be given more than once."
        ),
    )
    control: bool = field(
        default=True,
        metadata=_about(
            spellings.switch,
            "--control/--no-control",
            "Score the champion's version again in a lane: the noise floor.",
            default="on",
        ),
    )
    model: str | None = field(
        default=None,
        metadata=_about(
            spellings.text, "--model NAME", "Registered model; by default the registry's only one."
        ),
    )
    tracking_uri: str | None = field(
        default=None,
        metadata=_about(
            spellings.text,
            "--tracking-uri URI",
            "Where evidence goes; by default as MLflow decides, else mlflow.db here.",
        ),
    )
    registry_uri: str | None = field(
        default=None,
        metadata=_about(
            spellings.text,
            "--registry-uri URI",
            "Where versions are registered; by default the tracking URI.",
        ),
    )
    host: str = field(
        default="127.0.0.1",
        metadata=_about(
            spellings.text, "--host HOST", "Address that answers requests.", default="127.0.0.1"
        ),
    )
    port: int = field(
        default=3000,
        metadata=_about(
            spellings.port,
            "--port PORT",
            "Port that answers requests; 0 takes a free one.",
            default="3000",
        ),
    )
    console_host: str = field(
        default="127.0.0.1",
        metadata=_about(
            spellings.text, "--console-host HOST", "Address of the console.", default="127.0.0.1"
        ),
    )
    console_port: int = field(
        default=3001,
        metadata=_about(
            spellings.port,
            "--console-port PORT",
            "Port of the console; 0 takes a free one.",
            default="3001",
        ),
    )
    workers: int = field(
        default=1,
        metadata=_about(
            spellings.count,
            "--workers N",
            "Champion processes; each holds a copy of the model.",
            default="1",
        ),
    )
    state_dir: Path = field(
        default=Path(".shadowserve"),
        metadata=_about(
            spellings.path,
            "--state-dir DIR",
            "Directory for journal and state, on a local disk.",
            default=".shadowserve",
        ),
    )
    sample_rate: float = field(
        default=1.0,
        metadata=_about(
            spellings.share,
            "--sample-rate SHARE",
            "Share of requests that lanes score, from 0 to 1.",
            default="1.0",
        ),
    )
    deadline: float = field(
        default=10.0,
        metadata=_about(
            spellings.duration,
            "--deadline DURATION",
            "Time a lane may take for a request before it is stopped.",
            default="10s",
        ),
    )
    journal_budget: int = field(
        default=2 * 1024**3,
        metadata=_about(
            spellings.size,
            "--journal-budget SIZE",
            "Disk that the journal may take; beyond it lanes skip the oldest.",
            default="2GiB",
        ),
    )
    retention: float = field(
        default=30 * 86_400.0,
        metadata=_about(
            spellings.duration,
            "--retention DURATION",
            "How long archived deployments are kept; older ones are deleted at start.",
            default="30d",
        ),
    )
    max_body: int = field(
        default=16 * 1024**2,
        metadata=_about(
            spellings.size,
            "--max-body SIZE",
            "Largest request body; a larger one is answered with 413.",
            default="16MiB",
        ),
    )
    strict_json: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--strict-json",
            "Refuse a bare NaN in a request instead of reading it as null.",
            default="off",
        ),
    )
    request_timeout: float = field(
        default=60.0,
        metadata=_about(
            spellings.duration,
            "--request-timeout DURATION",
            "Time the model may take for a caller; then a 504. A call that lasts much longer ends its worker.",
            default="60s",
        ),
    )
    read_timeout: float = field(
        default=60.0,
        metadata=_about(
            spellings.duration,
            "--read-timeout DURATION",
            "Time a caller may take to send a request's head, and its body.",
            default="60s",
        ),
    )
    keep_alive: float = field(
        default=75.0,
        metadata=_about(
            spellings.duration,
            "--keep-alive DURATION",
            "How long an idle connection is kept; longer than the balancer before it keeps its own.",
            default="75s",
        ),
    )
    drain_delay: float = field(
        default=0.0,
        metadata=_about(
            spellings.delay,
            "--drain-delay DURATION",
            "How long a stop goes on serving while /readyz says 503, so that a balancer turns away.",
            default="0s",
        ),
    )
    lane_memory: int = field(
        default=4 * 1024**3,
        metadata=_about(
            spellings.size,
            "--lane-memory SIZE",
            "Resident memory at which a lane is stopped.",
            default="4GiB",
        ),
    )
    method: str = field(
        default="predict",
        metadata=_about(
            spellings.one_of(METHODS),
            "--method predict|predict_proba",
            "What is called on the models.",
            default="predict",
        ),
    )
    output_kind: str | None = field(
        default=None,
        metadata=_about(
            spellings.one_of(tuple(Kind)),
            "--output-kind KIND",
            "Kind of output; by default seen from signature and outputs.",
        ),
    )
    entity: str | None = field(
        default=None,
        metadata=_about(
            spellings.text,
            "--entity COLUMN",
            "Column with the user or entity of a request: sampled as a whole, and only its first request counts in the verdict.",
        ),
    )
    entity_header: str | None = field(
        default=None,
        metadata=_about(
            spellings.header_name,
            "--entity-header NAME",
            "Header with the user or entity of a request, where no column has it; only a salted number is kept.",
        ),
    )
    batch: str = field(
        default="auto",
        metadata=_about(
            spellings.one_of(BATCHES),
            "--batch auto|earned|on|off",
            "Whether callers' requests share a call: where known by structure, also once earned, always, never.",
            default="auto",
        ),
    )
    probe: str = field(
        default="example",
        metadata=_about(
            spellings.one_of(PROBES),
            "--probe none|example|full",
            "How much a model is tried on its example at start; none for calls that cost or leave a trace.",
            default="example",
        ),
    )
    rescore: bool = field(
        default=True,
        metadata=_about(
            spellings.switch,
            "--rescore/--no-rescore",
            "Score a small share again; off for models with side effects, with --probe none.",
            default="on",
        ),
    )
    log_inputs: LogInputs = field(
        default="none",
        metadata=_about(
            _log_inputs,
            "--log-inputs none|all|COLUMN,...",
            "Columns whose values may leave the journal.",
            default="none",
        ),
    )
    hash_inputs: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            spellings.texts,
            "--hash-inputs COLUMN,...",
            "Columns whose values leave as salted hashes only, whatever --log-inputs says.",
        ),
    )
    drop_inputs: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            spellings.texts,
            "--drop-inputs COLUMN,...",
            "Columns of which nothing leaves: no values, no ranges, no sizes.",
        ),
    )
    ignore_outputs: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            spellings.texts,
            "--ignore-outputs FIELD,...",
            "Fields of the answer that say nothing, such as a random id; never compared.",
        ),
    )
    one_job: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--one-job",
            "Run every part of a model in one process and thread, whatever n_jobs it was fitted with.",
            default="off",
        ),
    )
    strict_versions: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--strict-versions",
            "Refuse a model trained with other library versions than those here.",
            default="off",
        ),
    )
    allow_digests: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            _digests,
            "--allow-digest SHA256",
            "Load only files with this digest; may be given more than once.",
        ),
    )
    lane_network: bool = field(
        default=True,
        metadata=_about(
            spellings.switch,
            "--lane-network on|off",
            "Whether lanes may use the network (Linux).",
            default="on",
        ),
    )
    keep_prints: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--keep-prints",
            "Keep what models print and log, values and all, in files of this user's alone.",
            default="off",
        ),
    )
    pass_env: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            spellings.texts,
            "--pass-env NAME",
            "Variable that models get although its name is a secret's; may be given more than once.",
        ),
    )
    token_file: Path | None = field(
        default=None,
        metadata=_about(
            spellings.path, "--token-file FILE", "File that holds the bearer token of both ports."
        ),
    )
    allow_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            _hosts,
            "--allow-host NAME",
            "Further name that callers may ask for; may be given more than once.",
        ),
    )
    allow_origins: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            _origins,
            "--allow-origin ORIGIN",
            "Site whose pages may ask the model (CORS); may be given more than once.",
        ),
    )
    root_path: str | None = field(
        default=None,
        metadata=_about(
            _root_path,
            "--root-path PATH",
            "Path before every route, where a proxy passes it on, such as /models/films.",
        ),
    )
    ssl_certfile: Path | None = field(
        default=None,
        metadata=_about(
            spellings.path,
            "--ssl-certfile FILE",
            "Certificate chain in PEM; both ports then speak HTTPS only.",
        ),
    )
    ssl_keyfile: Path | None = field(
        default=None,
        metadata=_about(
            spellings.path,
            "--ssl-keyfile FILE",
            "The certificate's private key, where its file does not hold it.",
        ),
    )
    tap: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--tap",
            "Answer nobody: shadow a server elsewhere that sends its requests to /tap.",
            default="off",
        ),
    )
    verdict: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=_about(_table, "", f"Policy of the verdict; a table of {FILE} only."),
    )

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any],
        *,
        file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        required: Iterable[str] = (),
    ) -> Settings:
        """Read the settings, the first source that has a value winning.

        Parameters
        ----------
        flags : mapping of field name to value
            As the command line has them; None and an empty tuple mean not given.
        file : Path, optional
            A settings file that must exist; by default `FILE` in the working directory, if any.
        environ : mapping
            Where ``SHADOWSERVE_<FIELD>`` is looked up; an empty value means not given.
        required : iterable of field names
            What the command cannot do without.

        Raises
        ------
        SettingsError
            With one line for each fault: unknown names, values that cannot be, what is missing.
        """
        faults: list[str] = []
        sources = [
            _from_flags(flags),
            from_environment(environ, FIELDS, faults),
            from_file(file, FIELDS, faults),
        ]
        # The last one written wins, so flags come last.
        given = {name: found for source in reversed(sources) for name, found in source.items()}
        values: dict[str, Any] = {}
        for name, (where, raw) in given.items():
            try:
                values[name] = FIELDS[name].metadata["read"](raw)
            except ValueError as error:
                faults.append(f"{where}: {error}")
        faults += [_missing(name) for name in required if name not in given]
        settings = cls(**values)
        # After the single values: of a faulty one the default stands in, so that all faults are
        # told at once.
        faults += settings._contradictions()
        if faults:
            raise SettingsError("\n".join(faults))
        return settings

    def _contradictions(self) -> Iterator[str]:
        yield from policy.faults_of(self.verdict)
        if self.token_file is None and not _is_loopback(self.console_host):
            yield (
                f"--console-host {self.console_host} can be reached by others, who could pause "
                "lanes and read reports. Give --token-file FILE, or keep it on 127.0.0.1."
            )
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            yield "--ssl-keyfile: there is no certificate. Give --ssl-certfile FILE, too."
        if self.batch == "earned":
            yield from self._not_with_earned()
        if self.tap:
            yield from self._not_with_tap()
        same = (self.host, self.port) == (self.console_host, self.console_port)
        if same and self.port != 0 and not self.tap:
            yield (
                f"--port and --console-port are both {self.port}. Choose another for one of them."
            )

    def _not_with_earned(self) -> Iterator[str]:
        """Tell what earning needs: the control scores recorded requests in company, on and on."""
        for name, flag in (("control", "--no-control"), ("rescore", "--no-rescore")):
            if not getattr(self, name):
                yield (
                    f"{flag}: with --batch earned the control scores recorded requests again, in company. "
                    "Leave one of them away."
                )

    def _not_with_tap(self) -> Iterator[str]:
        for name in ("host", "port", "workers", "strict_json"):
            if getattr(self, name) != FIELDS[name].default:
                yield (
                    f"{flag_of(name)}: with --tap no data plane is started. Leave one of them away."
                )
        if self.batch == "earned":
            yield "--batch earned: with --tap callers are answered elsewhere. Leave one of them away."
        if not self.control:
            yield (
                "--no-control: with --tap the champion is scored here by its control lane alone. "
                "Leave one of them away."
            )


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name other than localhost may not be."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


FIELDS = {option.name: option for option in dataclasses.fields(Settings)}


def flag_of(name: str) -> str:
    """Return the flag of a field as people write it, without its negation.

    Examples
    --------
    >>> flag_of("challengers"), flag_of("control")
    ('--challenger', '--control')
    """
    flag: str = FIELDS[name].metadata["flag"]
    return flag.partition("/")[0]


def _from_flags(flags: Mapping[str, Any]) -> Source:
    given = {name: raw for name, raw in flags.items() if raw is not None and raw != ()}
    return {name: (flag_of(name), raw) for name, raw in given.items()}


def _missing(name: str) -> str:
    usage = f"{flag_of(name)} {FIELDS[name].metadata['metavar']}"
    return f"{name}: not given. Write {usage}, set {variable_of(name)}, or add it to {FILE}."
