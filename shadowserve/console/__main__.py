"""The control plane's process: ``python -m shadowserve.console <listening descriptor>``.

With ``--ssl-certfile`` and ``--ssl-keyfile``, as BentoML's worker takes them, it speaks HTTPS.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from setproctitle import setproctitle

from shadowserve.console.app import Console
from shadowserve.console.guard import Guard
from shadowserve.console.tap import Tap
from shadowserve.host import stages
from shadowserve.host.leash import watch_parent
from shadowserve.host.private_log import silence_others
from shadowserve.http import tokens
from shadowserve.http.header_limit import BoundedHead
from shadowserve.http.passage import Prefixed
from shadowserve.settings import gate as gates
from shadowserve.state import beginnings
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places


def main(descriptor: int, *options: str) -> None:
    """Answer on an inherited socket until SIGTERM."""
    stages.reached("imports")
    root = os.environ["SHADOWSERVE_STATE_DIR"]
    setproctitle(f"shadowserve console {root}")
    watch_parent(int(os.environ["SHADOWSERVE_PARENT"]))
    silence_others()
    places = Places.of_process(Path(root))
    deployment = deployments.read(places)
    tap = Tap(places, deployment) if deployment is not None and deployment.tapped else None
    token = tokens.from_environment()
    certificate = dict(zip(options[::2], options[1::2], strict=True))
    app: Any = Guard(
        Console(places, tap=tap, guarded=token is not None).app(),
        token,
        gates.Gate.from_environment(),
    )
    if prefix := os.environ.get(gates.PREFIX):
        app = Prefixed(app, prefix)
    config = uvicorn.Config(
        app,
        http=BoundedHead,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=certificate.get("--ssl-certfile"),
        ssl_keyfile=certificate.get("--ssl-keyfile"),
    )
    stages.reached("page")
    beginnings.tell(places.scratch, "console")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
