"""The unit that statistics count: the entity of a request where one is named, else the request.

A column names the entity, or a header that the worker reads. Of the header the journal holds a
salted number alone.

Requests of one user, shop or bot are alike, and a hundred of them say little more than one. So only
the first request that a lane sees of each entity is judged with a guarantee. Between entities these
are as independent as the entities, whatever binds the requests within one. (To take one observation
of each cluster is the oldest remedy for clustered samples; L. Kish 1965, "Survey sampling", chapter
5: where requests within an entity agree, all others add nothing.) All requests go on being compared
and counted.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shadowserve.schema.rows import Rows
from shadowserve.statistics.stored import Part, Stored, plain

PLACES = 2**20
"""Number of places among which entities are hashed; no more than so many are counted."""

LATELY = 1_000
"""Requests after which an entity may be seen again by what watches for a change."""

BoolArray = NDArray[np.bool_]


def unit_of(rows: Rows | None, *, entity: str | None, salt: bytes) -> int | None:
    """Return a salted number for the entity of a request's first row, in ``range(PLACES)``.

    None where no entity is asked for, or where the request names none: then it is a unit of its own.

    Examples
    --------
    >>> rows = Rows({"user": np.array(["ann"], dtype=object)}, 1)
    >>> unit_of(rows, entity="user", salt=b"a") == unit_of(rows, entity="user", salt=b"a")
    True
    >>> unit_of(rows, entity="shop", salt=b"a") is None
    True
    """
    if entity is None or rows is None or not rows.n_rows or entity not in rows.columns:
        return None
    value = rows.columns[entity][0]
    # For a list `isna` returns an array, whose truth nobody can tell.
    if pd.isna(value) is True:
        return None
    return _place(str(value), salt)


def _place(name: str, salt: bytes) -> int:
    # BLAKE2b takes keys of 64 bytes at most.
    digest = blake2b(name.encode("utf-8", "replace"), digest_size=8, key=salt[:64]).digest()
    return int.from_bytes(digest, "big") % PLACES


Headers = Mapping[bytes, bytes]
Named = tuple[str | None, int | None]
"""What a request's header names, and its unit; None twice where it names nobody."""


def nobody(_headers: Headers) -> Named:
    """Read no header: each request is a unit of its own, or a column names it."""
    return None, None


@dataclass(frozen=True, slots=True)
class EntityHeader:
    """Reads the entity from a header of the request.

    Parameters
    ----------
    name : bytes
        In lower case, as ASGI has it.
    salt : bytes
        The deployment's; the value itself is kept nowhere.

    Examples
    --------
    >>> header = EntityHeader(b"x-customer", b"salt")
    >>> header({b"x-customer": b" ann "}) == header({b"x-customer": b"ann"})
    True
    >>> header({b"x-customer": b""}), header({})
    ((None, None), (None, None))
    """

    name: bytes
    salt: bytes

    def __call__(self, headers: Headers) -> Named:
        """Return what the header names, and its unit."""
        return self.named(headers.get(self.name, b"").decode("latin-1"))

    def named(self, value: str) -> Named:
        """Return the same of the header's value."""
        name = value.strip()
        return (name, _place(name, self.salt)) if name else (None, None)


def entity_header(name: str | None, *, salt: str) -> EntityHeader | None:
    """Return the header that a deployment reads the entity from; None where it reads none."""
    return EntityHeader(name.encode("latin-1"), salt.encode()) if name else None


def _packed(ever: np.ndarray) -> str:
    bits = zlib.compress(np.packbits(ever).tobytes(), 1) if ever.any() else b""
    return b64encode(bits).decode()


def _unpacked(told: str) -> np.ndarray:
    if not told:
        return np.zeros(PLACES, dtype=np.bool_)
    bits = np.frombuffer(zlib.decompress(b64decode(told)), dtype=np.uint8)
    return np.unpackbits(bits).astype(np.bool_)


class Units(Stored):
    """Tells the first request of each entity from its others, in 128 KiB however many there are.

    Two entities that fall on one place count as one. That drops some, by chance of the salt alone, and
    never counts one twice, so that it costs observations and no guarantee.

    Attributes
    ----------
    n : int
        Entities counted.
    without : int
        Requests that named none.

    Examples
    --------
    >>> units = Units()
    >>> units.first([7, 7, None, 8])[0].tolist(), units.first([8, 9])[0].tolist()
    ([True, False, True, True], [False, True])
    """

    parts: ClassVar = {
        "n": plain,
        "without": plain,
        "ever": Part(_packed, _unpacked).at("_ever"),
        "lately": Part(sorted, set).at("_lately"),
        "since": plain.at("_since"),
    }

    def __init__(self) -> None:
        self.n = 0
        self.without = 0
        self._ever = np.zeros(PLACES, dtype=np.bool_)
        self._lately: set[int] = set()
        self._since = 0

    def first(self, units: Sequence[int | None]) -> tuple[BoolArray, BoolArray]:
        """Tell which requests are the first of their entity, ever and among the last thousand or so.

        Parameters
        ----------
        units : sequence of int or None
            From `unit_of`, in the order of the journal; each request is asked about once.

        Returns
        -------
        tuple of ndarray of shape (n_requests,), bool
            Requests without an entity are the first of theirs.
        """
        # Requests that name no entity are units of their own: each is a first.
        ever, lately = np.ones((2, len(units)), dtype=np.bool_)
        for at, unit in enumerate(units):
            if self._since >= LATELY:
                # Forgotten all at once: to forget one by one would need their order too.
                self._lately, self._since = set(), 0
            self._since += 1
            if unit is None:
                self.without += 1
                continue
            ever[at], lately[at] = not self._ever[unit], unit not in self._lately
            self.n += bool(ever[at])
            self._ever[unit] = True
            self._lately.add(unit)
        return ever, lately
