"""The tap, ``POST /tap``: it takes requests and answers of another server and journals them.

In tap mode the console takes the part of champion worker 0. One thread reads, types and appends the
records. A 202 says that they are in the journal; beyond the bounds on what is in hand the answer is 503.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from shadowserve.console import tapped
from shadowserve.console.responses import JSON, as_json, response
from shadowserve.errors import RequestError
from shadowserve.faults import fault_of
from shadowserve.http.asgi import BodyBudget, ClientGone, Crowded, read_pieces
from shadowserve.http.refusals import refusal
from shadowserve.records import Request as Kept
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.serving.recorder import MAX_APPENDS, BatchRecorder, Entry, Positions
from shadowserve.serving.worker_journal import WorkerJournal, meet, sampling_of
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.statistics import units
from shadowserve.wire.protocols import protocols

WORKER = 0
MAX_POST = 64 * 2**20
MAX_HELD = 128 * 2**20
MAX_POSTS = 256
"""POSTs in hand: beyond it a middleware had better keep its records and come again."""
MAX_RECORDS = 1_000
MAX_TOLD = 10
"""Faults told of one POST: a middleware that adapts wrongly has the same one in every record."""
AGAIN_S = 1.0
_LINES = ("application/x-ndjson", "application/jsonl")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Told:
    """The end of one POST's records, in requests."""

    answered: int = 0
    failed: int = 0
    rejected: int = 0
    overloaded: int = 0
    appended: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, error: RequestError, *, record: int) -> None:
        """Count a record that cannot be read; the first ones are told."""
        self.rejected += 1
        if len(self.errors) < MAX_TOLD:
            column = error.column if isinstance(error.column, str | int | None) else None
            self.errors.append(
                {"code": error.code, "message": str(error), "column": column, "row": error.row,
                 "request_id": None, "record": record}
            )  # fmt: skip


