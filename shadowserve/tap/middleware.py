"""The middleware: copies what passes, and changes, delays and breaks nothing of it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from shadowserve.tap.copying import Copy, Message
from shadowserve.tap.outbox import Copied, Outbox

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PATHS = {"/invocations": "invocations", "/predict": "predict"}
MAX_BODY = 16 * 2**20
MAX_QUEUED_RECORDS = 2_000
MAX_QUEUED_BYTES = 64 * 2**20


class TapMiddleware:
    """Stands in front of an ASGI app and sends copies of its requests and answers to a tap.

    Sending happens on a thread of its own, in batches, with short timeouts. A tap that is dead, slow
    or hanging costs copies, which are counted in `dropped`, and never the app's callers. Sent are
    POSTs to `paths` that were answered with a 2xx or a 5xx.

    Parameters
    ----------
    app : ASGI application
        Starlette, FastAPI and BentoML hand it over themselves.
    url : str
        ``/tap`` of the console.
    paths : mapping of path to protocol, or iterable of paths
        What is copied. A protocol is ``invocations`` (MLflow's, the default for bare paths),
        ``predict`` (``{"rows": [record, ...]}`` in, a list out) or ``infer`` (Open Inference
        Protocol).
    to_records, to_predictions : callable, optional
        For an app with a form of its own, both or none: the request's JSON value to a list of
        records with the model's columns, and the answer's JSON value to a list of predictions, one
        for each record. Called on the sending thread.
    token : str, optional
        The console's token.
    entity_header : str, optional
        The header with the user or entity of a request; its value goes to the tap, which needs
        ``--entity-header`` to use it.
    sample_rate : float
        Share of requests that are copied at all, from 0 to 1.
    max_body : int
        Bytes of a request, and of an answer, beyond which it is not copied.
    max_queued_bytes : int
        Bytes of copies that may wait or be in the making.

    Raises
    ------
    ValueError
        For an address, a share or a pair of callables that cannot be.
    """

    def __init__(
        self,
        app: App,
        url: str = "http://127.0.0.1:3001/tap",
        *,
        paths: Mapping[str, str] | Iterable[str] = PATHS,
        to_records: Callable[[Any], list[Any]] | None = None,
        to_predictions: Callable[[Any], list[Any]] | None = None,
        token: str | None = None,
        entity_header: str = "",
        sample_rate: float = 1.0,
        max_body: int = MAX_BODY,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        if not 0.0 <= sample_rate <= 1.0:
            raise ValueError(f"sample_rate is {sample_rate}, a share from 0 to 1 is expected.")
        if (to_records is None) != (to_predictions is None):
            raise ValueError("to_records and to_predictions go together. Give both or none.")
        self._app = app
        given = {paths: "invocations"} if isinstance(paths, str) else paths
        own = isinstance(given, Mapping) and to_records is None
        self._paths = dict(given) if own else dict.fromkeys(given, "invocations")  # type: ignore[arg-type]
        self._to_records = to_records
        self._to_predictions = to_predictions
        self._sample_rate = sample_rate
        self._max_body = max_body
        self._entity = entity_header.strip().lower().encode("latin-1")
        self._outbox = Outbox(
            url,
            self._line,
            token=token,
            max_records=MAX_QUEUED_RECORDS,
            max_bytes=max_queued_bytes,
        )

    @property
    def sent(self) -> int:
        """Requests that the tap took."""
        return self._outbox.counts["sent"]

    @property
    def rejected(self) -> int:
        """Requests that the tap got and could not read; the log says the first reason."""
        return self._outbox.counts["rejected"]

    @property
    def dropped(self) -> int:
        """Requests that never reached the tap: it was away or slow, or they were too large."""
        return self._outbox.counts["dropped"]

    def close(self, seconds: float = 2.0) -> None:
        """Send what waits, for so long at most; afterwards nothing is copied any more."""
        self._outbox.close(seconds)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass the request on, and look at what passes."""
        if not self._looks_at(scope):
            await self._app(scope, receive, send)
            return
        protocol = self._paths[self._path(scope)]
        copy = Copy(scope, protocol, self._outbox, self._max_body, entity=self._entity)

        async def receive_and_look() -> Message:
            message = await receive()
            copy.look(copy.request, message)
            return message

        async def send_and_look(message: Message) -> None:
            copy.look(copy.answer, message)
            await send(message)

        try:
            await self._app(scope, receive_and_look, send_and_look)
        except Exception:
            copy.failed()
            raise
        finally:
            copy.finish()

    def _looks_at(self, scope: MutableMapping[str, Any]) -> bool:
        return (
            scope["type"] == "http"
            and self._path(scope) in self._paths
            and scope["method"] == "POST"
            and (self._sample_rate >= 1.0 or random.random() < self._sample_rate)  # noqa: S311
        )

    def _path(self, scope: MutableMapping[str, Any]) -> str:
        """Return the path as `paths` has it: whole, or without what the app is mounted under."""
        path: str = scope["path"]
        root: str = scope.get("root_path", "").rstrip("/")
        if path in self._paths or not root or not path.startswith(f"{root}/"):
            return path
        return path.removeprefix(root)

    def _line(self, copied: Copied) -> bytes:
        """Write a copy as one line of JSON; called on the sending thread."""
        body, answer, content_type = copied.body, copied.answer, copied.content_type
        if self._to_records is not None and self._to_predictions is not None:
            content_type = "application/json"
            body = _dumps({"dataframe_records": self._to_records(json.loads(body))})
            # A failure is told by its status; its body may quote values.
            if copied.status < 500:
                answer = _dumps({"predictions": self._to_predictions(json.loads(answer))})
        return _dumps(
            {
                "protocol": copied.protocol,
                "request_id": copied.request_id,
                "content_type": content_type,
                "status": copied.status,
                "arrived_s": copied.arrived_s,
                "latency_ms": copied.latency_ms,
                **({"entity": copied.entity} if copied.entity else {}),
                **_as_text("request", body),
                **(_as_text("answer", answer) if copied.status < 500 else {}),
            }
        )


def _as_text(name: str, raw: bytes) -> dict[str, str]:
    try:
        return {f"{name}_text": raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw).decode()}


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    """Turn an array or a number of numpy's, known by its method, into plain Python."""
    return value.tolist()
