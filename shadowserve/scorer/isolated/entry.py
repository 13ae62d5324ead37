"""The first lines of an isolated version's process: run as a script, by the environment's interpreter.

It finds this package in a folder that holds nothing else, in front of whatever the environment has by that
name, and only then imports from it. What the environment's own start-up files did to the path is past by then.
"""

import sys
from types import ModuleType


def find_ours(folder: str) -> None:
    """Let `shadowserve` be the one in the folder, also where something imported another before."""
    sys.path[:] = [folder, *(place for place in sys.path if place != folder)]
    for name in list(sys.modules):
        if name.partition(".")[0] == "shadowserve":
            del sys.modules[name]


def on_older_python() -> list[tuple[ModuleType, str]]:
    """Lend Python 3.10 the three names of 3.11 that our modules import; return what was lent, to take it back."""
    import datetime
    import enum
    import typing

    class StrEnum(str, enum.Enum):  # noqa: UP042 - it is what Python 3.10 lacks
        __str__ = str.__str__

    names = (
        (enum, "StrEnum", StrEnum),
        (typing, "Self", typing.Any),
        (datetime, "UTC", datetime.UTC),
    )
    lent = [(module, name) for module, name, _ in names if not hasattr(module, name)]
    for module, name, value in names:
        if (module, name) in lent:
            setattr(module, name, value)
    return lent


def main(folder: str, descriptor: str, step: str) -> int:
    """Serve the line until its other end is closed; return the exit code."""
    find_ours(folder)
    lent = on_older_python()
    from shadowserve.scorer.isolated import served

    if lent:
        served.import_all()
    # A library of the version's must see Python as it is.
    for module, name in lent:
        delattr(module, name)
    return served.main(int(descriptor), int(step))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
