"""What of the environment no model's process sees: secrets, told by whole words of a variable's name.

A model is somebody's code, and a challenger is not trusted yet. It needs its settings; the team's
credentials it gets only by name. `docs/access.md` has the list for people; this is the one for us.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

NAMES = "SHADOWSERVE_WITHHELD"
"""Where a process finds which names it was not given, for its messages."""
TRACING = "MLFLOW_TRACE_SAMPLING_RATIO"
MAX_NAMES = 200
MAX_LENGTH = 200

SECRET_WORDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PASSFILE", "PWD", "SECRET", "SECRETS",
            "CREDENTIAL", "CREDENTIALS", "CRED", "CREDS", "AUTH", "OAUTH", "OAUTH2", "AUTHORIZATION", "BEARER",
            "COOKIE", "COOKIES", "WEBHOOK", "JWT", "DSN", "PAT", "PRIVATE", "SASL", "HMAC", "OTP", "TOTP",
        ),
        frozenset(),
    ),
    "PASS": frozenset({"MULTI", "SINGLE", "FIRST", "SECOND", "TWO", "N", "MAX", "MIN", "THROUGH", "BAND"}),
    "TOKEN": frozenset(
        {"BOS", "EOS", "PAD", "UNK", "MASK", "SEP", "CLS", "STOP", "START", "END", "SPECIAL", "MAX", "MIN", "LIMIT",
         "COUNT", "LENGTH", "BUDGET"}
    ),
    "TOKENS": frozenset(
        {"MAX", "MIN", "NUM", "N", "NEW", "LIMIT", "COUNT", "BUDGET", "CONTEXT", "PROMPT", "OUTPUT", "INPUT", "STOP",
         "SPECIAL", "TOTAL", "PER"}
    ),
    "KEY": frozenset(
        {"SORT", "PRIMARY", "PARTITION", "FOREIGN", "GROUP", "JOIN", "INDEX", "ROW", "CACHE", "ENTITY", "DEDUP",
         "LOOKUP", "SHARD", "ROUTING", "ORDER", "UNIQUE", "PUBLIC", "COLUMN", "FEATURE"}
    ),
    "KEYS": frozenset({"SORT", "PRIMARY", "PARTITION", "GROUP", "JOIN", "INDEX", "CACHE", "ENTITY", "PUBLIC", "FEATURE", "MAX"}),
}  # fmt: skip
"""Each word that marks a secret, and the words beside which it is harmless (``SORT_KEY``)."""
SECRET_ENDS = (
    "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "CREDENTIAL", "CREDENTIALS", "APIKEY", "ACCESSKEY", "SECRETKEY",
    "PRIVATEKEY", "AUTHTOKEN", "ACCESSTOKEN", "APITOKEN", "PASSFILE",
)  # fmt: skip
"""Ends of words written together, as in ``PGPASSWORD``."""
SECRET_PAIRS = (("CONNECTION", "STRING"), ("TRACKING", "USERNAME"), ("CONN", "STR"))
ALWAYS_GIVEN = frozenset({"PWD", "OLDPWD"})
ADDRESSES = (
    "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "SHADOWSERVE_TRACKING_URI", "SHADOWSERVE_REGISTRY_URI",
)  # fmt: skip
"""Given without their credentials, see `for_models`."""

_BOUNDARY = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SECRET_VALUE = re.compile(
    r"://[^/\s@]*:[^/\s]*@"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|^\s*(?:bearer|basic)\s+\S{8}"
    r"|^eyJ[\w-]{8,}\.[\w-]{8,}\."
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20}|\bgithub_pat_\w{20}|\bxox[abprs]-\w{8}|\bglpat-[\w-]{16}"
    r"|(?:^|[\s;,&?\"'{])(?:password|passwd|pwd|secret|token|access_?token|api[-_]?key|x-api-key|apikey|accountkey"
    r"|sharedaccess(?:key|signature)|authorization|signature|sig)\"?\s*[=:]\s*[^\s;,&]",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(://)[^\s/'\"]*@")


def words_of(name: str) -> tuple[str, ...]:
    """Return a name's words: what stands between underscores, and where small letters end.

    Examples
    --------
    >>> words_of("DB_PASS"), words_of("apiKey"), words_of("TOKENIZERS_PARALLELISM")
    (('DB', 'PASS'), ('API', 'KEY'), ('TOKENIZERS', 'PARALLELISM'))
    """
    return tuple(word.upper() for word in _BOUNDARY.split(name) if word)


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable is withheld: by a word of its name, or by a password in its value.

    Examples
    --------
    >>> is_secret("SMTP_PASS", "x"), is_secret("MAX_TOKENS", "5"), is_secret("STORE", "redis://:x@host")
    (True, False, True)
    """
    if name in ALWAYS_GIVEN:
        return False
    words = words_of(name)
    present = frozenset(words)
    return (
        any(word in SECRET_WORDS and not present & SECRET_WORDS[word] for word in words)
        or any(word.endswith(SECRET_ENDS) for word in words)
        or any(pair in pairwise(words) for pair in SECRET_PAIRS)
        or _SECRET_VALUE.search(value) is not None
    )


