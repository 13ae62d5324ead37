"""A scorer: a further process of a lane, which loads the version and does nothing but score.

python -m shadowserve.lane.scorer_process challenger v4 1 .shadowserve 7 <incarnation>

It answers frames on the socket that it inherits as descriptor 7, and ends with it. What is in its hands is
marked in a file of its own, so that its death costs no other requests.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from setproctitle import setproctitle

from shadowserve import ambience
from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host import gc_freeze, priority
from shadowserve.host.leash import watch_parent
from shadowserve.host.private_log import PRINTS, silence_others
from shadowserve.lane import frames
from shadowserve.lane.observing import Observer
from shadowserve.records import Role
from shadowserve.scorer import scoring
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.inflight import TYPING, InFlight
from shadowserve.state.places import Places
from shadowserve.versions import copies
from shadowserve.wire.protocols import protocols

READ_BYTES = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Score until the lane goes away; return the exit code."""
    role, version, number, root, descriptor, incarnation = arguments
    places = Places.of_process(Path(root))
    setproctitle(f"shadowserve scorer {role} {version} {number} {root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    ambience.claim()
    line = socket.socket(fileno=int(descriptor))
    line.set_inheritable(False)
    silence_others(os.environ.get(PRINTS))
    deployment = deployments.read(places)
    if deployment is None:
        return 2
    name = deployment.lane_named(Role(role), int(version.removeprefix("v")))
    try:
        observer, inflight = load(name, places, deployment, number=int(number))
    except (
        BaseException
    ) as error:  # a model may raise anything: the lane goes on without it, and says so
        known = isinstance(error, ShadowserveError)
        fault = fault_of(error)
        reason = str(error) if known else f"{fault.type} at {fault.frame}"
        line.sendall(frames.frame({"incarnation": incarnation, "refused": reason}))
        return 1
    gc_freeze.settle()
    priority.settle()
    observer.scorer.settle(starved=inflight.starve, memory_bytes=deployment.options.lane_memory)
    line.sendall(frames.frame({"incarnation": incarnation, "ready": True}))
    serve(line, observer, inflight, incarnation=incarnation)
    return 0


def load(
    name: LaneName, places: Places, deployment: Deployment, *, number: int
) -> tuple[Observer, InFlight]:
    """Load the version once more, as its lane does.

    Raises
    ------
    ModelError
        If the version cannot be loaded or fails on its own example.
    """
    version = deployment.version_of(name)
    own = copies.own(Path(deployment.files[name.version]), places.copies / f"{name}-{number}")
    scorer = scoring.open_version(
        version,
        own,
        options=deployment.options,
        champion=deployment.champion if name.role is Role.CHALLENGER else None,
    )
    inflight = InFlight(places.lane(name.role, name.version, name.stay).scorer(number))
    table = dict(protocols(deployment.model, deployment.champion.number))
    return Observer(scoring.warm(scorer), table, mark=inflight.step), inflight


def serve(line: socket.socket, observer: Observer, inflight: InFlight, *, incarnation: str) -> None:
    """Answer frames until the other end is closed; one of another lane's process is an error."""
    held = frames.Frames()
    while read := line.recv(READ_BYTES):
        for head, rest in held.feed(read):
            if head["incarnation"] != incarnation:
                raise ValueError("a frame of another process of the lane")
            requests = frames.requests_of(head["requests"], rest)
            began_ns = time.monotonic_ns()
            typed = []
            for one in requests:
                # While it is typed, too: a type hint's validators are the model's code.
                inflight.mark([one.position], step=TYPING)
                typed.append(observer.typed(one))
            seen = observer.together(typed, hold=inflight.mark)
            inflight.clear()
            told, parts = frames.of_observations(seen)
            answer = {
                "incarnation": incarnation,
                "number": head["number"],
                "seen": told,
                "spent_ns": time.monotonic_ns() - began_ns,
            }
            line.sendall(frames.frame(answer, parts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
