"""Why something did not reach MLflow, in words that hold no password and no value.

MLflow's own messages quote addresses with their credentials, so they are never passed on: an error is
told by its status, its code, what was being done, and the server's own words (`words`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shadowserve.errors import ShadowserveError
from shadowserve.evidence import words
from shadowserve.versions.stores import redact

_NO_ANSWER = frozenset(
    {
        "Timeout",
        "ConnectionError",
        "ConnectTimeout",
        "ReadTimeout",
        "ConnectionRefusedError",
        "gaierror",
    }
)


_STATUS = re.compile(r"too many (\d{3}) error responses|failed with error code (\d{3})")


class UndeliveredError(ShadowserveError):
    """MLflow did not take what was brought; it waits and is tried again.

    Parameters
    ----------
    message : str
        One line for status.
    kind : str
        ``sink_dead``: no answer; ``sink_error``: an answer, but no.
    hopeless : bool
        Whether it needs somebody, such as missing rights; else it may pass by itself.
    code : str
        MLflow's error code, empty where there is none.
    throttled : bool
        Whether fewer calls are asked for.
    status : int or None
        HTTP status, where there was one.
    said : str
        The server's own words, fit to be shown; empty where there were none.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        hopeless: bool = False,
        code: str = "",
        throttled: bool = False,
        status: int | None = None,
        said: str = "",
    ) -> None:
        super().__init__(message)
        self.kind, self.hopeless, self.throttled = kind, hopeless, throttled
        self.code, self.status, self.said = code, status, said


def undelivered(error: Exception, *, doing: str, uri: str) -> UndeliveredError:
    """Tell what an exception from MLflow's client means.

    Parameters
    ----------
    error : Exception
        Its type, code, status and the answer that it holds are used; its text is not.
    doing : str
        What was being done, such as ``"logging metrics"``.
    uri : str
        The tracking address; shown without credentials.
    """
    where = redact(uri)
    code = str(getattr(error, "error_code", "") or "")
    # By name: the classes come from several libraries, which need not be installed.
    if any(type(one).__name__ in _NO_ANSWER for one in _causes(error)):
        return UndeliveredError(f"No answer from {where} ({doing}).", kind="sink_dead")
    # SQLite's lock passes by itself, so it is no refusal that needs somebody.
    if any("database is locked" in str(one) for one in _causes(error)):
        return UndeliveredError(
            f"{where} is locked by another process ({doing}).", kind="sink_error"
        )
    status, said = _status(error), words.of(_causes(error), uri=uri)
    if status == 429:
        return UndeliveredError(
            f"{where} asks for fewer calls (429).",
            kind="sink_error",
            code=code,
            throttled=True,
            status=status,
            said=said,
        )
    what = f"{status}" if status else code or type(error).__name__
    quoted = f", “{said}”" if said else ""
    told = [f"{where} answered {what} while {doing}{quoted}.", words.advice(status, said)]
    return UndeliveredError(
        " ".join(filter(None, told)),
        kind="sink_error",
        # A refusal by status does not pass by itself; a fault of the server may.
        hopeless=status is not None and 400 <= status < 500,
        code=code,
        status=status,
        said=said,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that led to it."""
    seen: set[int] = set()
    # Causes may lead in a circle.
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(error: Exception) -> int | None:
    """Return the HTTP status; those that a client may retry are only in the last cause's text."""
    for one in _causes(error):
        if found := _STATUS.search(str(one)):
            return int(found[1] or found[2])
    ask = getattr(error, "get_http_status_code", None)
    return int(ask()) if ask is not None else None
