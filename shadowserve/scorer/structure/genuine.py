"""The installed libraries as they were installed: which classes are theirs, and whether one was patched.

Where the libraries lie is found when this is imported, before any version's code can have run.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIBRARIES = ("sklearn", "lightgbm", "xgboost", "catboost", "numpy", "scipy", "joblib", "pandas")
_PATCHABLE = ("sklearn", "lightgbm", "xgboost", "catboost", "numpy", "joblib")
_ALSO = ("cloudpickle", "threadpoolctl", "narwhals")
_MADE = frozenset(
    [
        "__new__",
        "__init__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "_make",
        "_replace",
    ]
)
"""What dataclasses and named tuples compile from text."""


def _home(library: str) -> str | None:
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        return None
    origin = Path(found.origin)
    return f"{origin.parent}/" if origin.name == "__init__.py" else str(origin)


_HOMES = {name: home for name in (*LIBRARIES, *_ALSO) if (home := _home(name)) is not None}
"""Where the libraries lie, found before any version's code can have run in this process."""
_TRUSTED = (*_HOMES.values(), f"{sysconfig.get_path('stdlib')}/", "<frozen ", "<__array_function__")


def full_name(kind: type) -> str:
    """Return a class's module and name, as the reviewed list has them."""
    return f"{kind.__module__}.{kind.__qualname__}"


def is_genuine(kind: type) -> bool:
    """Whether a class is the one that an installed library, where it lies, has under its name."""
    if kind.__module__ == "builtins":
        return True
    home = _HOMES.get(kind.__module__.partition(".")[0])
    module = sys.modules.get(kind.__module__)
    found: Any = module
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    if kind.__module__ == "numpy" or (found is None and kind.__module__.startswith("numpy.")):
        return home is not None  # dtypes and scalars of compiled code have no module of their own
    origin = getattr(module, "__file__", None) or ""
    # A shipped class can bear a library's module and name; it is not the object that lies there.
    return home is not None and found is kind and origin.startswith(home)


def patched() -> str | None:
    """Return a function of the libraries that is not their own any more; None if there is none."""
    # Loading a model may replace a library's function, and then even known classes run unknown code.
    for name, module in sys.modules.copy().items():
        if module is None or name.partition(".")[0] not in _PATCHABLE:
            continue
        for place, function, in_class in _functions(name, module):
            code = function.__code__.co_filename
            if code.startswith(_TRUSTED) or (in_class and code == "<string>"):
                continue
            return f"{name}.{place}, which was replaced"
    return None


def _functions(name: str, module: Any) -> Iterator[tuple[str, types.FunctionType, bool]]:
    for key, value in vars(module).copy().items():
        if isinstance(value, types.FunctionType):
            yield key, value, False
        elif isinstance(value, type) and value.__module__ == name:
            for own, method in list(vars(value).items()):
                plain = getattr(method, "__func__", method)
                if isinstance(plain, types.FunctionType):
                    made = own in _MADE or own.startswith("__")
                    yield f"{key}.{own}", plain, made
