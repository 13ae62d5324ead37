"""Where deployments of one state directory live: which is the present one, and what a handover leaves behind.

The first lies in the directory itself. One that takes over from it begins in a folder of its own, while the other still
writes; from one instant on, in which a small file is replaced, it is the present one.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from shadowserve.errors import ShadowserveError
from shadowserve.state import counters
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.files import write_whole
from shadowserve.state.places import OWN_FOLDER, Places


def folder_of(deployment: Deployment) -> str:
    """Return the folder of its own in which a deployment begins, below the state directory.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> folder_of(SimpleNamespace(id="my films-20261130T120000Z-0a1b2c"))
    'deployments/20261130T120000Z-0a1b2c'
    """
    return f"{OWN_FOLDER}/{'-'.join(deployment.id.split('-')[-2:])}"


def prepare(root: Path, deployment: Deployment) -> Places:
    """Make the folder of a deployment that is to take over; nobody serves from it yet."""
    places = Places(root, folder_of(deployment))
    places.make()
    deployments.write(places, deployment)
    return places


def commit(places: Places) -> None:
    """Make a deployment the present one, in one step."""
    write_whole(places.present, places.folder)


def discard(places: Places) -> None:
    """Delete the folder of a deployment that has served nobody."""
    if places.folder:
        shutil.rmtree(places.home, ignore_errors=True)


def left_behind(root: Path) -> Iterator[Places]:
    """Yield the deployments that are not the present one and not in the archive: a handover was cut off."""
    present = Places(root).folder
    if present and Places(root, "").deployment.exists():
        yield Places(root, "")
    for home in sorted((root / OWN_FOLDER).glob("*/")):
        own = f"{OWN_FOLDER}/{home.name}"
        if own != present:
            with contextlib.suppress(ValueError):  # no folder of ours
                yield Places(root, own)


def has_served(places: Places) -> bool:
    """Whether callers got anything from a deployment."""
    counts = [counters.read(path) for path in places.all_counters().values()]
    return any(one.answered or one.failed or one.lost for one in counts)


def shelve(places: Places) -> Path | None:
    """Move a deployment that is over into the archive; return where it lies, None if it served nobody.

    To be called once none of its processes runs: what is still written must not be renamed.
    """
    try:
        deployment = deployments.read(places)
    except ShadowserveError:
        return None  # whoever looks into the folder finds what is there
    if deployment is None or (places.folder and not has_served(places)):
        discard(places)
        return None
    shelf = deployments.archive(places, deployment)
    discard(places)
    return shelf
