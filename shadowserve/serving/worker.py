"""A champion worker's process: the model has the main thread, BentoML's server another.

Some of what a model sets up belongs to a thread: a database's handle, a decimal context, a library's
configuration, a signal's handler. So one thread loads, warms and scores, and it is the main one, as in
a lane, in `check` and in `mlflow models serve`.

python -m shadowserve.serving.worker <arguments of BentoML's worker>
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from shadowserve import ambience
from shadowserve.host import stages, stopping
from shadowserve.serving import service


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM. SIGINT is nobody's here: a model's `interrupt_main` must not end a worker."""
    stages.reached("imports")
    stopping.heed(service.stop, (signal.SIGTERM,))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ambience.claim()
    service.start(arguments)
    service.work()


if __name__ == "__main__":
    main(sys.argv[1:])
