"""Errors that a user can act on: what came, what was expected, what to do next.

Every error that shadowserve raises on purpose is a `ShadowserveError`. Its text is one line, names
no value of a request, and says the next step. Bugs keep their own types and their tracebacks.
"""


class ShadowserveError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 2


class SettingsError(ShadowserveError, ValueError):
    """A flag, variable or settings file says something that cannot be done."""


class PinError(ShadowserveError, ValueError):
    """A version is written in a way that does not name one fixed version."""


class RegistryError(ShadowserveError, LookupError):
    """The registry answers, but does not hold what was asked for."""


class UnreachableError(ShadowserveError, ConnectionError):
    """A registry, tracking server, port or directory could not be reached."""

    exit_code = 4


class UnreadableError(UnreachableError):
    """A file of the state directory cannot be read now: locked, damaged, on a disk that fails.

    What it holds is not known then, which is another thing than nothing.
    """

    def __init__(self, path: object, why: object) -> None:
        super().__init__(
            f"{path} cannot be read now ({why}). Try again; if it stays so, look after its disk, its "
            "rights, and how many files may be open."
        )


class DamagedError(UnreadableError):
    """A file of the state directory is damaged: what it held cannot be read again."""


class PromotionError(ShadowserveError):
    """An alias may not be moved, or did not stay where it was moved to."""

    exit_code = 3


class ModelError(ShadowserveError):
    """A version cannot be loaded, or cannot answer its own input example."""


class JournalError(ShadowserveError, OSError):
    """The journal cannot be kept where it was asked to be."""


class RequestError(ShadowserveError, ValueError):
    """A request cannot be typed by the model's signature; the caller gets `status`.

    Parameters
    ----------
    message : str
        What was expected and what type came, never the value itself.
    code : str
        Short machine-readable name of the rule, such as ``"missing_column"``.
    column : str or int, optional
        The column at fault.
    row : int, optional
        The row at fault, counted from 0.
    status : int
        HTTP status: 400, 413 or 415.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        column: object = None,
        row: int | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.column = column
        self.row = row
        self.status = status


class AlignmentError(ShadowserveError, ValueError):
    """Two outputs cannot be laid side by side, or an answer has another length than its request."""


class QueryError(ShadowserveError, ValueError):
    """A question about comparisons that cannot be answered: an unknown column, or SQL that is refused."""


class StateError(ShadowserveError, ValueError):
    """A saved summary was written by another release, or for another deployment."""


class AnswerError(ShadowserveError, TypeError):
    """A prediction holds something that cannot be written as JSON, or an answer is not one."""
