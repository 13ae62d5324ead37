"""The TLS certificate of both ports: validated at start, then handed to each process by its path.

BentoML's worker and the console's server take it as uvicorn does; the stand-in speaks TLS by itself.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from shadowserve.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate and its key lie; both are read again by each process that starts.

    Parameters
    ----------
    chain : Path
        In PEM, the own certificate first.
    key : Path, optional
        In PEM, not encrypted; None where `chain` holds it.
    """

    chain: Path
    key: Path | None = None

    def options(self) -> tuple[str, ...]:
        """Return BentoML's arguments."""
        key = () if self.key is None else ("--ssl-keyfile", str(self.key.resolve()))
        return ("--ssl-certfile", str(self.chain.resolve()), *key)

    def context(self) -> ssl.SSLContext:
        """Load both and return what a server's sockets are wrapped in.

        Raises
        ------
        SettingsError
            If a file cannot be read, holds something else, or they do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.chain, self.key, password=_refuse)
        except ssl.SSLError as error:
            where = self.chain if self.key is None else f"{self.chain} and {self.key}"
            raise SettingsError(
                f"--ssl-certfile: {where} hold no certificate in PEM with its key ({error.reason}). "
                "Give the key with --ssl-keyfile."
            ) from error
        except OSError as error:
            where = self.chain if self.key is None else f"{self.chain} or {self.key}"
            raise SettingsError(
                f"--ssl-certfile: {where} cannot be read ({error.strerror}). Check the path and its rights."
            ) from error
        return context


def _refuse() -> str:
    """Nobody is there to type a password when a worker is replaced."""
    raise SettingsError(
        "--ssl-keyfile: the key is encrypted. Give one without a password, readable by you alone."
    )


def of(chain: Path | None, key: Path | None) -> Certificate | None:
    """Return the certificate that was asked for, None if none was."""
    return None if chain is None else Certificate(chain, key)
