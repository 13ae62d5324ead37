"""The inbox of the labels' file: sets of labels that others hand to its writer, and what became of each.

A set is a file of its own, written by whoever hands it in and taken by the writer, who puts an answer beside
it. So nobody but the writer ever writes to the labels' file, and a set that is half written is not seen.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.labels.reading import Faulty, LabelsError, Raw, RowList, Text
from shadowserve.labels.taken import Taken
from shadowserve.labels.typed import strange
from shadowserve.state.files import write_whole

_SET, _ANSWER = ".jsonl", ".taken"


@dataclass(frozen=True, slots=True)
class LabelSet:
    """One set of labels in the inbox.

    Parameters
    ----------
    path : Path
        Its file; the answer lies beside it.
    """

    path: Path

    @classmethod
    def hand_in(cls, inbox: Path, labels: Iterable[Raw]) -> Self:
        """Write a set to the inbox, one label a line.

        Raises
        ------
        LabelsError
            Whatever reading the labels finds, or if the set cannot be written; nothing is left then.
        """
        # Time comes first in the name: sets are taken in the order of their names.
        name = f"{time.time_ns()}-{os.getpid()}-{threading.get_native_id()}"
        draft, path = inbox / f".{name}", inbox / f"{name}{_SET}"
        try:
            inbox.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(
                os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w"
            ) as file:
                file.writelines(f"{json.dumps(_line(*label))}\n" for label in labels)
            draft.rename(path)
        except OSError as error:
            raise LabelsError(f"The labels cannot be handed in: {error}. Try again.") from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        return cls(path)

    def labels(self) -> Iterator[Raw]:
        """Yield the labels as they were handed in."""
        with self.path.open() as file:
            for line in file:
                row, request_id, form, label = json.loads(line)
                yield row, request_id, _FORMS[form](label)

    def answer(self, outcome: Taken | ShadowserveError) -> None:
        """Say what became of the set, and take it out of the inbox."""
        # The answer first: a set that vanished without one would be waited for in vain.
        write_whole(self._answer, json.dumps(_told(outcome)))
        self.withdraw()

    def withdraw(self) -> None:
        """Take the set out of the inbox; what is being taken of it goes on."""
        self.path.unlink(missing_ok=True)

    def outcome(self) -> Taken | None:
        """Return what became of the set, and forget it; None if nobody has taken it yet.

        Raises
        ------
        LabelsError
            If it was refused.
        UnreachableError
            If the labels' file cannot be used.
        """
        try:
            told = json.loads(self._answer.read_text())
        except FileNotFoundError:
            return None
        self._answer.unlink()
        if "taken" in told:
            return Taken.from_dict(told["taken"])
        if "unusable" in told:
            raise UnreachableError(told["unusable"])
        faults = {one["fault"]: RowList(one["n"], one["rows"]) for one in told["faults"]}
        raise LabelsError(told["message"], faults)

    @property
    def _answer(self) -> Path:
        return self.path.with_suffix(_ANSWER)


def waiting(inbox: Path) -> list[LabelSet]:
    """Return the sets that wait, the oldest first."""
    return [LabelSet(path) for path in sorted(inbox.glob(f"*{_SET}"))]


def forget_answers(inbox: Path, *, older_than_s: float = 3_600.0) -> None:
    """Delete answers that nobody has fetched."""
    oldest = time.time() - older_than_s
    for path in inbox.glob(f"*{_ANSWER}"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _told(outcome: Taken | ShadowserveError) -> dict[str, Any]:
    if isinstance(outcome, Taken):
        return {"taken": outcome.to_dict()}
    if isinstance(outcome, LabelsError):
        return {"message": str(outcome), "faults": outcome.told()}
    return {"unusable": str(outcome)}


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "text": Text,
    "faulty": Faulty,
    "value": lambda label: label,
}


def _line(row: int, request_id: Any, label: Any) -> tuple[int, Any, str, Any]:
    """Return a row as JSON can hold it; what it cannot hold is no label, and is told as such."""
    key = request_id if isinstance(request_id, str | int) else None
    if isinstance(label, Faulty):
        return row, key, "faulty", label.text
    try:
        json.dumps(label)
    except TypeError:
        return row, key, "faulty", strange(label)
    return row, key, "text" if isinstance(label, Text) else "value", label
