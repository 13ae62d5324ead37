"""Which requests lanes get to see when not all of them do.

The choice depends on the request's key and a salt of the deployment alone: repeated requests of one
entity are all in or all out, every worker decides alike, and 0 and 1 are exact.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from shadowserve.schema.rows import Rows


@dataclass(frozen=True, slots=True)
class Sampling:
    """A share of the requests, chosen by key.

    Parameters
    ----------
    rate : float
        Share of keys that are taken, from 0 (none) to 1 (all).
    salt : str
        The deployment's own, so that two deployments do not sample the same entities.
    entity : str, optional
        Column whose first value is the key; else the request id is.
    """

    rate: float = 1.0
    salt: str = ""
    entity: str | None = None

    def takes(self, request_id: str, rows: Rows, *, named: str | None = None) -> bool:
        """Tell whether lanes get this request.

        Parameters
        ----------
        named : str, optional
            The entity that a header names: it is the key then.
        """
        if self.rate >= 1.0:
            return True
        if self.rate <= 0.0:
            return False
        key = request_id if named is None else named
        if self.entity is not None and self.entity in rows.columns:
            key = str(rows.columns[self.entity][0])
        return _share(self.salt, key) < self.rate


def _share(salt: str, key: str) -> float:
    """Map a key to a number in [0, 1), uniformly."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
