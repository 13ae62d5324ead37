"""The bearer token of both ports: read from a file once, inherited, compared in constant time."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import tempfile
from pathlib import Path

from shadowserve.errors import SettingsError

VARIABLE = "SHADOWSERVE_TOKEN_FD"
MAX_BYTES = 2**16


def read(path: Path) -> bytes:
    """Return the token in a file: its one word, without what surrounds it.

    Raises
    ------
    SettingsError
        If the file cannot be read, is empty or holds more than one word, or others may read it.
    """
    try:
        words = path.read_bytes().split()
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingsError(
            f"--token-file: {path} cannot be read ({error.strerror}). Write the token into it."
        ) from error
    if len(words) != 1:
        raise SettingsError(f"--token-file: {path} holds {len(words)} words. Write one token.")
    if len(words[0]) > MAX_BYTES:
        raise SettingsError(f"--token-file: the token in {path} is longer than {MAX_BYTES} bytes.")
    if mode & 0o077:
        raise SettingsError(f"--token-file: others may read {path}. Run: chmod 600 {path}")
    return words[0]


def hold(path: Path) -> int:
    """Return a descriptor of a nameless file with the token, for children to inherit.

    Whatever becomes of the path, a worker that is replaced asks for the same token as the others.

    Raises
    ------
    SettingsError
        As `read`.
    """
    token = read(path)
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(token)
        return os.dup(file.fileno())


def from_environment() -> bytes | None:
    """Return the token that this process shall ask for, None if none; forget where it came from."""
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return None
    with os.fdopen(int(descriptor), "rb") as file:
        # Workers share the descriptor's place in the file, so each reads from the beginning.
        return os.pread(file.fileno(), MAX_BYTES, 0)


def admits(token: bytes | None, authorization: bytes | None) -> bool:
    """Tell whether an Authorization header's value holds the token, as bearer or as password.

    Examples
    --------
    >>> admits(b"abc", b"Bearer abc"), admits(b"abc", b"Bearer abd"), admits(None, None)
    (True, False, True)
    """
    if token is None:
        return True
    scheme, _, given = (authorization or b"").partition(b" ")
    if scheme.lower() == b"basic":
        with contextlib.suppress(ValueError):
            given = base64.b64decode(given, validate=True).partition(b":")[2]
    elif scheme.lower() != b"bearer":
        return False
    # In constant time: how long it takes must not tell how much of a guess is right.
    return hmac.compare_digest(given.strip(), token)
