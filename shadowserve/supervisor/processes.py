"""How every process of a deployment is started: its command, environment, CPUs and log.

What a process is told stands here and nowhere else. Only the evidence writer and the joiner see the team's
credentials, only the ports' own processes inherit the callers' token, only alerts know their receiver.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from shadowserve import withheld
from shadowserve.host import priority
from shadowserve.host.placement import Placement
from shadowserve.host.priority import Priority
from shadowserve.host.private_log import PRINTS
from shadowserve.http import certificate, tokens
from shadowserve.journal import writer
from shadowserve.serving.bentoml_worker import (
    FIRST_VARIABLE,
    FORMER_VARIABLE,
    LINE_VARIABLE,
    PRIVATE_VARIABLE,
    worker_command,
    worker_environment,
)
from shadowserve.settings import gate as gates
from shadowserve.settings import lane_processes
from shadowserve.settings.alerting import Alerting
from shadowserve.settings.gate import Gate
from shadowserve.settings.settings import Settings
from shadowserve.settings.vocabulary import (
    ARCHIVE_KEEPS,
    FOLLOW_VARIABLE,
    PACKAGE_INDEX,
    WHEN_BEHIND_VARIABLE,
)
from shadowserve.state import deployment as deployments
from shadowserve.state import ends
from shadowserve.state.deployment import LaneName
from shadowserve.state.places import HOME_VARIABLE, Places
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.watch import LaneWatch
from shadowserve.versions import pins
from shadowserve.versions.stores import Uris


@dataclass(frozen=True, slots=True)
class Processes:
    """Makes the processes of one start; starting and watching them is the supervisor's.

    Parameters
    ----------
    settings : Settings
        What the user asked.
    places : Places
        The state directory, already claimed.
    placement : Placement
        Which CPUs the champion and the lanes get.
    addresses : Uris
        Of tracking server and registry; told to the evidence writer alone.
    start_token : str
        Tells this start's processes from those of an earlier one.

    Attributes
    ----------
    token : int or None
        Descriptor of what callers must bear (`tokens.hold`); the ports' own processes inherit it.
    """

    settings: Settings
    places: Places
    placement: Placement
    addresses: Uris
    start_token: str
    token: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.settings.token_file is not None:
            object.__setattr__(self, "token", tokens.hold(self.settings.token_file))

    @property
    def priority(self) -> Priority:
        """What lanes and the evidence writer claim of a CPU."""
        asked = self.settings.lane_priority
        return self.placement.usual_priority if asked == "auto" else Priority(asked)

    def worker(
        self,
        index: int,
        listener: socket.socket,
        *,
        first: int = 0,
        line: int | None = None,
        private: int | None = None,
        former: str | None = None,
    ) -> Child:
        """Make a champion worker, which inherits the data plane's socket.

        Parameters
        ----------
        index, first : int
            Which of its generation it is, and that one's first number.
        line, private : int, optional
            Descriptors: where it hears orders, and where it listens until it is told to open.
        former : str, optional
            Folder of the deployment whose recorded requests it is to answer before it serves.
        """
        descriptor = listener.fileno()
        told = {
            LINE_VARIABLE: line,
            PRIVATE_VARIABLE: private,
            FORMER_VARIABLE: former,
        }
        return Child(
            name=f"champion worker {index}",
            command=worker_command(
                socket_fd=descriptor,
                worker=first + index,
                keep_alive_s=self.settings.keep_alive,
                certificate=self._certificate(),
            ),
            env={
                **self._environment("champion"),
                **self._token(),
                **self._gate(self.settings.host, origins=self.settings.allow_origins),
                **self._prints(f"champion-{index}"),
                "SHADOWSERVE_WORKER": str(first + index),
                FIRST_VARIABLE: str(first),
                **{name: str(one) for name, one in told.items() if one is not None},
            },
            log=self.places.logs / f"champion-{index}.log",
            pass_fds=(
                descriptor,
                *(one for one in (line, private) if one is not None),
                *self._token_fds(),
            ),
            cpus=self.placement.worker(index),
        )

    def lane_processes(self, name: LaneName, *, lanes: int) -> int:
        """Return how many processes score for a lane at most, of which its own is one."""
        given, version = self.settings.lane_processes, name.version
        return lane_processes.processes(given, version, cpus=self.placement.n_cpus, lanes=lanes)

    def lane(self, name: LaneName, *, lanes: int = 1) -> LaneWatch:
        """Make a lane's process and what watches it.

        Parameters
        ----------
        lanes : int
            How many lanes share the CPUs.
        """
        places = self.places.lane(name.role, name.version, name.stay)
        places.make()
        known = deployments.read(self.places)
        isolated = known is not None and name in known.lanes and known.isolates(name)
        command = ("-m", "shadowserve.lane.process", name.role.value, f"v{name.version}")
        child = Child(
            name=f"lane {name}",
            command=(*command, str(self.places.root)),
            env={
                **self._environment(name.role.value),
                **self._prints(f"lane-{name.role.value}-v{name.version}"),
                lane_processes.VARIABLE: str(self.lane_processes(name, lanes=lanes)),
                **self._as_needed(name),
                WHEN_BEHIND_VARIABLE: self.settings.when_behind,
                **self._background(),
            },
            log=self.places.logs / f"lane-{name.role.value}-v{name.version}.log",
            idle=True,
            network=self.settings.lane_network,
            cpus=self.placement.background,
        )
        return LaneWatch(
            name=name,
            places=places,
            child=child,
            deadline_s=self.settings.deadline,
            memory_bytes=self.settings.lane_memory,
            note=partial(ends.note, self.places, ends.of_lane(name)),
            maker=self._maker(name) if isolated else None,
        )

    def _maker(self, name: LaneName) -> Child:
        """Make the process that makes the environment of a lane's version; it may use the network."""
        passed = [one for one in os.environ if one.startswith(("UV_", "PIP_"))]
        return Child(
            name=f"environment of {name}",
            command=(
                "-m", "shadowserve.scorer.isolated.making", name.role.value, f"v{name.version}",
                str(self.places.root),
            ),
            env={
                **self._environment("environment", passed=passed),
                **self._index(),
                **self._background(),
            },
            log=self.places.logs / f"environment-v{name.version}.log",
            idle=True,
            cpus=self.placement.background,
        )  # fmt: skip

    def console(self, listener: socket.socket) -> Child:
        """Make the console, which inherits its socket."""
        descriptor = listener.fileno()
        return Child(
            name="console",
            command=("-m", "shadowserve.console", str(descriptor), *self._certificate()),
            env={
                **self._environment("console"),
                **self._token(),
                **self._gate(self.settings.console_host),
            },
            log=self.places.logs / "console.log",
            pass_fds=(descriptor, *self._token_fds()),
            cpus=self.placement.background,
        )

    def evidence(self) -> Child:
        """Make the evidence writer, the one process that knows MLflow's address and credentials."""
        return Child(
            name="evidence writer",
            command=("-m", "shadowserve.evidence"),
            env={
                **self._environment("evidence"),
                **self._background(),
                "SHADOWSERVE_TRACKING_URI": self.addresses.tracking,
                "SHADOWSERVE_REGISTRY_URI": self.addresses.registry,
            },
            log=self.places.logs / "evidence.log",
            idle=True,
            cpus=self.placement.background,
        )

    def archivist(self) -> Child | None:
        """Make the process that archives the journal; None where nothing is kept."""
        keep = self.settings.keep_journal
        if keep is None:
            return None
        return Child(
            name="archivist",
            command=("-m", "shadowserve.supervisor.archivist"),
            env={
                **self._environment("archivist"),
                **self._background(),
                ARCHIVE_KEEPS: keep.spelled,
            },
            log=self.places.logs / "archivist.log",
            idle=True,
            cpus=self.placement.background,
        )

    def feeder(self) -> Child:
        """Make the process that puts recorded requests into a rescoring's journal, and scores its champion."""
        return Child(
            name="feeder",
            command=("-m", "shadowserve.rescoring.feeding", str(self.places.root)),
            env={
                **self._environment("feeder"),
                **self._prints("feeder"),
                **self._background(),
            },
            log=self.places.logs / "feeder.log",
            idle=True,
            network=self.settings.lane_network,
            cpus=self.placement.background,
        )

    def joiner(self, question: int, answers: int) -> Child:
        """Make the process that fetches and checks a version that is to join; it inherits two descriptors."""
        return Child(
            name="joiner",
            command=("-m", "shadowserve.supervisor.joiner", str(question), str(answers)),
            env={
                **self._environment("evidence"),
                **self._index(),
                **self._background(),
                "SHADOWSERVE_TRACKING_URI": self.addresses.tracking,
                "SHADOWSERVE_REGISTRY_URI": self.addresses.registry,
            },
            log=self.places.logs / "joiner.log",
            pass_fds=(question, answers),
            idle=True,
            cpus=self.placement.background,
        )

    def follower(self) -> Child | None:
        """Make the process that follows the champion's alias; None where nobody follows."""
        asked, alias = self.settings, pins.parse(self.settings.champion or "v1").alias
        if not asked.follow or alias is None:
            return None
        told = {
            "keep_former": asked.keep_former,
            "allow_digests": asked.allow_digests,
            "strict_versions": asked.strict_versions,
            "entity": asked.entity,
        }
        return Child(
            name="follower",
            command=("-m", "shadowserve.supervisor.follower", str(self.places.root), alias),
            env={
                **self._environment("evidence"),
                **self._background(),
                "SHADOWSERVE_TRACKING_URI": self.addresses.tracking,
                "SHADOWSERVE_REGISTRY_URI": self.addresses.registry,
                FOLLOW_VARIABLE: json.dumps(told),
            },
            log=self.places.logs / "follower.log",
            idle=True,
            cpus=self.placement.background,
        )

    def alerts(self) -> Child | None:
        """Make the process that sends alerts, the one that knows where to; None where nothing is sent."""
        alerting = Alerting.of(self.settings.alerts)
        if not alerting.webhook:
            return None
        return Child(
            name="alerts",
            command=("-m", "shadowserve.alerts"),
            env={**self._environment("alerts"), **self._background(), **alerting.environment()},
            log=self.places.logs / "alerts.log",
            idle=True,
            cpus=self.placement.background,
        )

    def _environment(self, role: str, *, passed: Sequence[str] = ()) -> dict[str, str]:
        environ: Mapping[str, str] = os.environ
        if role in ("console", "alerts", "archivist"):
            # They run no model, yet they read what models wrote: they have no use for secrets either.
            environ = withheld.for_models(os.environ)
        elif role != "evidence":
            environ = withheld.for_models(
                os.environ,
                passed=(*self.settings.pass_env, *passed),
                tracking=self.addresses.tracking,
                registry=self.addresses.registry,
            )
        return {
            **environ,
            **worker_environment(self.places.scratch),
            **self.placement.environment(),
            "SHADOWSERVE_ROLE": role,
            "SHADOWSERVE_STATE_DIR": str(self.places.root),
            HOME_VARIABLE: self.places.folder,
            "SHADOWSERVE_START": self.start_token,
            "SHADOWSERVE_WORKERS": str(self.settings.workers),
            "SHADOWSERVE_MAX_BODY": str(self.settings.max_body),
            "SHADOWSERVE_REQUEST_TIMEOUT": str(self.settings.request_timeout),
            "SHADOWSERVE_READ_TIMEOUT": str(self.settings.read_timeout),
            writer.SEGMENT_VARIABLE: str(self._segment_bytes()),
        }

    def _segment_bytes(self) -> int:
        workers = 1 if self.settings.tap else self.settings.workers
        return writer.segment_bytes(
            self.settings.journal_budget, workers=workers, max_body=self.settings.max_body
        )

    def _as_needed(self, name: LaneName) -> dict[str, str]:
        auto = lane_processes.is_auto(self.settings.lane_processes, name.version)
        return {lane_processes.AS_NEEDED: "1"} if auto else {}

    def _index(self) -> dict[str, str]:
        """Return where packages come from; with its credentials, it is for whoever installs."""
        index = self.settings.package_index
        return {PACKAGE_INDEX: index} if index else {}

    def _background(self) -> dict[str, str]:
        return {priority.VARIABLE: self.priority.value}

    def _certificate(self) -> tuple[str, ...]:
        found = certificate.of(self.settings.ssl_certfile, self.settings.ssl_keyfile)
        return () if found is None else found.options()

    def _prints(self, process: str) -> dict[str, str]:
        """Return where a process keeps what its model prints, if the team wants it kept."""
        if not self.settings.keep_prints:
            return {}
        return {PRINTS: str(self.places.logs / f"{process}.prints.log")}

    def _gate(self, bound: str, *, origins: Sequence[str] = ()) -> dict[str, str]:
        """Return what a port's own process knows of those it lets in, and of its paths."""
        asked, guarded = self.settings, self.token is not None
        gate = Gate.of(bound, names=asked.allow_hosts, origins=origins, guarded=guarded)
        prefix = {gates.PREFIX: asked.root_path} if asked.root_path else {}
        return {gates.VARIABLE: gate.to_json(), **prefix}

    def _token(self) -> dict[str, str]:
        """Return where the ports' own processes find the token; lanes are not told."""
        return {} if self.token is None else {tokens.VARIABLE: str(self.token)}

    def _token_fds(self) -> tuple[int, ...]:
        return () if self.token is None else (self.token,)
