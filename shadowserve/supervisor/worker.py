"""How a champion worker is started: BentoML's worker, with what is not needed switched off.

The supervisor starts BentoML's workers itself, on a socket that it holds, instead of leaving them to
BentoML's arbiter: that one looks after its workers every ten seconds only, and leaves them behind
when it is killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def worker_command(
    *, socket_fd: int, worker: int, certificate: Sequence[str] = ()
) -> Sequence[str]:
    """Return the arguments of one worker's Python process; most are BentoML's own.

    Parameters
    ----------
    socket_fd : int
        The listening socket, inherited.
    worker : int
        Worker index, from 0; BentoML counts from 1.
    certificate : sequence of str
        BentoML's options for TLS.
    """
    return (
        "-m",
        "shadowserve.worker",
        "shadowserve.service:ShadowChampion",
        "--service-name",
        "ShadowChampion",
        "--fd",
        str(socket_fd),
        "--worker-id",
        str(worker + 1),
        "--timeout-keep-alive",
        "75",
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
