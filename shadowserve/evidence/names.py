"""Names that MLflow accepts, for metrics named after anybody's columns and steps.

A name that MLflow takes is left alone. In any other, each faulty part between slashes is cleaned and
carries a short digest of what it was. So the name depends on nothing but the original: it stays the
same over restarts, in every run, and whichever of two alike names comes first.
"""

from __future__ import annotations

import hashlib
import posixpath
import re

MAX_NAME = 250
"""MLflow's limit for a metric's name, characters."""

_MAX_PART = 120
_REFUSED = re.compile(r"[^\w.\- ]")  # a colon is refused by a server on Windows
_DIGEST_CHARACTERS = 8


def safe_name(name: str) -> str:
    """Return the name under which a metric is stored.

    Parameters
    ----------
    name : str
        Any text; slashes group.

    Returns
    -------
    str
        At most 250 characters that MLflow accepts. Different names stay different.

    Examples
    --------
    >>> safe_name("feature_ms/challenger/age/p99")
    'feature_ms/challenger/age/p99'
    >>> safe_name("feature_ms/challenger/income[EUR]/p99")
    'feature_ms/challenger/income_EUR_-aeeaddce/p99'
    """
    joined = "/".join(_safe_part(part) for part in name.split("/"))
    if len(joined) <= MAX_NAME and posixpath.normpath(joined) == joined:
        return joined
    return _marked(joined, of=name, limit=MAX_NAME)


def _safe_part(part: str) -> str:
    cleaned = _REFUSED.sub("_", part).strip()
    plain = cleaned == part and part not in {"", "."} and not part.startswith("..")
    if plain and len(part) <= _MAX_PART:
        return part
    return _marked(cleaned.strip("."), of=part, limit=_MAX_PART)


def _marked(text: str, *, of: str, limit: int) -> str:
    digest = hashlib.sha256(of.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{text[: limit - _DIGEST_CHARACTERS - 1]}-{digest}"
