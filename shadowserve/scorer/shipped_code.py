"""The code that comes with a version: its own, and nobody else's.

MLflow puts a version's ``code`` directory in front of Python's path. So a shipped ``json.py`` can
change what the server imports. And the module loaded first answers for every version that ships one
of its name. Here, while a version is loaded and after,

- a module of the standard library or of anything the server is built on stays what it is;
- any other shipped module wins over one of its name elsewhere (working directory, installed);
- a name that this process already imported from somewhere else is refused, since Python would
  hand out the old module in silence. Each version therefore has a process of its own.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import ModuleType

from shadowserve.errors import ModelError

_NAME = re.compile(r"[A-Za-z0-9._-]+")


class ShippedFinder:
    """Finds a version's own modules; belongs in `sys.meta_path`.

    Parameters
    ----------
    folder : Path
        The version's code directory.

    Attributes
    ----------
    hidden : frozenset of str
        Shipped top-level names that the server's own modules keep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = frozenset(_top_level(folder))
        self.hidden = names & protected_names()
        self.names = names - self.hidden

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for shipped top-level names only; everything below follows from those."""
        # Below a top-level package, its own path already leads to the right place.
        if path is not None:
            return None
        if name in self.names:
            return PathFinder.find_spec(name, [str(self.folder)], target)
        if name in self.hidden:
            return PathFinder.find_spec(name, _path_without(self.folder), target)
        return None


@contextmanager
def shipped_code(folder: Path | None, *, name: str) -> Iterator[frozenset[str]]:
    """Make a version's code importable from here on; what MLflow adds to the path is taken back.

    Parameters
    ----------
    folder : Path, optional
        The version's code directory; nothing is done without one.
    name : str
        The version, for messages.

    Yields
    ------
    frozenset of str
        Shipped top-level names that stay hidden behind the server's own.

    Raises
    ------
    ModelError
        A shipped name was already imported from somewhere else in this process.
    """
    if folder is None or not folder.is_dir():
        yield frozenset()
        return
    finder = ShippedFinder(folder)
    _refuse_clash(finder, name)
    present = any(isinstance(f, ShippedFinder) and f.folder == folder for f in sys.meta_path)
    if not present:
        # Before Python's own finders, which would take a name from the working directory first.
        sys.meta_path.insert(0, finder)
    try:
        yield finder.hidden
    except BaseException:
        if not present:
            sys.meta_path.remove(finder)
        sys.path[:] = _path_without(folder)
        raise
    # At the very end it shadows nothing, and processes that a model starts can find it.
    sys.path[:] = [*_path_without(folder), str(folder)]


def forget(path: Path) -> None:
    """Forget the modules that came with a version, so that loading it again runs them anew.

    What they remember in their globals of earlier calls is forgotten with them.
    """
    top = f"{path.resolve()}{os.sep}"
    within = cache(lambda folder: f"{os.path.realpath(folder)}{os.sep}".startswith(top))
    for name, module in sys.modules.copy().items():  # whole: what is collected meanwhile may import
        try:
            origin = getattr(module, "__file__", None)
        except BaseException:  # noqa: S112 - anything may stand among the modules
            continue
        if isinstance(origin, str) and within(origin.rpartition(os.sep)[0]):
            del sys.modules[name]


@cache
def protected_names() -> frozenset[str]:
    """Top-level names of the standard library and of everything shadowserve is built on.

    Extras that happen to be installed count: the server may import them later.
    """
    needed = _built_on("shadowserve")
    owners = packages_distributions()
    mine = {top for top, dists in owners.items() if needed & {_canonical(d) for d in dists}}
    return frozenset(sys.stdlib_module_names) | mine | {"shadowserve"}


def _built_on(root: str) -> set[str]:
    found: set[str] = set()
    waiting = [_canonical(root), "mlflow", "bentoml"]
    while waiting:
        distribution = waiting.pop()
        if distribution in found:
            continue
        try:
            wanted = requires(distribution) or []
        except PackageNotFoundError:
            continue
        found.add(distribution)
        waiting += [_canonical(match[0]) for line in wanted if (match := _NAME.match(line))]
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _top_level(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        name = entry.name.partition(".")[0]
        importable = entry.is_dir() or entry.suffix in {".py", ".so", ".pyd"}
        if importable and name.isidentifier() and name != "__pycache__":
            yield name


def _path_without(folder: Path) -> list[str]:
    return [entry for entry in sys.path if entry != str(folder)]


def _refuse_clash(finder: ShippedFinder, name: str) -> None:
    for module_name in sorted(finder.names):
        module = sys.modules.get(module_name)
        if module is not None and not _same_code(module, finder.folder, module_name):
            raise ModelError(
                f"{name} ships a module {module_name!r}, but this process already runs another "
                "of that name. Load each version in a process of its own, or rename the module."
            )


def _same_code(module: ModuleType, folder: Path, name: str) -> bool:
    """Whether the loaded module has the very bytes of the shipped one, wherever it lies."""
    shipped = folder / name
    if not shipped.is_dir():
        origin = getattr(module, "__file__", None)
        shipped = next(folder.glob(f"{name}.*"))
        return origin is not None and Path(origin).read_bytes() == shipped.read_bytes()
    # Imported here, since an isolated version's process has no reader of MLflow's files.
    from shadowserve.versions.version import digest_of

    # A namespace package has several places and no file.
    places = [Path(place) for place in getattr(module, "__path__", [])]
    return any(place.is_dir() and digest_of(place) == digest_of(shipped) for place in places)
