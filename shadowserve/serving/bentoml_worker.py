"""The command of a champion worker: BentoML's worker, with what is not needed switched off.

The supervisor starts BentoML's workers itself, on a socket that it holds, instead of leaving them to
BentoML's arbiter: that one looks after its workers every ten seconds only, and leaves them behind
when it is killed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

FIRST_VARIABLE = "SHADOWSERVE_FIRST_WORKER"
"""Number of the first worker of the generation that a process belongs to."""
LINE_VARIABLE = "SHADOWSERVE_LINE"
"""Descriptor at which the supervisor's orders come; not set where nobody hands over."""
PRIVATE_VARIABLE = "SHADOWSERVE_PRIVATE"
"""Descriptor at which a worker listens until it is told to open; not set where it opens by itself."""
FORMER_VARIABLE = "SHADOWSERVE_FORMER"
"""Folder of the deployment whose recorded requests are asked before this one serves; not set where none are."""
GAVE_UP_CALL = 70
"""Exit code of a worker whose call of the model did not end; sysexits.h calls it an internal error."""


def hang_limit_s(request_timeout_s: float) -> float:
    """Return how long one call may last before its worker is given up: the timeout and as much again.

    The second part is 5 s at least and 30 s at most.

    Examples
    --------
    >>> hang_limit_s(60.0), hang_limit_s(1.0)
    (90.0, 6.0)
    """
    return request_timeout_s + min(max(request_timeout_s, 5.0), 30.0)


def worker_command(
    *, socket_fd: int, worker: int, keep_alive_s: float = 75.0, certificate: Sequence[str] = ()
) -> Sequence[str]:
    """Return the arguments of one worker's Python process; most are BentoML's own.

    Parameters
    ----------
    socket_fd : int
        The listening socket, inherited.
    worker : int
        Worker index, from 0; BentoML counts from 1.
    keep_alive_s : float
        How long an idle connection is kept; BentoML takes whole seconds.
    certificate : sequence of str
        BentoML's options for TLS.
    """
    return (
        "-m",
        "shadowserve.serving.worker",
        "shadowserve.serving.service:ShadowChampion",
        "--service-name",
        "ShadowChampion",
        "--fd",
        str(socket_fd),
        "--worker-id",
        str(worker + 1),
        "--timeout-keep-alive",
        str(max(1, math.ceil(keep_alive_s))),
        *certificate,
    )


def worker_environment(scratch: Path) -> dict[str, str]:
    """Return BentoML's switches: no telemetry, no tracing, logging or metrics of every request."""
    options = (
        "services.ShadowChampion.logging.access.enabled=false",
        "services.ShadowChampion.metrics.enabled=false",
    )
    return {
        "BENTOML_CONFIG_OPTIONS": " ".join(options),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(scratch / "bentoml"),
        "PROMETHEUS_MULTIPROC_DIR": str(scratch),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
