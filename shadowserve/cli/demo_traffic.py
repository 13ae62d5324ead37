"""The demo's traffic: real events, sent over HTTP by a few clients, counted as they are answered."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

CLIENTS = 4


@dataclass(slots=True)
class DemoTraffic:
    """Sends records to a served model, one row a request, until they are all sent.

    Parameters
    ----------
    host, port : str, int
        The data plane.
    records : iterable of mapping
        One request each.
    sent : callable
        Called after each answer, from the clients' threads.
    """

    host: str
    port: int
    records: Iterable[Mapping[str, Any]]
    sent: Callable[[], None]
    statuses: Counter[int] = field(default_factory=Counter)
    failure: Exception | None = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start the clients."""
        queue = iter(self.records)
        for _ in range(CLIENTS):
            thread = threading.Thread(target=self._client, args=(queue,), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def finished(self) -> bool:
        """Whether every record has been answered, or a client has failed."""
        return not any(thread.is_alive() for thread in self._threads)

    def _client(self, queue: Iterator[Mapping[str, Any]]) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            while (record := self._next(queue)) is not None:
                body = json.dumps({"dataframe_records": [record]})
                connection.request(
                    "POST", "/invocations", body, {"Content-Type": "application/json"}
                )
                response = connection.getresponse()
                response.read()
                with self._lock:
                    self.statuses[response.status] += 1
                self.sent()
        except (OSError, http.client.HTTPException) as error:
            self.failure = error
        finally:
            connection.close()

    def _next(self, queue: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        with self._lock:
            return next(itertools.islice(queue, 1), None)
