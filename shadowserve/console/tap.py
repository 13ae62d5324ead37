"""``POST /tap``: takes what a server elsewhere was asked and answered, and keeps its journal.

In the place of champion workers, the console is worker 0. Records are read, typed and appended on one
thread; a 202 says that they are in the journal. Who sends more than fits in hand gets a 503.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shadowserve import wire
from shadowserve.console import tapped
from shadowserve.errors import JournalError, RequestError
from shadowserve.faults import fault_of
from shadowserve.journal import writer
from shadowserve.journal.standby import Standby
from shadowserve.records import Request as Kept
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import Deployment
from shadowserve.state.ledger import reconcile
from shadowserve.state.places import Places
from shadowserve.state.sampling import Sampling
from shadowserve.state.unknown_columns import UnknownColumns
from shadowserve.statistics import units
from shadowserve.wire.protocols import protocols

WORKER = 0
MAX_POST = 64 * 2**20
MAX_HELD = 128 * 2**20
MAX_POSTS = 256
MAX_RECORDS = 1_000
MAX_TOLD = 10
AGAIN_S = 1.0
_JSON, _LINES = "application/json", ("application/x-ndjson", "application/jsonl")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Told:
    """What became of one POST's records, in requests."""

    answered: int = 0
    failed: int = 0
    rejected: int = 0
    overloaded: int = 0
    appended: int = 0
    extra_columns: int = 0
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
        self._sampling = Sampling(
            rate=deployment.options.sample_rate,
            salt=deployment.salt,
            entity=deployment.options.entity,
        )
        self._entity = units.entity_header(deployment.options.entity_header, salt=deployment.salt)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tap")
        self._counters: Counters | None = None
        self._strangers: UnknownColumns | None = None
        self._journal: writer.Writer | Standby | None = None
        self._held_bytes = 0
        self._held_posts = 0

    @property
    def ready(self) -> bool:
        """Whether records are taken."""
        return self._journal is not None

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
        size = 0
        try:
            if self._counters is None or not self.ready:
                return _refused(_busy("The tap is being opened."), retry=True)
            if self._held_posts >= MAX_POSTS:
                self._counters.add("overloaded")
                return _refused(_busy("Too many requests to the tap are in hand."), retry=True)
            self._held_posts += 1
            try:
                lines_of = _form(request)
                body = bytearray()
                async for chunk in request.stream():
                    size += len(chunk)
                    self._held_bytes += len(chunk)
                    self._within_bounds(size)
                    body += chunk
                return await self._taken(lines_of(bytes(body)))
            finally:
                self._held_posts -= 1
                self._held_bytes -= size
        except RequestError as error:
            overloaded = error.status == 503
            if self._counters is not None:
                self._counters.add("overloaded" if overloaded else "rejected")
            return _refused(error, retry=overloaded)
        except ClientDisconnect:
            return Response(status_code=400)

    def _within_bounds(self, size: int) -> None:
        if size > MAX_POST:
            raise RequestError(
                f"More than {MAX_POST // 2**20} MiB came at once. Send fewer records at a time.",
                code="too_large",
                status=413,
            )
        if self._held_bytes > MAX_HELD:
            raise _busy("Too many bytes are in hand at the tap.")

    async def _taken(self, lines: Sequence[bytes]) -> Response:
        """Read, type and append on the tap's thread; tell what became of it."""
        if not 0 < len(lines) <= MAX_RECORDS:
            raise RequestError(
                f"{len(lines)} records came; from 1 to {MAX_RECORDS} are taken at a time.",
                code="empty" if not lines else "too_large",
                status=413 if lines else 400,
            )
        told = await asyncio.get_running_loop().run_in_executor(self._thread, self._keep, lines)
        for name in ("rejected", "overloaded", "extra_columns"):
            if self._counters is not None and (n := getattr(told, name)):
                self._counters.add(name, n)
        if len(told.errors) and told.rejected == len(lines):
            return _json({"error": told.errors[0]}, status=400)
        return _json(
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
                if one.counts_as in ("answered", "failed"):
                    kept.append(
                        tapped.check(
                            one,
                            self._protocols[one.protocol],
                            self._schema,
                            max_body=self._max_body,
                        )
                    )
                    self._meet(kept[-1][1].extra, told)
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
            self._append(kept, told)
        return told

    def _meet(self, names: Sequence[str], told: Told) -> None:
        """Count and name a request's unknown columns."""
        told.extra_columns += len(names)
        if names and self._strangers is not None:
            self._strangers.meet(names)

    def _append(self, kept: Sequence[tuple[tapped.Tapped, Rows]], told: Told) -> None:
        """Write the journal; a failure is counted, as in a champion worker."""
        if self._journal is None or self._counters is None:
            raise _busy("The tap is closed.")
        try:
            self._journal.append(
                [
                    self._journaled(one, rows, self._journal.position(offset))
                    for offset, (one, rows) in enumerate(kept)
                ]
            )
            told.appended = len(kept)
        except Exception as error:  # whatever it is, it is counted, and the tap goes on
            told_why = error if isinstance(error, JournalError) else fault_of(error).type
            _log.error("tap: %d requests not recorded (%s)", len(kept), told_why)
        self._counters.journal_step(
            answered=told.answered,
            failed=told.failed,
            appended=told.appended,
            append_failed=len(kept) - told.appended,
            sequence=self._journal.sequence,
        )

    def _journaled(self, one: tapped.Tapped, rows: Rows, position: int) -> Kept:
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
        self._counters = counted = Counters(self._places.counters(WORKER))
        counted.set("pid", os.getpid())
        reconcile(self._places, counted, worker=WORKER)
        self._strangers = UnknownColumns(self._places.strangers(WORKER))
        known = counted.counts().sequence
        opening = partial(
            writer.Writer,
            self._places.journal,
            worker=WORKER,
            after=known,
            segment_bytes=writer.segment_bytes_of(os.environ),
        )
        try:
            opened: writer.Writer | Standby = opening()
        except JournalError as error:
            _log.error("%s What is tapped meanwhile is not recorded.", error)
            opened = Standby(opening, worker=WORKER, sequence=counted.counts().sequence)
        counted.set("ready", 1)
        self._journal = opened

    def _close(self) -> None:
        if self._counters is not None:
            self._counters.set("ready", 0)
        if self._journal is not None:
            self._journal.close()
            self._journal = None


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
    if media == _JSON:
        return lambda body: [body]
    if media in _LINES:
        return lambda body: [line for line in body.split(b"\n") if line.strip()]
    raise RequestError(
        f"Send one record as {_JSON}, or one a line as {_LINES[0]}.",
        code="content_type",
        status=415,
    )


def _busy(why: str) -> RequestError:
    return RequestError(f"{why} Try again in a second.", code="overloaded", status=503)


def _refused(error: RequestError, *, retry: bool) -> Response:
    body = wire.error_body(
        error.code, str(error), column=error.column, row=error.row, request_id=""
    )
    head = {"retry-after": "1"} if retry else {}
    return Response(body, error.status, head, _JSON)


def _json(value: Any, *, status: int) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type=_JSON)
