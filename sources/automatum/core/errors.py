"""Every way in which the connector refuses, and the exit code that goes with it.

    AutomatumError
    ├── ConfigurationError            78  a setting is missing or wrong; names the key
    ├── AccessError                   77
    │   ├── CredentialsRefused            the token endpoint says no, or a fresh token is refused
    │   ├── VaultDenied                   the vault that keeps the credentials does not let us read or write them
    │   └── ScopeMissing                  the application was not granted what a table needs
    ├── RequestError                      about one request; says method, path, status, server's words, next step
    │   ├── ApiUnreachable            69  no usable answer in time: network, 5xx, HTML, broken JSON
    │   ├── RequestRefused            69  understood and refused: a 4xx that no retry can change
    │   └── NotThere                  78  404: not a path that the API knows, or a row that is gone
    ├── MoreToDo                      75  ended cleanly before the work was done; come back later
    │   ├── BudgetSpent                   --max-requests, --max-minutes, SIGTERM, SIGINT
    │   ├── QuotaExhausted                a window is full for longer than we may wait
    │   └── Busy                          another run, or a notebook, holds the pipeline or the DuckDB file
    ├── Fault                         70  a defect of ours that ended one organization's sync, while others went on
    ├── QuotaUnreachable              69  the Redis server that keeps the quota does not answer
    ├── VaultUnreachable              69  the vault that keeps the credentials does not answer, or is sealed
    ├── SecretNotKept                 69  a secret was regenerated, and could not be stored where it belongs
    └── DestinationError              69  the warehouse refuses, cannot be reached, or broke while loading

No error carries a request or response object, a header or a body: those hold secrets and customers' data (I6).
Exit codes are those of BSD's sysexits.h: 65 EX_DATAERR, 69 EX_UNAVAILABLE, 75 EX_TEMPFAIL, 77 EX_NOPERM, 78 EX_CONFIG.
"""

from __future__ import annotations

from typing import ClassVar

from .clock import instant

EXIT_COMPLETE = 0
EXIT_INCOMPLETE = 65
EXIT_UNREACHABLE = 69
EXIT_SOFTWARE = 70
"""A fault of ours (EX_SOFTWARE)."""
EXIT_MORE_TO_DO = 75
EXIT_ACCESS = 77
EXIT_CONFIGURATION = 78


