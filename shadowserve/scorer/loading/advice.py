"""The reason why a version cannot be loaded here, and the next step, in one line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from shadowserve.faults import fault_of

_GUARD = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_LOST_CLASS = re.compile(r"Can't get attribute '([\w.]+)' on <module '([\w.]+)'")
_LOST_NAME = re.compile(r"cannot import name '([\w.]+)' from '([\w.]+)'")
_KNOWN_AS = {
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "git": "gitpython", "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}  # fmt: skip


def cause(
    error: BaseException,
    *,
    differences: Sequence[str] = (),
    requirements: Sequence[str] = (),
    hidden: Collection[str] = (),
) -> str:
    """Say what is missing and how to mend it; a model's own exception is not asked for its text.

    Parameters
    ----------
    error : BaseException
        What loading raised.
    differences : sequence of str
        Where other libraries are here than in training.
    requirements : sequence of str
        What the version says it needs, as pip reads it.
    hidden : collection of str
        Names of shipped modules that the server's own keep.
    """
    text = _text(error)
    lost = _LOST_CLASS.search(text) or _LOST_NAME.search(text)
    wanted = _imported(error) or (lost[2] if lost else None)
    top = (wanted or "").partition(".")[0]
    if top and top in hidden:
        return (
            f"it ships a module {top!r}, and the server has one of that name, which Python finds "
            "first. Rename the module and log the model again."
        )
    if issubclass(type(error), ModuleNotFoundError) and wanted:
        return _missing(wanted, differences=differences, requirements=requirements)
    if lost and top != "__main__" and (owner := _owner(top)):
        return f"{lost[1]!r} is not in {lost[2]!r} of {owner}. {_other(owner, differences)}"
    if lost:
        return (
            f"{lost[1]!r} is not in module {lost[2]!r}. Define it in a module of its own and log "
            "the model with code_paths."
        )
    if _GUARD in text:
        return (
            f"loading it executes code, which {_GUARD}=false forbids. Set it to true if you trust "
            "the version, or pin one that is data only."
        )
    fault = fault_of(error)
    if differences:
        return (
            f"it was saved with other libraries ({'; '.join(differences)}), and here that raises "
            f"{fault.type} at {fault.frame}. Install those, or log the model again with these."
        )
    return f"{fault.type} at {fault.frame}. Load it where it was trained to see why."


def _imported(error: BaseException) -> str | None:
    """Return the module that could not be imported; no code of the exception's runs."""
    if not issubclass(type(error), ImportError):
        return None
    name = ImportError.__dict__["name"].__get__(error)
    return name if type(name) is str else None


def _missing(name: str, *, differences: Sequence[str], requirements: Sequence[str]) -> str:
    top = name.partition(".")[0]
    if (owner := _owner(top)) is not None:
        return f"module {name!r} is not in {owner}. {_other(owner, differences)}"
    wanted = {_plain(top), _plain(_KNOWN_AS.get(top, top))}
    line = next((line for line in requirements if _plain(_distribution(line)) in wanted), None)
    if line is not None or top in _KNOWN_AS:
        package = line or _KNOWN_AS[top]
        return f"package {top!r} is not installed here. Install it: pip install '{package}'."
    return (
        f"module {name!r} is missing. If it is your own, log the model with "
        f"code_paths=['{top}.py'] (or the package's folder); if it is a package, install it here "
        f"and name it in the model's pip_requirements."
    )


def _owner(top: str) -> str | None:
    """Return the installed distribution that has a module, with its version."""
    for name in packages_distributions().get(top, ()):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return None


def _other(owner: str, differences: Sequence[str]) -> str:
    """Say what to do about code that has moved from one release of a library to another."""
    name = _plain(owner.partition(" ")[0])
    told = [one for one in differences if _plain(one.partition(" ")[0]) == name]
    with_which = f" ({told[0]})" if told else ""
    return (
        f"The model was saved with another release of it{with_which}. Install that one here, or "
        "log the model again with this one."
    )


def _distribution(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;@]", requirement.strip(), maxsplit=1)[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(error: BaseException) -> str:
    """Return what an exception of Python's or MLflow's own says; a model's own is not asked.

    Nor is what a model put into one: only plain text among its arguments is taken.
    """
    module = type.__dict__["__module__"].__get__(type(error))
    if type(module) is not str or module not in ("builtins", "mlflow.exceptions"):
        return ""
    # Read past the exception's class, whose own `args` could run code.
    given = BaseException.__dict__["args"].__get__(error)
    return " ".join(each for each in given if type(each) is str)
