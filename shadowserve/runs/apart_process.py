"""A version in a process of its own, as `scorer.apart` has it: what is asked goes through a socket, without pickle."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from shadowserve import withheld
from shadowserve.ending import ending
from shadowserve.errors import ModelError
from shadowserve.host.placement import one_thread
from shadowserve.records import Request
from shadowserve.scorer.isolated import neutral
from shadowserve.scorer.parts import Outline, Part
from shadowserve.state.deployment import Deployment, LaneName

PATIENCE_S = 300.0
"""In which a question is answered, loading included."""
READ_BYTES = 1 << 20


class ApartProcess:
    """One version's process; a context that ends it.

    Parameters
    ----------
    name : LaneName
        As which it is loaded.
    label : str
        Such as ``v4``.
    """

    def __init__(self, name: LaneName, label: str) -> None:
        self._label = label
        own, theirs = socket.socketpair()
        own.settimeout(PATIENCE_S)
        self._line = own
        command = [
            sys.executable,
            "-m",
            "shadowserve.runs.explaining",
            name.role.value,
            f"v{name.version}",
        ]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                # What a model prints may hold values.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**withheld.for_models(os.environ), **one_thread()},
            )
        self._frames = neutral.Frames()
        self._scores = False
        self._kept: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def load(self, deployment: Deployment, requests: Sequence[Request]) -> list[int]:
        """Load the version, and return for each request how many rows it can take; 0 where it cannot."""
        told = [(one.protocol, one.content_type, one.body or b"") for one in requests]
        found: list[int] = self._ask("load", deployment=deployment.to_json(), requests=told)
        return found

    def take(self, places: Sequence[int]) -> None:
        """Ask about some of the requests from here on."""
        self._kept.clear()
        self._scores = bool(self._ask("take", places=list(places)))

    @property
    def has_scores(self) -> bool:
        """Whether it serves labels, and has probabilities beside them."""
        return self._scores

    def outline(self) -> Outline:
        """Return its parts."""
        told = self._ask("outline")
        steps = tuple(_part(one) for one in told["steps"])
        return Outline(
            **{**told, "steps": steps, "estimator": told["estimator"] and _part(told["estimator"])}
        )

    def value(self, place: str, given: Mapping[str, Any]) -> Any:
        """Return what lies at a place when others are given."""
        if given:
            return self._ask("value", place=place, given=dict(given))
        if place not in self._kept:
            self._kept[place] = self._ask("value", place=place, given={})
        return self._kept[place]

    def answers(self, given: Mapping[str, Any], *, scores: bool = False) -> Any:
        """Return its answers when something is given."""
        return self._ask("answers", given=dict(given), scores=scores)

    def _ask(self, what: str, **of: Any) -> Any:
        parts: list[bytes] = []
        try:
            self._line.sendall(
                neutral.frame({"ask": what, "of": neutral.written(of, parts)}, parts)
            )
            told, own = self._heard()
        except TimeoutError as error:
            raise ModelError(
                f"{self._label} was not done within {PATIENCE_S:g} s. Does it wait for something?"
            ) from error
        except OSError as error:
            raise ModelError(
                f"{self._label} ended its process ({ending(self._process.wait())}). Try 'shadowserve check'."
            ) from error
        if "failed" in told:
            raise ModelError(f"{self._label}: {told['failed'].removesuffix('.')}.")
        return neutral.read(told["of"], own)

    def _heard(self) -> tuple[dict[str, Any], list[Any]]:
        while read := self._line.recv(READ_BYTES):
            for heard in self._frames.feed(read):
                return heard
        raise ConnectionResetError


def _part(told: Mapping[str, Any]) -> Part:
    return Part(**told)