class AutomatumError(Exception):
    """Base of all errors that the connector raises on purpose.

    Args:
        message: What is wrong, in one sentence.
        next_step: What the reader can do about it.
    """

    exit_code: ClassVar[int] = EXIT_UNREACHABLE

    def __init__(self, message: str, next_step: str = "") -> None:
        self.message = message
        self.next_step = next_step
        super().__init__(f"{message} {next_step}".strip())

    def as_json(self) -> dict[str, object]:
        """What, what to do, and the exit code that it stands for."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "next_step": self.next_step,
            "exit_code": self.exit_code,
        }


class ConfigurationError(AutomatumError):
    """A setting is missing or wrong.

    Args:
        key: The setting's name, such as `sources.automatum.base_url`.
        message: What is wrong with it.
        next_step: What to write instead.
    """

    exit_code = EXIT_CONFIGURATION

    def __init__(self, key: str, message: str, next_step: str = "") -> None:
        self.key = key
        super().__init__(f"{key}: {message}", next_step)


class AccessError(AutomatumError):
    """The vendor does not let us in."""

    exit_code = EXIT_ACCESS


class CredentialsRefused(AccessError):
    """Client id or secret are wrong, or the application was deleted or its secret regenerated."""


class VaultDenied(AccessError):
    """The vault that keeps the credentials does not let us in, or not to this secret."""


class ScopeMissing(AccessError):
    """The OAuth application lacks a scope that was asked for.

    Args:
        missing: Table name to the scope that it needs.
        granted: The scopes of the token.
    """

    def __init__(self, missing: dict[str, str], granted: frozenset[str]) -> None:
        self.missing = missing
        self.granted = granted
        wanted = ", ".join(f"{table} needs {scope}" for table, scope in missing.items())
        have = " ".join(sorted(granted)) or "none"
        super().__init__(
            f"The OAuth application lacks scopes: {wanted} (granted: {have}).",
            "Add them in the Automatum dashboard under Settings > Integrations > API Access; "
            "the next run takes a new token, which carries them.",
        )


class RequestError(AutomatumError):
    """About one request.

    Args:
        method: HTTP method.
        path: Path below the host, without the query.
        status: HTTP status, or the envelope's `code` where that is not 2xx; None if no answer came.
        detail: What the server said, shortened and redacted; or what the network did.
        next_step: What the reader can do about it.
    """

    def __init__(self, method: str, path: str, status: int | None, detail: str, next_step: str = "") -> None:
        self.method = method
        self.path = path
        self.status = status
        self.detail = detail
        answer = f"answered {status}: {detail}" if status is not None else f"gave no answer: {detail}"
        super().__init__(f"{method} {path} {answer}.", next_step)


class ApiUnreachable(RequestError):
    """No usable answer within attempts and deadline."""

    exit_code = EXIT_UNREACHABLE


class RequestRefused(RequestError):
    """The API understood the request and refused it; asking again would change nothing.

    Attributes:
        fields: The envelope's `errors`: pairs of field and message; empty if it had none.
    """

    exit_code = EXIT_UNREACHABLE

    def __init__(
        self,
        method: str,
        path: str,
        status: int | None,
        detail: str,
        next_step: str = "",
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.fields = fields
        super().__init__(method, path, status, detail, next_step)


class NotThere(RequestRefused):
    """404."""

    exit_code = EXIT_CONFIGURATION


class MoreToDo(AutomatumError):
    """The run ends before its work is done; what was read is loaded, and the next run goes on from there.

    Args:
        message: Why it ends.
        next_step: What to do.
        resume_at: Epoch seconds at which coming back makes sense; None for at once.
    """

    exit_code = EXIT_MORE_TO_DO

    def __init__(self, message: str, next_step: str = "", resume_at: float | None = None) -> None:
        self.resume_at = resume_at
        super().__init__(message, next_step)

    def as_json(self) -> dict[str, object]:
        """The same, and when to come back."""
        return {**super().as_json(), "resume_at": None if self.resume_at is None else instant(self.resume_at)}


class BudgetSpent(MoreToDo):
    """The run's own bounds are reached: requests, minutes, or a signal."""


class QuotaExhausted(MoreToDo):
    """A window of the vendor's quota is full for longer than this run may wait."""


class Busy(MoreToDo):
    """Another run holds the pipeline, or another program the DuckDB file, for longer than this one may wait (I7)."""


class Fault(AutomatumError):
    """A defect of the connector. Where it ends the run, the run says so itself; this is for one part of a run."""

    exit_code = EXIT_SOFTWARE


class QuotaUnreachable(AutomatumError):
    """The server that keeps the quota for several machines cannot be reached; without it no request is sent."""

    exit_code = EXIT_UNREACHABLE


class VaultUnreachable(AutomatumError):
    """The vault that keeps the credentials gives no usable answer."""

    exit_code = EXIT_UNREACHABLE


class SecretNotKept(AutomatumError):
    """A secret was regenerated, or may have been, and the new one is not where it belongs.

    Args:
        message: What went wrong.
        next_step: What to do.
        kept_at: File that holds the new secret; None if nothing does.
    """

    exit_code = EXIT_UNREACHABLE

    def __init__(self, message: str, next_step: str = "", kept_at: str | None = None) -> None:
        self.kept_at = kept_at
        super().__init__(message, next_step)

    def as_json(self) -> dict[str, object]:
        """The same, and the file that holds the new secret."""
        return {**super().as_json(), "kept_at": self.kept_at}


class DestinationError(AutomatumError):
    """The destination refuses, cannot be reached, or broke while loading."""

    exit_code = EXIT_UNREACHABLE
