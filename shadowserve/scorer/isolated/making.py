"""The making of a version's environment, in a process of its own, before its lane needs it.

python -m shadowserve.scorer.isolated.making challenger v4 .shadowserve

It has the lanes' CPUs and the lowest claim on them. Where it fails, it leaves the reason as the lane's, and ends
as a lane does that has said why it cannot go on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from setproctitle import setproctitle

from shadowserve.errors import ModelError
from shadowserve.host.leash import watch_parent
from shadowserve.records import Role
from shadowserve.scorer.isolated import environments
from shadowserve.scorer.isolated.opening import source_of
from shadowserve.scorer.isolated.requirements import of_version
from shadowserve.settings.options import Options
from shadowserve.settings.vocabulary import PACKAGE_INDEX
from shadowserve.state import deployment as deployments
from shadowserve.state.inflight import GAVE_UP
from shadowserve.state.isolation import Environment
from shadowserve.state.lane_condition import Condition
from shadowserve.state.places import Places
from shadowserve.versions.version import Version


def make(
    version: Version,
    path: Path,
    options: Options,
    *,
    index: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Environment:
    """Return a version's environment, made where it is not there.

    Parameters
    ----------
    index : str, optional
        The address with its credentials.

    Raises
    ------
    ModelError
        If it cannot be made, in one line with what to do.
    """
    return environments.obtain(
        of_version(version, path),
        source_of(options, index=index),
        environments.cache_folder(),
        name=str(version.pin),
        say=say,
    )


def main(arguments: Sequence[str]) -> int:
    """Make one lane's environment; return the exit code."""
    role, number, root = arguments
    setproctitle(f"shadowserve environment {role} {number} {root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    places = Places.of_process(Path(root))
    deployment = deployments.read(places)
    if deployment is None:
        return 2
    name = deployment.lane_named(Role(role), int(number.removeprefix("v")))
    lane = places.lane(name.role, name.version, name.stay)

    def say(text: str) -> None:
        Condition("starting", f"its environment is {text}").write(lane)

    try:
        make(
            deployment.version_of(name),
            Path(deployment.files[name.version]),
            deployment.options,
            index=os.environ.get(PACKAGE_INDEX),
            say=say,
        )
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        Condition("degraded", f"{error} 'shadowserve resume' tries again.").write(lane)
        return GAVE_UP
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