class Tap:
    """The journal's writing side for a champion that runs elsewhere.

    Parameters
    ----------
    places : Places
        The state directory.
    deployment : Deployment
        Whose champion's signature types the bodies.
    """

    def __init__(self, places: Places, deployment: Deployment) -> None:
        signature = deployment.champion.signature
        self._places = places
        self._schema = Schema.from_signature(signature) if signature else Schema.open()
        self._protocols = protocols(deployment.model, deployment.champion.number)
        self._max_body = deployment.options.max_body
        self._sampling = sampling_of(deployment)
        self._entity = units.entity_header(deployment.options.entity_header, salt=deployment.salt)
        self._bodies = BodyBudget(MAX_HELD, most_bodies=MAX_POSTS)
        # One thread: the journal has one writer, and positions are given in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tap")
        self._files: WorkerJournal | None = None
        self._recorder: BatchRecorder | None = None

    @property
    def ready(self) -> bool:
        """Whether records are taken."""
        return self._recorder is not None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Open in the background, so that the console answers meanwhile; seal at the end."""
        opening = asyncio.create_task(self._open_when_possible())
        try:
            yield
        finally:
            opening.cancel()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)

    async def take(self, request: Request) -> Response:
        """Answer ``POST /tap``."""
        if self._files is None or self._recorder is None:
            return response(refusal(_busy("The tap is being opened.")))
        try:
            with self._bodies.share() as hold:
                lines_of = _form(request)
                body = await read_pieces(request.receive, limit=MAX_POST, hold=hold)
                return await self._taken(lines_of(body))
        except RequestError as error:
            return _turned_away(error, self._files.counters)
        except Crowded:
            busy = _busy("Too many requests or bytes are in hand at the tap.")
            return _turned_away(busy, self._files.counters)
        except ClientGone:
            return Response(status_code=400)

    async def _taken(self, lines: Sequence[bytes]) -> Response:
        """Read, type and append on the tap's thread; tell what became of it."""
        if not 0 < len(lines) <= MAX_RECORDS:
            raise RequestError(
                f"{len(lines)} records came; from 1 to {MAX_RECORDS} are taken at a time.",
                code="empty" if not lines else "too_large",
                status=413 if lines else 400,
            )
        told = await asyncio.get_running_loop().run_in_executor(self._thread, self._keep, lines)
        for name in ("rejected", "overloaded"):
            if self._files is not None and (n := getattr(told, name)):
                self._files.counters.add(name, n)
        # Where nothing could be read the fault lies in how the middleware adapts, so all of it is
        # refused.
        if len(told.errors) and told.rejected == len(lines):
            return as_json({"error": told.errors[0]}, status=400)
        return as_json(
            {
                "taken": told.answered + told.failed,
                "appended": told.appended,
                "rejected": told.rejected,
                "overloaded": told.overloaded,
                "errors": told.errors,
            },
            status=202,
        )

    def _keep(self, lines: Sequence[bytes]) -> Told:
        told = Told()
        kept: list[tuple[tapped.Tapped, Rows]] = []
        for index, line in enumerate(lines):
            try:
                one = tapped.read(line, self._protocols)
                # What the other server turned away was never scored there: it is counted, and not
                # kept.
                if one.counts_as in ("answered", "failed"):
                    kept.append(
                        tapped.check(
                            one,
                            self._protocols[one.protocol],
                            self._schema,
                            max_body=self._max_body,
                        )
                    )
                    self._meet(kept[-1][1].extra)
                setattr(told, one.counts_as, getattr(told, one.counts_as) + 1)
            except RequestError as error:
                told.refuse(error, record=index)
            except Exception as error:  # ours to mend; one record must not cost the others
                _log.error("tap: %s at %s", fault_of(error).type, fault_of(error).frame)
                told.refuse(
                    RequestError("The record could not be taken.", code="internal_error"),
                    record=index,
                )
        if kept:
            told.appended = self._append(kept)
        return told

    def _meet(self, names: Sequence[str]) -> None:
        if names and self._files is not None:
            meet(names, self._files.counters, self._files.unknown_columns)

    def _append(self, kept: Sequence[tuple[tapped.Tapped, Rows]]) -> int:
        """Write the journal and count, as a champion worker does; return what was appended."""
        if self._recorder is None:
            raise _busy("The tap is closed.")
        entry = Entry()
        for _ in range(MAX_APPENDS):
            try:
                self._recorder.record(entry, partial(self._journaled, kept))
            except Exception as error:  # with the same entry it is begun again where it stood
                _log.error("tap: %s at %s", fault_of(error).type, fault_of(error).frame)
        return entry.appended

    def _journaled(
        self, kept: Sequence[tuple[tapped.Tapped, Rows]], position: Positions
    ) -> list[Kept]:
        return [
            self._request(one, rows, position(offset)) for offset, (one, rows) in enumerate(kept)
        ]

    def _request(self, one: tapped.Tapped, rows: Rows, position: int) -> Kept:
        named, unit = self._entity.named(one.entity) if self._entity else (None, None)
        return tapped.journaled(
            one,
            position=position,
            n_rows=rows.n_rows,
            sampled=self._sampling.takes(one.request_id, rows, named=named),
            unit=unit,
        )

    async def _open_when_possible(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.ready:
            try:
                await loop.run_in_executor(self._thread, self._open)
            except Exception as error:
                _log.error("tap: %s at %s", fault_of(error).type, fault_of(error).frame)
                await asyncio.sleep(AGAIN_S)

    def _open(self) -> None:
        """Open everything; the journal last, since with it records are taken."""
        files = WorkerJournal(self._places, WORKER)
        recorder = files.open()
        files.counters.set("ready", 1)
        self._files, self._recorder = files, recorder

    def _close(self) -> None:
        # Before the files: no record may come to a journal that is being sealed.
        self._recorder = None
        if self._files is not None:
            self._files.close()


def _form(request: Request) -> Any:
    """Return how the body is cut into records.

    A page of a browser cannot send these content types to another origin unasked.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(
            "Compressed bodies are not taken; send the body as it is.",
            code="content_encoding",
            status=415,
        )
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == JSON:
        return lambda body: [body]
    if media in _LINES:
        return lambda body: [line for line in body.split(b"\n") if line.strip()]
    raise RequestError(
        f"Send one record as {JSON}, or one a line as {_LINES[0]}.",
        code="content_type",
        status=415,
    )


def _turned_away(error: RequestError, counters: Counters) -> Response:
    counters.add("overloaded" if error.status == 503 else "rejected")
    return response(refusal(error))


def _busy(why: str) -> RequestError:
    return RequestError(f"{why} Try again in a second.", code="overloaded", status=503)
