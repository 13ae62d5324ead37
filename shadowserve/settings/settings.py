"""The settings: every option that a user may give, each with how it is read and what is said of it.

The fields of `Settings` are the one table: the command line's options, the variables, the file's keys and
the documentation are made from it. `loading` reads them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from shadowserve.settings import adapting, lane_processes, names, spellings
from shadowserve.settings.keeping import Keep, keep
from shadowserve.settings.sources import FILE
from shadowserve.settings.vocabulary import METHODS, Kind, WhenBehind

BATCHES = ("auto", "earned", "on", "off")
LANE_PRIORITIES = ("auto", "idle", "low", "normal")
PROBES = ("none", "example", "full")

Reader = Callable[[object], Any]


def _table(value: object, name: str = "verdict") -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"it is a table: write [{name}] in {FILE}, and its keys below.")
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
            names.pin, "--champion PIN", "Version whose answer callers get: v3, 3 or @alias."
        ),
    )
    challengers: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            names.pins,
            "--challenger PIN",
            "Version scored in silence; may be given more than once.",
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
    alias: str = field(
        default="champion",
        metadata=_about(
            names.alias,
            "--alias NAME",
            "Alias of the registry that says which version is the champion.",
            default="champion",
        ),
    )
    max_age: float = field(
        default=7 * 86_400.0,
        metadata=_about(
            spellings.duration,
            "--max-age DURATION",
            "How long ago the last request that a verdict rests on may lie when it is promoted by.",
            default="7d",
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
    keep_journal: Keep | None = field(
        default=None,
        metadata=_about(
            keep,
            "--keep-journal 7d|50GiB",
            "How long, or how much, requests and answers are kept after every lane has read them; 7d,50GiB for both.",
            default="off",
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
    drain_timeout: float = field(
        default=75.0,
        metadata=_about(
            spellings.duration,
            "--drain-timeout DURATION",
            "How long a handover waits for callers of the former workers whose connections cannot be passed on (TLS).",
            default="75s",
        ),
    )
    restart: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--restart",
            "Given again while it runs: new workers take over, though nothing else has changed.",
        ),
    )
    follow: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--follow",
            "Let the version take over that the alias given with --champion is moved to.",
        ),
    )
    keep_former: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--keep-former",
            "Score on with the former champion, as a challenger, once another one has taken over.",
        ),
    )
    warm_former: float = field(
        default=0.0,
        metadata=_about(
            spellings.delay,
            "--warm-former DURATION",
            "How long the former champion's workers stay loaded, so that the way back takes a second.",
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
    lane_priority: str = field(
        default="auto",
        metadata=_about(
            spellings.one_of(LANE_PRIORITIES),
            "--lane-priority auto|idle|low|normal",
            "What lanes and the evidence writer claim of a CPU; auto: idle beside a champion, else low.",
            default="auto",
        ),
    )
    placement: Literal["auto", "off"] | tuple[int, ...] = field(
        default="auto",
        metadata=_about(
            spellings.placement,
            "--placement auto|off|CPUS",
            "A core for each worker and the others for lanes; not pinned; or auto within CPUs like 0,4-6.",
            default="auto",
        ),
    )
    lane_processes: tuple[str, ...] = field(
        default=("1",),
        metadata=_about(
            lane_processes.read,
            "--lane-processes N|auto",
            "Processes that score for each version, or 4=3 for version 4; may be given more than once.",
            default="1",
        ),
    )
    when_behind: str = field(
        default=WhenBehind.SCORE_ALL.value,
        metadata=_about(
            spellings.one_of(tuple(WhenBehind)),
            "--when-behind score-all|sample",
            "Whether a lane that is far behind scores all until the journal's budget, or a share, evenly.",
            default="score-all",
        ),
    )
    isolate: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            names.pins,
            "--isolate PIN",
            "Challenger that runs in an environment of its own, made from its recorded requirements; may be given more than once.",
        ),
    )
    package_index: str | None = field(
        default=None,
        metadata=_about(
            names.index,
            "--index URL",
            "Package index for --isolate; by default as uv or pip is configured.",
        ),
    )
    wheels: Path | None = field(
        default=None,
        metadata=_about(
            spellings.path,
            "--wheels DIR",
            "Folder of wheels for --isolate; no index is asked.",
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
    log_inputs: names.LogInputs = field(
        default="none",
        metadata=_about(
            names.log_inputs,
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
    adapt_output: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            adapting.read,
            "--adapt-output MODULE:FUNCTION",
            "Function that puts a challenger's output into the champion's form, or 4=… for version 4; may be given more than once.",
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
            names.digests,
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
    verbose: bool = field(
        default=False,
        metadata=_about(
            spellings.switch,
            "--verbose",
            "Say what the start of each process was made of, in seconds.",
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
            names.hosts,
            "--allow-host NAME",
            "Further name that callers may ask for; may be given more than once.",
        ),
    )
    allow_origins: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            names.origins,
            "--allow-origin ORIGIN",
            "Site whose pages may ask the model (CORS); may be given more than once.",
        ),
    )
    root_path: str | None = field(
        default=None,
        metadata=_about(
            names.root_path,
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
    alerts: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=_about(
            partial(_table, name="alerts"),
            "",
            f"What is posted to a webhook; a table of {FILE} only.",
        ),
    )


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