def names(environ: Mapping[str, str], *, passed: Iterable[str] = ()) -> list[str]:
    """Return the names that are withheld, sorted; `passed` are given whatever they are called."""
    given = frozenset(passed)
    return sorted(
        name
        for name, value in environ.items()
        if name not in given and name not in ADDRESSES and is_secret(name, value)
    )


def for_models(
    environ: Mapping[str, str],
    *,
    passed: Iterable[str] = (),
    tracking: str | None = None,
    registry: str | None = None,
) -> dict[str, str]:
    """Return the environment of a process that runs a model, or answers for one.

    Parameters
    ----------
    environ : mapping
        The team's.
    passed : iterable of str
        Names that the team has said shall pass.
    tracking, registry : str, optional
        Where MLflow is; a model that loads another one finds it there, without the team's credentials.

    Returns
    -------
    dict
        With MLflow's tracing off, unless the team has set its sampling ratio.
    """
    given = frozenset(passed)
    withheld = names(environ, passed=given)
    kept = {
        name: value
        for name, value in environ.items()
        if name in given or (name not in ADDRESSES and name not in withheld)
    }
    told = {TRACING: "0", NAMES: ",".join(withheld[:MAX_NAMES])}
    for name, address in (("MLFLOW_TRACKING_URI", tracking), ("MLFLOW_REGISTRY_URI", registry)):
        if address is not None:
            told[name] = without_credentials(address)
    # A name list of an outer deployment is not this one's.
    kept.pop(NAMES, None)
    return {**told, **kept}


def traces_are_off(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether MLflow's tracing is off here: a ratio of 0 alone would still make a store."""
    return environ.get(TRACING) == "0"


def without_credentials(address: str) -> str:
    """Return an address without user, password and what looks like a secret in its query.

    Examples
    --------
    >>> without_credentials("http://ann:pw@mlflow.example/x?token=abc")
    'http://mlflow.example/x'
    >>> without_credentials("sqlite:////data/a@b.db?timeout=5")
    'sqlite:////data/a@b.db?timeout=5'
    """
    # Userinfo is a credential and nothing else. A query may hold anything, so it goes only where it
    # looks like a secret.
    bare = _USERINFO.sub(r"\1", address)
    base, asked, _ = bare.partition("?")
    return base if asked and _SECRET_VALUE.search(bare) else bare


def hint(error: BaseException) -> str | None:
    """Return which withheld variable an exception asks for; None if it asks for none. Runs none of its code.

    Examples
    --------
    >>> os.environ[NAMES] = "DB_PASS"
    >>> hint(KeyError("DB_PASS")), hint(ValueError("DB_PASSWORD"))
    ('DB_PASS is withheld from models; --pass-env DB_PASS passes it', None)
    >>> del os.environ[NAMES]
    """
    withheld = [name for name in os.environ.get(NAMES, "").split(",") if name]
    for text in _texts(error) if withheld else ():
        for name in withheld:
            if name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                return f"{name} is withheld from models; --pass-env {name} passes it"
    return None


def _texts(error: BaseException) -> Iterator[str]:
    """Yield the plain texts that an exception and its causes were made of, as far as they are short."""
    seen: BaseException | None = error
    # A chain of causes may lead back to itself.
    for _ in range(5):
        if seen is None:
            return
        for given in BaseException.__dict__["args"].__get__(seen)[:5]:
            if type(given) is str:
                yield given[:10_000]
        cause: BaseException | None = BaseException.__dict__["__cause__"].__get__(seen)
        context: BaseException | None = BaseException.__dict__["__context__"].__get__(seen)
        seen = cause or context
