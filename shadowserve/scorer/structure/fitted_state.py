"""Fitted state as a digest: two parts with the same one compute the same, whatever their names.

What is read: the class with its own code, parameters and fitted attributes, arrays by their bytes. What only says how
a part is run (threads, talk, caches) does not count. A part that cannot be read whole has no digest.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from scipy import sparse

_LIBRARIES = ("sklearn", "numpy", "scipy", "pandas", "lightgbm", "xgboost", "builtins", "joblib")
# The last is an address that a vectorizer notes in each process.
_NOT_COUNTED = frozenset({"n_jobs", "verbose", "memory", "copy", "copy_X", "_stop_words_id"})
_MOST_DEPTH = 60
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


class _UnreadableError(Exception):
    """Something of which it is not known what it computes."""


def digest(part: Any) -> str | None:
    """Return what a fitted part is, as 16 hexadecimal digits; None where it cannot be read whole.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> one, other = (StandardScaler().fit(np.arange(n).reshape(-1, 1)) for n in (5, 6))
    >>> digest(one) == digest(one), digest(one) == digest(other)
    (True, False)
    """
    try:
        told = hashlib.sha256()
        for piece in _told(part, 0, set()):
            told.update(piece)
            told.update(b"\0")
    except Exception:  # a stranger's attribute may raise anything
        return None
    return told.hexdigest()[:16]


def _told(part: Any, depth: int, within: set[int]) -> Iterator[bytes]:
    if depth > _MOST_DEPTH or id(part) in within or isinstance(part, ModuleType):
        raise _UnreadableError
    if isinstance(part, np.generic):
        part = part.item() if part.dtype.kind != "V" else part.tobytes()
    if isinstance(part, _PLAIN):
        yield f"{type(part).__name__} {part!r}".encode()
        return
    within = {*within, id(part)}
    if isinstance(part, np.ndarray):
        yield from _array(part, depth, within)
    elif sparse.issparse(part):
        yield f"{type(part).__name__} {part.shape}".encode()
        for own in (part.tocsr().data, part.tocsr().indices, part.tocsr().indptr):
            yield from _array(own, depth, within)
    elif isinstance(part, Mapping | set | frozenset | list | tuple | slice | range):
        yield from _holder(part, depth, within)
    else:
        yield from _code_or_object(part, depth, within)


def _holder(part: Any, depth: int, within: set[int]) -> Iterator[bytes]:
    if isinstance(part, Mapping):
        # Two dicts that were filled in another order are the same.
        own: Any = [each for pair in sorted(part.items(), key=_by_text) for each in pair]
    elif isinstance(part, set | frozenset):
        own = sorted(part, key=repr)
    else:
        own = (part.start, part.stop, part.step) if isinstance(part, slice | range) else part
    yield f"{type(part).__name__} {len(own)}".encode()
    for each in own:
        yield from _told(each, depth + 1, within)


def _by_text(pair: tuple[Any, Any]) -> str:
    return repr(pair[0])


def _array(values: np.ndarray, depth: int, within: set[int]) -> Iterator[bytes]:
    yield f"array {values.dtype} {values.shape}".encode()
    if values.dtype.names:
        # Field by field: what lies between fields is anything.
        for name in values.dtype.names:
            yield from _array(np.ascontiguousarray(values[name]), depth + 1, within)
    elif values.dtype.kind == "O":
        for each in values.ravel().tolist():
            yield from _told(each, depth + 1, within)
    else:
        yield np.ascontiguousarray(values).tobytes()


def _code_or_object(part: Any, depth: int, within: set[int]) -> Iterator[bytes]:
    if isinstance(part, partial):
        yield from _told([part.func, part.args, part.keywords], depth + 1, within)
    elif isinstance(part, MethodType):
        yield from _told([part.__func__, part.__self__], depth + 1, within)
    elif isinstance(part, FunctionType):
        yield from _function(part, depth, within)
    elif isinstance(part, np.dtype):
        yield str(part).encode()
    elif isinstance(part, BuiltinFunctionType | np.ufunc):
        yield f"function {getattr(part, '__module__', '')} {part.__name__}".encode()
    elif isinstance(part, type):
        yield from _class(part)
    else:
        yield from _class(type(part))
        yield from _told(_state(part), depth + 1, within)


def _state(part: Any) -> Any:
    own = getattr(part, "__dict__", None)
    if own is not None and not _is_compiled(type(part)):
        return {name: value for name, value in own.items() if name not in _NOT_COUNTED}
    reduced = part.__reduce_ex__(2)
    if isinstance(reduced, str):
        return reduced
    # What makes it, and what it is set to: a fitted tree is one of these.
    return [reduced[1][1:] if reduced[1] else (), *reduced[2:3]]


def _is_compiled(made: type) -> bool:
    return "__reduce__" in vars(made) or "__getstate__" in vars(made)


def _function(part: FunctionType, depth: int, within: set[int]) -> Iterator[bytes]:
    yield f"function {part.__qualname__}".encode()
    if _is_of_library(part.__module__):
        yield part.__module__.encode()
        return
    yield from _compiled(part.__code__)
    yield from _told([part.__defaults__, part.__kwdefaults__], depth + 1, within)
    for cell in part.__closure__ or ():
        yield from _told(cell.cell_contents, depth + 1, within)
    yield from _module_code(part.__module__)


def _class(made: type) -> Iterator[bytes]:
    yield f"class {made.__module__}.{made.__qualname__}".encode()
    if _is_of_library(made.__module__):
        return
    for name, own in sorted(vars(made).items()):
        if isinstance(own, FunctionType):
            yield name.encode()
            yield from _compiled(own.__code__)
    yield from _module_code(made.__module__)


def _compiled(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _compiled(constant)
        else:  # the order of a set is another in each process
            own = sorted(constant, key=repr) if isinstance(constant, frozenset) else constant
            yield repr(own).encode()


def _module_code(name: str) -> Iterator[bytes]:
    """Yield the code of a module of the version's own, and of what lies beside it: it may call that."""
    module = sys.modules.get(name)
    file = None if module is None else inspect.getsourcefile(module)
    if file is None or not Path(file).exists():
        return
    for path in sorted(Path(file).parent.glob("*.py")):
        yield path.name.encode()
        yield path.read_bytes()


def _is_of_library(name: str | None) -> bool:
    return (name or "").partition(".")[0] in _LIBRARIES
