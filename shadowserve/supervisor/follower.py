"""Following an alias of the registry, in a process of its own: where it is moved, that version takes over.

python -m shadowserve.supervisor.follower STATE-DIR ALIAS

It looks each ten seconds, or at once when the supervisor says so, fetches the version that the alias stands for, prepares
the deployment that follows upon the present one, and asks the supervisor to hand over. A version that was refused is not
tried again before the alias stands for another.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

from shadowserve.errors import ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host import priority
from shadowserve.host.leash import watch_parent
from shadowserve.settings.settings import Settings
from shadowserve.settings.vocabulary import FOLLOW_VARIABLE
from shadowserve.state import deployment as deployments
from shadowserve.state import homes
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.supervisor import visiting
from shadowserve.supervisor.joiner import REGISTRY, TRACKING
from shadowserve.supervisor.refusals import file_faults, refuse_columns
from shadowserve.supervisor.succession import promoted
from shadowserve.versions import pins
from shadowserve.versions.stores import Uris

LOOK_S = 10.0
WAKE = signal.SIGUSR1

_log = logging.getLogger("shadowserve.follower")


@dataclass(slots=True)
class Follower:
    """Looks at the alias, and asks for a handover where it has moved.

    Parameters
    ----------
    root : Path
        The state directory.
    alias : str
    registry : Registry
    settings : Settings
        What the files of a version are judged by.
    keep_former : bool
        Whether the former champion is scored on.
    """

    root: Path
    alias: str
    registry: Any
    settings: Settings
    keep_former: bool
    refused: int | None = None

    def look(self) -> None:
        """Look once."""
        places = Places(self.root)
        present = deployments.read(places)
        if present is None:
            return
        pin = self.registry.resolve(pins.parse(f"@{self.alias}"), present.model)
        if pin.version == present.champion.number:
            self.refused = None
        elif pin.version != self.refused:
            _log.info("@%s stands for %s now", self.alias, pin)
            try:
                self._hand_over(places, present, pin)
            except ShadowserveError as error:
                self.refused = pin.version
                _log.warning("%s", error)

    def _hand_over(self, places: Places, present: Deployment, pin: pins.Pin) -> None:
        served = {Path(path).name for path in present.files.values()}
        fetched = self.registry.fetch_all((pin,), places.models, spared=served)[pin]
        if faults := file_faults(self.settings, fetched.version):
            raise ModelError(" ".join(faults))
        refuse_columns(self.settings, [fetched.version])
        wanted = promoted(
            places,
            present,
            fetched.version,
            files={pin.version: str(fetched.path.resolve())},
            keep_former=self.keep_former,
            salt=secrets.token_hex(16),
        )
        home = homes.prepare(self.root, wanted)
        try:
            self._ask(places, wanted)
        except ShadowserveError:
            if Places(self.root).home != home.home:
                homes.discard(home)
            raise

    def _ask(self, places: Places, wanted: Deployment) -> None:
        question = {"ask": "hand over", "deployment": wanted.id, "patient": True}
        end = visiting.ask(places, question, tell=lambda line: _log.info("%s", line))
        _log.info("%s is served, after %s s", end["served"], end["took_s"])


def main(root: str, alias: str) -> None:
    """Follow until SIGTERM."""
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    setproctitle(f"shadowserve follower @{alias} {root}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    woken = threading.Event()
    signal.signal(WAKE, lambda *_: woken.set())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from shadowserve.versions.registry import Registry  # imports MLflow: seconds

    priority.load()
    told = json.loads(os.environ[FOLLOW_VARIABLE])
    keep_former = told.pop("keep_former")
    settings = Settings(**{**told, "allow_digests": tuple(told["allow_digests"])})
    addresses = Uris(os.environ[TRACKING], os.environ[REGISTRY])
    follower = Follower(Path(root), alias, Registry(addresses), settings, keep_former)
    while True:
        try:
            follower.look()
        except ShadowserveError as error:
            _log.warning("%s It is looked at again.", error)
        except Exception as error:  # its text may quote anything
            fault = fault_of(error)
            _log.warning("%s at %s; it is looked at again", fault.type, fault.frame)
        woken.wait(LOOK_S)
        woken.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
