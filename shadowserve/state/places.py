"""Where things lie below the state directory; the one place that knows the names.

::

    .shadowserve/
        deployment.json         what is served, as resolved at start
        supervisor.json         the running supervisor's process id and ports
        lock                    held by the running supervisor
        desk.sock               where commands ask it
        run/                    what lives for one start only
        champion_failed.json    why a champion worker gave up
        paused, resume          the team's wishes, as empty files
        pauses                  pauses that are over
        draining                exists while a stop lets lanes catch up
        counters/<worker>.bin   what each champion worker counted
        counters/<worker>.names columns that it met and the signature does not know
        counters/<worker>.codes how often it refused, by code
        journal/<worker>-<n>.db segments
        journal/<worker>.refused requests that were refused, for challengers to try
        lanes/<role>-v<version>/    and with -2 behind it, if the version came again
            state.db            cursor, ledger, summaries
            lane.json           state and reason
            inflight.bin        what is in hand
            death.json          how the last process ended
            kept.db             old requests, to ask the version again
            call_rows           of recorded requests, how many rows share a call
            cause.json          why it answers differently, as last looked into
            comparisons/        Parquet parts
        lanes/crowded           exists while lanes score one at a time
        lanes/lock, lanes/next  held by the lane that scores, and by the one that waits
        models/<digest>/        downloaded versions
        sharing/<digest>-…      whether callers' requests may share a call, and what has shown it
        evidence.db             what has reached MLflow
        evidence.json           how what waits fares
        evidence.lock           held by the evidence writer
        accepted.json           findings that the team has accepted
        accepted.lock           held by whoever writes it
        switched.json           moves of the alias that rest on this deployment
        alerts.json             what alerts have seen, wait to tell and told
        alerts.lock             held by the process that sends them
        labels.db               what turned out to be true, by request id
        labels.lock             held by the process that writes it
        labels/                 sets of labels that wait for that process
        logs/                   each process's talk
        asked.json, fed.json    of a rescoring: what was asked for, and that all of it lies in the journal
        feeding.json            of a rescoring: why its source cannot be read on
        labels.jsonl            of a rescoring: what its table says turned out to be true
        rescored_whole          of a rescoring: exists once it has ended
        rescored/<id>/          recorded requests that were scored again, each a state directory of its own
        archive/<deployment>/   earlier deployments
        journal-archive/        segments that are kept after every lane has read them
        present                 names the folder below which the deployment lies that a handover began
        deployments/<id>/       its files, those from `deployment.json` on that are one deployment's own
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.records import Role
from shadowserve.state import refusal_counts

HOME_VARIABLE = "SHADOWSERVE_HOME"
"""Tells a process which deployment's files are its own, whichever is the present one by now."""
OWN_FOLDER = "deployments"
_HOMES = re.compile(rf"{OWN_FOLDER}/[A-Za-z0-9_][\w.-]*")
_ALL_IN_ROOT = ""


