"""What a server said when it refused, as text that can be shown, and what to do about it.

A server's words come from outside: they are cut, on one line, without tags, control characters and
whatever they repeat of an address's credentials. Advice goes by status and words, since the same 403
comes from missing rights, from a proxy, and from a server that does not know its own name.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from shadowserve.versions.stores import redact

MOST_CHARACTERS = 200
"""Of a server's words that are shown."""
_MOST_READ = 20_000
_LEAST_SECRET = 3
"""Characters: shorter ones would blank out every text."""

_BODY = re.compile(r"Response body: '(.*)'", re.DOTALL)
_TAGS = re.compile(
    r"<(?:script|style)\b.*?</(?:script|style)\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE
)
_BEARER = re.compile(r"\b(basic|bearer|token)(\s+|=)\S+", re.IGNORECASE)
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME")


def of(
    errors: Iterable[BaseException], *, uri: str, environ: Mapping[str, str] = os.environ
) -> str:
    """Return what the server answered, as far as the errors hold it; empty where it said nothing.

    Parameters
    ----------
    errors : iterable of exception
        An error and its causes, the outermost first.
    uri : str
        The tracking address; its user and password are struck out.
    """
    for error in errors:
        body = _body(error)
        if body:
            secrets = [*_userinfo(uri), *(environ.get(name, "") for name in _SECRETS)]
            return shown(body, secrets=secrets)
    return ""


def shown(text: str, *, secrets: Iterable[str] = ()) -> str:
    r"""Return a text from outside so that it can stand in a line of ours.

    Examples
    --------
    >>> shown("<html><body>Bad\ngateway\x1b[2J for s3cret</body></html>", secrets=["s3cret"])
    'Bad gateway [2J for ***'
    """
    # Cut first: a server's page may be megabytes long, and each pattern walks through it.
    text = text[:_MOST_READ]
    # The longest first: one secret may be part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, "***")
    text = _BEARER.sub(r"\1 ***", redact(_TAGS.sub(" ", text)))
    plain = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text)
    line = " ".join(plain.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 2]} …"


def advice(status: int | None, words: str) -> str:
    """Return what to do about a refusal; empty where nothing can be done but wait.

    Parameters
    ----------
    status : int or None
        HTTP status; None where the answer was no HTTP or could not be read.
    words : str
        As `of` returns them.
    """
    if status in (400, 403) and re.search(r"\bhost\b", words, re.IGNORECASE):
        return (
            "The server does not know itself by the address's name: start it with "
            "'mlflow server --allowed-hosts NAME', or give an address that it knows."
        )
    return _ADVICE.get(status or 0, "")


_ADVICE = {
    0: "",
    401: "It wants to know who asks: set MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN.",
    403: "Whoever asks may not write there: check the user's rights, or the proxy before the server.",
    404: "Nothing of MLflow's is at that address: check its path and port.",
    405: "Nothing of MLflow's is at that address: check its path and port.",
    407: "A proxy wants to know who asks: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
    413: "Something before the server takes no bodies that large: raise its limit.",
    500: "The server's own log says why.",
    502: "A proxy answers, and the server behind it does not: see whether that runs.",
    503: "The server, or a proxy before it, takes nothing for now.",
    504: "A proxy answers, and the server behind it is too slow.",
}


def _body(error: BaseException) -> str:
    """Return an answer's body: MLflow's own message, a body that it quotes, or a response's text."""
    own = getattr(error, "json", None)
    if isinstance(own, Mapping) and own.get("message"):
        return str(own["message"])
    response = getattr(error, "response", None)
    if isinstance(text := getattr(response, "text", None), str):
        return text
    quoted = _BODY.search(str(error))
    if quoted is None:
        return ""
    try:
        told = json.loads(quoted[1])
    except ValueError:
        return quoted[1]
    return str(told.get("message", "")) if isinstance(told, Mapping) else ""


def _userinfo(uri: str) -> list[str]:
    try:
        parts = urlsplit(uri)
        found = (parts.username or "", parts.password or "")
    except ValueError:
        return []
    return [*found, *map(unquote, found)]
