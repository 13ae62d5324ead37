"""The outbox of copies for the tap: bounded, and sent by a thread of its own."""

from __future__ import annotations

import collections
import http.client
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

BATCH_RECORDS = 64
BATCH_BYTES = 2**20
TIMEOUT_S = 5.0
PATIENCE_S = 5.0
PAUSE_S = 0.25
TELL_EVERY_S = 60.0

_log = logging.getLogger("shadowserve.tap")


@dataclass(frozen=True, slots=True)
class Copied:
    """One request of the app with its answer.

    Parameters
    ----------
    arrived_s : float
        Seconds since the epoch.
    latency_ms : float
        From the request's last byte in to the answer's last byte out.
    entity : str
        What the header for it says, if there is one.
    """

    protocol: str
    request_id: str
    content_type: str
    body: bytes
    status: int
    answer: bytes
    arrived_s: float
    latency_ms: float
    entity: str = ""

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.body) + len(self.answer)


class Outbox:
    """Sends copies in batches from a thread of its own; what does not fit is dropped and counted.

    Parameters
    ----------
    url : str
        ``http://host:port/tap``.
    write : callable
        A copy to one line of JSON; what it raises drops that copy.
    token : str, optional
        Sent as a bearer token.
    max_records, max_bytes : int
        What may wait or be in the making.
    """

    def __init__(
        self,
        url: str,
        write: Callable[[Copied], bytes],
        *,
        token: str | None = None,
        max_records: int,
        max_bytes: int,
    ) -> None:
        self._where = urlsplit(url)
        if self._where.scheme not in ("http", "https") or not self._where.hostname:
            raise ValueError(f"url {url!r} is no address. Write http://127.0.0.1:3001/tap.")
        self._write = write
        self._head = {"content-type": "application/x-ndjson", "connection": "close"}
        if token:
            self._head["authorization"] = f"Bearer {token}"
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._waiting: collections.deque[Copied] = collections.deque()
        self._bell = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing_s: float | None = None
        self._told_s = 0.0
        self.counts: collections.Counter[str] = collections.Counter()

    def claim(self, size: int) -> bool:
        """Reserve bytes for a copy in the making; False if the bound is reached."""
        with self._bell:
            if self._held_bytes + size > self._max_bytes:
                return False
            self._held_bytes += size
            return True

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        with self._bell:
            self._held_bytes -= size

    def offer(self, copied: Copied) -> None:
        """Put a copy in line, its bytes claimed before; never waits for anything."""
        with self._bell:
            full = len(self._waiting) >= self._max_records
            if full or self._closing_s is not None:
                self._held_bytes -= copied.size
                self.counts["dropped"] += 1
                return
            self._waiting.append(copied)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves it behind
                self._thread = threading.Thread(target=self._run, name="tap", daemon=True)
                self._thread.start()
            self._bell.notify()

    def drop(self, n: int = 1) -> None:
        """Count copies that could not be made or sent."""
        with self._bell:
            self.counts["dropped"] += n

    def close(self, seconds: float) -> None:
        """Send what waits, for so long at most; then drop it."""
        with self._bell:
            self._closing_s = time.monotonic() + seconds
            self._bell.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._deal_with(batch)
            except BaseException as error:  # whatever it is, the thread goes on
                self._lose(len(batch), _kind(error))
            finally:
                with self._bell:
                    self._held_bytes -= sum(copied.size for copied in batch)

    def _take(self) -> list[Copied]:
        """Wait for copies and take what goes in one POST; empty when closed and done."""
        with self._bell:
            while not self._waiting and self._closing_s is None:
                self._bell.wait()
            if self._is_over():
                self.counts["dropped"] += len(self._waiting)
                self._held_bytes -= sum(copied.size for copied in self._waiting)
                self._waiting.clear()
            batch: list[Copied] = []
            size = 0
            while self._waiting and len(batch) < BATCH_RECORDS and size < BATCH_BYTES:
                batch.append(self._waiting.popleft())
                size += batch[-1].size
            return batch

    def _is_over(self) -> bool:
        return self._closing_s is not None and time.monotonic() > self._closing_s

    def _deal_with(self, batch: list[Copied]) -> None:
        lines = [line for copied in batch if (line := self._line(copied)) is not None]
        if not lines:
            return
        patience_s = time.monotonic() + PATIENCE_S
        while (why := self._send(lines)) is not None:
            if time.monotonic() > patience_s or self._is_over():
                self._lose(len(lines), why)
                return
            time.sleep(PAUSE_S)

    def _line(self, copied: Copied) -> bytes | None:
        try:
            return self._write(copied)
        except BaseException as error:  # the team's own function
            self._lose(1, f"it could not be adapted: {_kind(error)}")
            return None

    def _send(self, lines: list[bytes]) -> str | None:
        """Send once; return why it is worth another try, None if it was dealt with for good.

        Another try is made only where nothing can have been taken: nothing comes twice.
        """
        try:
            status, told = self._post(b"\n".join(lines))
        except ConnectionRefusedError:
            return "nobody listens at the tap"
        except (OSError, http.client.HTTPException, ValueError) as error:
            # It may have been taken all the same, and nothing shall come twice.
            self._lose(len(lines), type(error).__name__)
            return None
        if status == 503:
            return "the tap is busy"
        if status == 202:
            self._settle(told, n=len(lines))
        # A 400 says that no record of the POST was taken.
        elif status == 400:
            self._settle({"rejected": len(lines), "errors": [told.get("error")]}, n=len(lines))
        else:
            self._lose(len(lines), f"the tap answered {status}")
        return None

    def _post(self, body: bytes) -> tuple[int, dict[str, object]]:
        """Send on a connection of its own: an idle one may be closed without anybody knowing."""
        secure = self._where.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._where.hostname or "", self._where.port, timeout=TIMEOUT_S)
        with closing(connection):
            connection.request("POST", self._where.path or "/tap", body, self._head)
            answer = connection.getresponse()
            with answer:
                told = json.loads(answer.read(2**20)) if answer.status in (202, 400) else {}
                return answer.status, told if isinstance(told, dict) else {}

    def _settle(self, told: dict[str, object], *, n: int) -> None:
        rejected, errors = told.get("rejected"), told.get("errors")
        refused = rejected if isinstance(rejected, int) else 0
        with self._bell:
            self.counts["rejected"] += refused
            self.counts["sent"] += n - refused
        first = errors[0] if isinstance(errors, list) and errors else None
        if isinstance(first, dict):
            self._tell("the tap rejected %d requests: %s", refused, first.get("message"))

    def _lose(self, n: int, why: str) -> None:
        self.drop(n)
        self._tell("%d requests were not copied (%s); the app is not affected", n, why)

    def _tell(self, text: str, *parts: object) -> None:
        """Warn, at most once a minute."""
        if not self._told_s or time.monotonic() - self._told_s > TELL_EVERY_S:
            self._told_s = time.monotonic()
            _log.warning(text, *parts)


def _kind(error: BaseException) -> str:
    """Name an exception's class, past whatever the class says of itself."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name