@dataclass(frozen=True, slots=True)
class LanePlaces:
    """One lane's files."""

    root: Path

    @property
    def state(self) -> Path:
        """Cursor, ledger and summaries."""
        return self.root / "state.db"

    @property
    def condition(self) -> Path:
        """State and reason, as JSON."""
        return self.root / "lane.json"

    @property
    def inflight(self) -> Path:
        """The in-flight mark."""
        return self.root / "inflight.bin"

    @property
    def environment(self) -> Path:
        """In what its version runs, where that is isolated."""
        return self.root / "environment.json"

    def scorer(self, number: int) -> Path:
        """Return the in-flight mark of one of its further scorers."""
        return self.root / f"scorer-{number}.bin"

    @property
    def death(self) -> Path:
        """How the last process ended with requests in hand; written by the supervisor."""
        return self.root / "death.json"

    @property
    def kept(self) -> Path:
        """Old requests, with their bodies, to ask the version again."""
        return self.root / "kept.db"

    @property
    def call_rows(self) -> Path:
        """How many rows of recorded requests share a call; missing where callers ask."""
        return self.root / "call_rows"

    @property
    def cause(self) -> Path:
        """Why its version answers differently, as it was last looked into; missing until then."""
        return self.root / "cause.json"

    @property
    def parts(self) -> Path:
        """Parquet parts of comparisons."""
        return self.root / "comparisons"

    def make(self) -> None:
        """Create the directories, readable by their owner only."""
        for directory in (self.root, self.parts):
            _make_private(directory)


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one state directory, and of one deployment in it.

    A deployment's own files lie in the directory itself. Where one begins while another is still served, they lie
    in a folder of their own, so that nothing that is being written is ever renamed.

    Parameters
    ----------
    root : Path
        The state directory.
    own : str, optional
        The folder below it of one deployment; empty for the directory itself. By default the present one's.
    """

    root: Path
    own: str | None = None
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        own = present(self.root) if self.own is None else checked(self.own)
        object.__setattr__(self, "home", self.root / own if own else self.root)

    @classmethod
    def of_process(cls, root: Path) -> Places:
        """Return the files of the deployment that this process was started for."""
        return cls(root, os.environ.get(HOME_VARIABLE))

    @property
    def folder(self) -> str:
        """The deployment's own folder below the state directory; empty for the directory itself."""
        return "" if self.home == self.root else str(self.home.relative_to(self.root))

    @property
    def present(self) -> Path:
        """Names the present deployment's own folder; missing while that is the state directory itself."""
        return self.root / "present"

    @property
    def handover(self) -> Path:
        """How the last handover went, or how far it has come."""
        return self.root / "handover.json"

    @property
    def deployment(self) -> Path:
        """What is served."""
        return self.home / "deployment.json"

    @property
    def supervisor(self) -> Path:
        """The running supervisor."""
        return self.root / "supervisor.json"

    @property
    def lock(self) -> Path:
        """Held by the running supervisor."""
        return self.root / "lock"

    @property
    def desk(self) -> Path:
        """Socket at which commands ask the running supervisor."""
        return self.root / "desk.sock"

    @property
    def scratch(self) -> Path:
        """What lives only as long as one start, such as Prometheus's maps."""
        return self.root / "run"

    @property
    def champion_failed(self) -> Path:
        """Why a champion worker gave up; missing else."""
        return self.home / "champion_failed.json"

    @property
    def archive(self) -> Path:
        """Earlier deployments, each a state directory of its own."""
        return self.root / "archive"

    @property
    def journal_archive(self) -> Path:
        """Segments of all deployments that are kept after every lane has read them; missing where none are."""
        return self.root / "journal-archive"

    def archived(self, deployment: str, worker: int, number: int) -> Path:
        """Where a segment of the journal lies once it is archived."""
        return self.journal_archive / deployment / f"{worker}-{number}.parquet"

    @property
    def shelves(self) -> list[Path]:
        """Each archived deployment's directory, in order of their names."""
        return sorted(self.archive.glob("*/"))

    @property
    def lanes(self) -> Path:
        """All lanes' directories."""
        return self.home / "lanes"

    @property
    def paused(self) -> Path:
        """Exists while lanes shall skip what they read."""
        return self.root / "paused"

    @property
    def pauses(self) -> Path:
        """From when to when lanes were to skip what came, once that is over."""
        return self.root / "pauses"

    @property
    def resume(self) -> Path:
        """Exists when degraded lanes shall be tried again."""
        return self.root / "resume"

    @property
    def stopping(self) -> Path:
        """Exists from the moment a stop was asked for."""
        return self.root / "stopping"

    @property
    def ends(self) -> Path:
        """How processes of this deployment ended."""
        return self.home / "ends.json"

    @property
    def draining(self) -> Path:
        """Exists while a stop lets the lanes catch up: then none stands still."""
        return self.home / "draining"

    @property
    def journal(self) -> Path:
        """The journal's segments."""
        return self.home / "journal"

    def refused(self, worker: int) -> Path:
        """Where one champion worker keeps what it refused, for challengers' lanes to try."""
        return self.journal / f"{worker}.refused"

    @property
    def models(self) -> Path:
        """Downloaded versions, by digest."""
        return self.root / "models"

    @property
    def copies(self) -> Path:
        """Each process's own copy of its version's files, for as long as it lives."""
        return self.root / "copies"

    @property
    def evidence(self) -> Path:
        """What has reached MLflow."""
        return self.home / "evidence.db"

    @property
    def fed(self) -> Path:
        """Says how many recorded requests a rescoring has, once all of them lie in its journal."""
        return self.home / "fed.json"

    @property
    def asked(self) -> Path:
        """What a rescoring was asked for."""
        return self.root / "asked.json"

    @property
    def rescored_whole(self) -> Path:
        """Exists once a rescoring has come to its end."""
        return self.root / "rescored_whole"

    @property
    def label_rows(self) -> Path:
        """A rescoring's labels, one a line, as its table has them."""
        return self.root / "labels.jsonl"

    @property
    def feeding(self) -> Path:
        """Why whoever feeds recorded requests gave up; missing else."""
        return self.root / "feeding.json"

    @property
    def rescored(self) -> Path:
        """One directory a rescoring, each a state directory of its own."""
        return self.root / "rescored"

    @property
    def evidence_lock(self) -> Path:
        """Held by the evidence writer."""
        return self.root / "evidence.lock"

    @property
    def arrival(self) -> Path:
        """How evidence fares, as its writer last wrote it down."""
        return self.home / "evidence.json"

    @property
    def wider(self) -> Path:
        """How many times wider windows are while MLflow asks for fewer calls; missing else."""
        return self.home / "wider"

    @property
    def accepted(self) -> Path:
        """Findings that the team has accepted, and what was withdrawn; missing until there is one."""
        return self.home / "accepted.json"

    @property
    def accepted_lock(self) -> Path:
        """Held by whoever writes it."""
        return self.home / "accepted.lock"

    @property
    def switched(self) -> Path:
        """Moves of the alias that rest on this deployment; missing until there is one."""
        return self.home / "switched.json"

    @property
    def alerts(self) -> Path:
        """What alerts have seen, what waits to be told, and what was; missing where none are sent."""
        return self.home / "alerts.json"

    @property
    def alerts_lock(self) -> Path:
        """Held by the process that sends them."""
        return self.home / "alerts.lock"

    @property
    def labels(self) -> Path:
        """What turned out to be true, by request id; missing until a label comes."""
        return self.home / "labels.db"

    @property
    def labels_lock(self) -> Path:
        """Held by the one process that writes the labels' file."""
        return self.home / "labels.lock"

    @property
    def label_sets(self) -> Path:
        """Sets of labels that wait for that process; missing until one is handed in."""
        return self.home / "labels"

    @property
    def logs(self) -> Path:
        """Each process's talk."""
        return self.root / "logs"

    def loaded(self, role: Role, version: int) -> Path:
        """Where whoever has loaded a version says what threads it asks for."""
        return self.home / "loaded" / f"{role.value}-v{version}"

    def classes(self, version: int) -> Path:
        """Where whoever has loaded a version says what classes it has."""
        return self.home / "loaded" / f"classes-v{version}.json"

    def sharing(self, role: Role, version: int) -> Path:
        """Where whoever has loaded a version says whether requests share a call of it."""
        return self.home / "loaded" / f"sharing-{role.value}-v{version}.json"

    def mark(self, digest: str | None, method: str) -> Path:
        """Return the byte that begins and ends shared calls of a version's files, in all workers at once."""
        return self.root / "sharing" / f"{(digest or 'none')[:32]}-{method}.bin"

    def shown(self, digest: str | None, method: str) -> Path:
        """Return what recorded requests have shown of a version's files."""
        return self.mark(digest, method).with_suffix(".json")

    @property
    def counting(self) -> Path:
        """All workers' counters, and the names of unknown columns."""
        return self.home / "counters"

    def counters(self, worker: int) -> Path:
        """One champion worker's counters."""
        return self.counting / f"{worker}.bin"

    def all_counters(self) -> dict[int, Path]:
        """Every worker that ever counted here."""
        found = self.counting.glob("*.bin")
        # A draft of a file lies beside it for an instant, and is no worker.
        return {int(path.stem): path for path in found if path.stem.isdigit()}

    def unknown_columns(self, worker: int) -> Path:
        """Names of the unknown columns that one champion worker met."""
        return self.counting / f"{worker}.names"

    def all_unknown_columns(self) -> list[Path]:
        """Every worker's, in the order of workers; some may be missing."""
        return [self.unknown_columns(worker) for worker in sorted(self.all_counters())]

    def all_refusals(self) -> list[Path]:
        """Every worker's refusals by code; some may be missing."""
        return [
            path.with_suffix(refusal_counts.SUFFIX)
            for _, path in sorted(self.all_counters().items())
        ]

    @property
    def scoring_lock(self) -> tuple[Path, Path]:
        """Locks of the lane that scores, and of the one that is next."""
        return self.lanes / "lock", self.lanes / "next"

    @property
    def crowded(self) -> Path:
        """Exists while lanes are more than the CPUs that they have: then they score one at a time."""
        return self.lanes / "crowded"

    def turns(self, version: int) -> tuple[Path, Path]:
        """Pipes from a challenger to the control, and back."""
        return self.lanes / f"turn-v{version}", self.lanes / f"turned-v{version}"

    def lane(self, role: Role, version: int, stay: int = 1) -> LanePlaces:
        """One lane's files, each stay of a version its own."""
        return LanePlaces(self.lanes / folder_of(role, version, stay))

    def make(self) -> None:
        """Create the directories, readable by their owner only."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("models", "logs", "sharing"):
            _make_private(self.root / name)
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("journal", "counters", "loaded", "lanes"):
            _make_private(self.home / name)


def present(root: Path) -> str:
    """Return the present deployment's own folder below a state directory; empty for the directory itself."""
    try:
        return checked((root / "present").read_text().strip())
    except (OSError, ValueError):
        return _ALL_IN_ROOT


def checked(own: str) -> str:
    """Return a deployment's folder as it was given.

    Raises
    ------
    ValueError
        If it is no such folder: whatever names one, nothing elsewhere may be taken for a deployment.
    """
    if own and not _HOMES.fullmatch(own):
        raise ValueError("no folder of a deployment")
    return own


def folder_of(role: Role, version: int, stay: int = 1) -> str:
    """Return the name of a lane's directory.

    Examples
    --------
    >>> folder_of(Role.CHALLENGER, 4), folder_of(Role.CHALLENGER, 4, 2)
    ('challenger-v4', 'challenger-v4-2')
    """
    return f"{role.value}-v{version}" + (f"-{stay}" if stay > 1 else "")


def _make_private(directory: Path) -> None:
    """Make a directory its owner's alone, also one that an earlier release made."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # `mkdir` leaves a directory that was there as it was, and an earlier release left it open.
    if directory.stat().st_mode & 0o077:
        directory.chmod(0o700)
