"""The disclosure of each column: whether its values may leave, salted labels, hashes, or nothing.

Values stay in the journal. Everything a lane keeps or sends goes through here first, so that no file,
MLflow run or report holds more than the user allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

DIGEST_BYTES = 8
"""Length of a hash. Of a million values of a column two share one with a chance of 3 in 10 ** 8."""

KEPT_DIGESTS, KEPT_LENGTH = 4_096, 64
"""Hashes that are kept in memory, of texts of so many characters at most."""


class Rule(StrEnum):
    """How a column's values leave, from the most open to nothing."""

    SHOWN = "shown"
    """As they are: the team has named the column in `--log-inputs`."""

    LABELLED = "labelled"
    """As a salted hash in the name of a slice, and as a size.

    What holds where a team says nothing: enough to find a slice again, not to read it.
    """

    HASHED = "hashed"
    """As the hash of the whole value alone. While a column has this rule, no whole request is kept."""

    DROPPED = "dropped"
    """Not at all: neither hash nor size, which of a rare value says who it is."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The user's word on every column.

    Parameters
    ----------
    salt : bytes
        Keys all hashes, at most 64 bytes; a secret of the deployment, the same in every lane.
    log : str or tuple of str
        ``"none"``, ``"all"``, or the columns whose values may be shown.
    hashed : tuple of str
        Columns that leave as the hash of the whole value only; goes before `log`.
    dropped : tuple of str
        Columns of which nothing leaves, not even sizes; goes before both.

    Examples
    --------
    >>> disclosure = Disclosure(b"salt", log="all", hashed=("user",))
    >>> disclosure.rule("shop"), disclosure.rule("user")
    (<Rule.SHOWN: 'shown'>, <Rule.HASHED: 'hashed'>)
    """

    salt: bytes = b""
    log: str | tuple[str, ...] = "none"
    hashed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def hides(self) -> bool:
        """Whether any column is hashed or dropped: then no whole request may be kept."""
        return bool(self.hashed or self.dropped)

    def rule(self, column: str | int) -> Rule:
        """Return how the values of a column may leave."""
        name = str(column)
        if name in self.dropped:
            return Rule.DROPPED
        if name in self.hashed:
            return Rule.HASHED
        if self.log == "all" or (self.log != "none" and name in self.log):
            return Rule.SHOWN
        return Rule.LABELLED

    def digest(self, text: str) -> str:
        """Hash a text: 16 hex digits, equal for equal texts.

        A keyed hash (BLAKE2b, RFC 7693), so that nobody without the salt can guess a value by hashing
        a list of candidates.
        """
        # Several searches ask for the same values; long ones are seldom asked for twice, and weigh.
        return (_kept if len(text) <= KEPT_LENGTH else _digest)(text, self.salt)

    def sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return sizes by column without those of dropped columns."""
        if not self.dropped:
            return dict(sizes)
        return {name: size for name, size in sizes.items() if name not in self.dropped}


def _digest(text: str, salt: bytes) -> str:
    hashed = blake2b(text.encode("utf-8", "surrogatepass"), key=salt, digest_size=DIGEST_BYTES)
    return hashed.hexdigest()


_kept = lru_cache(maxsize=KEPT_DIGESTS)(_digest)


NOTHING_SHOWN = Disclosure()
