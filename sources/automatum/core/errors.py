"""Every error that the connector raises, the exit code of each, and what to do about it.

    AutomatumError
    ├── ConfigurationError            78  a setting is missing or wrong
    ├── AccessError                   77  the API refuses access
    │   ├── CredentialsRefused            the client id or secret is not accepted
    │   ├── VaultDenied                   the vault refuses access to the credentials
    │   └── ScopeMissing                  the OAuth application lacks a scope
    ├── RequestError                      an HTTP request failed
    │   ├── ApiUnreachable            69  no usable response: network, timeout, 5xx, HTML, broken JSON
    │   ├── RequestRefused            69  a 4xx response that no retry can change
    │   └── NotThere                  78  404: a wrong path, or a row that no longer exists
    ├── PlanDiffers                   65  the usage is not that of the approved plan
    ├── MoreToDo                      75  the run ended cleanly before its work was done
    │   ├── BudgetSpent                   --max-requests, --max-minutes, SIGTERM or SIGINT
    │   ├── QuotaExhausted                the rate limit requires a longer wait than the run allows
    │   └── Busy                          another process holds the pipeline or the DuckDB file
    ├── Interrupted                  130  a second signal ended the run at once
    ├── Fault                         70  a defect of the connector in the sync of one table or organization
    ├── ServerUnreachable             69  the vault, or the Redis server that counts the requests, does not answer
    ├── DiskFull                      69  a file has no space
    ├── SecretNotKept                 69  a regenerated secret could not be stored
    └── DestinationError              69  the destination refuses, cannot be reached, or failed while loading
        └── PackageRefused                the destination refuses rows; they are set aside and read again

Every error has a `message`, a `next_step` and an `exit_code`. No error carries a request, a response, a header or a
body, because those hold secrets and customers' data (I6).
The exit codes are those of BSD's sysexits.h: 65 EX_DATAERR, 69 EX_UNAVAILABLE, 70 EX_SOFTWARE, 75 EX_TEMPFAIL,
77 EX_NOPERM, 78 EX_CONFIG. 130 is what shells report for a program that Ctrl-C ended.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import ClassVar

from .clock import instant
from .redaction import redact

logger = logging.getLogger("automatum")

EXIT_COMPLETE = 0
EXIT_INCOMPLETE = 65
EXIT_UNREACHABLE = 69
EXIT_SOFTWARE = 70
EXIT_MORE_TO_DO = 75
EXIT_ACCESS = 77
EXIT_CONFIGURATION = 78
EXIT_INTERRUPTED = 130
_WORST_FIRST = (EXIT_CONFIGURATION, EXIT_ACCESS, EXIT_SOFTWARE, EXIT_UNREACHABLE, EXIT_INCOMPLETE, EXIT_MORE_TO_DO)


def worst_exit_code(codes: Iterable[int]) -> int:
    """The exit code that needs attention first; 0 if there is none.

    Codes of a run that needs a person (78, 77, 70) rank above those that a later run may cure (69, 65, 75).
    """
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), EXIT_COMPLETE)


class AutomatumError(Exception):
    """Base class of all errors that the connector raises on purpose.

    Catch it around a sync or a push to handle every expected failure. Any other exception is a defect.

    Args:
        message: What happened and why, in one sentence. It holds no secret.
        next_step: What to do next; empty if there is nothing to add.

    Attributes:
        exit_code: Exit code of a process that this error ends: 69, unless its class says otherwise.
    """

    exit_code: ClassVar[int] = EXIT_UNREACHABLE
    _in_json: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str, next_step: str = "") -> None:
        # A piece of a password that was not encoded in a URL may look like the host, and a message may quote it.
        self.message, self.next_step = redact(message), redact(next_step)
        super().__init__(f"{self.message} {self.next_step}".strip())

    def to_json(self) -> dict[str, object]:
        """The error under `errors` of `--json`: `type`, `message`, `next_step`, `exit_code` and more."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "next_step": self.next_step,
            "exit_code": self.exit_code,
            **{name: getattr(self, name) for name in self._in_json},
        }


class ConfigurationError(AutomatumError):
    """A setting, an argument or an environment variable is missing or wrong.

    Correct the setting that `key` names, then run again.

    Args:
        key: Name of the setting, such as `sources.automatum.base_url`.
        message: What is wrong with its value. It does not repeat a secret value.
        next_step: What to write instead.
    """

    exit_code = EXIT_CONFIGURATION

    def __init__(self, key: str, message: str, next_step: str = "") -> None:
        self.key = key
        super().__init__(f"{key}: {message}", next_step)


class AccessError(AutomatumError):
    """The API refuses access, because of the credentials, the scopes, or the organization's plan."""

    exit_code = EXIT_ACCESS


class CredentialsRefused(AccessError):
    """The API does not accept the client id or the client secret."""


class VaultDenied(AccessError):
    """The vault refuses access to the secret that holds the credentials."""


class ScopeMissing(AccessError):
    """The OAuth application lacks a scope that a requested table or a push needs.

    Add the scope in the dashboard. The next run fetches a new token, which carries it.

    Args:
        missing: Table name to the scope that it needs.
        granted: The scopes of the token.
    """

    def __init__(self, missing: dict[str, str], granted: frozenset[str]) -> None:
        self.missing = missing
        self.granted = granted
        needed = ", ".join(f"{table} needs {scope}" for table, scope in missing.items())
        super().__init__(
            f"The OAuth application lacks scopes: {needed} (granted: {' '.join(sorted(granted)) or 'none'}).",
            "Add them in the Automatum dashboard under Settings > Integrations > API Access; "
            "the next run takes a new token, which carries them.",
        )


class RequestError(AutomatumError):
    """An HTTP request to the API failed. Base class of the errors about one request.

    Args:
        method: HTTP method.
        path: Path below the host, without the query.
        status: HTTP status, or the envelope's `code` where that is not 2xx. None if no response arrived.
        detail: The server's message, shortened and redacted; or the failure of the network.
        next_step: What to do next.
        fields: The `errors` of the response as pairs of field and message.
    """

    def __init__(
        self,
        method: str,
        path: str,
        status: int | None,
        detail: str,
        next_step: str = "",
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.method, self.path, self.status, self.detail, self.fields = method, path, status, detail, fields
        answer = f"answered {status}: {detail}" if status is not None else f"gave no answer: {detail}"
        super().__init__(f"{method} {path} {answer}.", next_step)


class ApiUnreachable(RequestError):
    """The API gave no usable response within the retries and the deadline. The outcome of a POST may be unknown."""


class RequestRefused(RequestError):
    """The API understood the request and refused it. A retry does not help: correct what message and `fields` name."""


class NotThere(RequestRefused):
    """The API answered 404.

    For a list or a report, the path is wrong: override it in the configuration. For a row, the row no longer exists.
    """

    exit_code = EXIT_CONFIGURATION


class PlanDiffers(AutomatumError):
    """The lines that a push would send are not those of the approved dry run. Nothing was sent."""

    exit_code = EXIT_INCOMPLETE


class TooOld(AutomatumError):
    """Data is older than it may be. The message names the tables, each with its age, and the age that is allowed.

    The next step names those that the settings do not read any more, such as a report that was renamed.
    """

    exit_code = EXIT_INCOMPLETE

    def __init__(self, tables: Iterable[str], most: str, left: Sequence[str] = ()) -> None:
        step = "Look at the log of the sync, and run: automatum sync"
        if left:
            watched = "list those to watch in sources.automatum.tables"
            step = f"The settings do not read {', '.join(left)}: {watched}. {step}"
        super().__init__(f"No complete sweep within {most}: {', '.join(tables)}.", step)


class Unproven(AutomatumError):
    """A table was not read as a whole, and the load would have dropped or replaced what the destination has."""

    exit_code = EXIT_INCOMPLETE


class MoreToDo(AutomatumError):
    """The run ended cleanly before its work was done.

    What was read is loaded. Run again, at `resume_at` (epoch seconds) or at once if it is None; the next run continues
    where this one ended.
    """

    exit_code = EXIT_MORE_TO_DO

    def __init__(self, message: str, next_step: str = "", resume_at: float | None = None) -> None:
        self.resume_at = resume_at
        super().__init__(message, next_step)

    def to_json(self) -> dict[str, object]:
        """As `AutomatumError.as_json`, with `resume_at` in ISO 8601."""
        return {**super().to_json(), "resume_at": None if self.resume_at is None else instant(self.resume_at)}


class BudgetSpent(MoreToDo):
    """The run reached its own limit: `--max-requests`, `--max-minutes`, or a signal to stop."""


class QuotaExhausted(MoreToDo):
    """The API's rate limit requires a longer wait than this run allows (`--max-wait`)."""


class Busy(MoreToDo):
    """Another process holds the pipeline or the DuckDB file for longer than the lock wait (`--lock-wait`, I7)."""


class Interrupted(AutomatumError):
    """A signal ended the run at once: Ctrl-C twice, or once in a command that only reads.

    Run again. A sync continues from its last loaded chunk; a push may leave the lines of one request unknown.
    """

    exit_code = EXIT_INTERRUPTED


class Fault(AutomatumError):
    """A defect of the connector that ended the sync of one table or organization, while the others continued."""

    exit_code = EXIT_SOFTWARE


def defect(error: Exception, where: str) -> Fault:
    """The `Fault` of an unexpected exception that ended a table or organization; at debug its traceback is logged."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.exception("%s", where)
    words = f"{type(error).__name__}: {redact(str(error))[:1000]}"
    return Fault(words, "This is a defect of the connector; --debug shows more.")


class ServerUnreachable(AutomatumError):
    """The vault with the credentials, or the Redis server that counts the requests, gives no usable response."""


class DiskFull(AutomatumError):
    """A file cannot be written: its disk is full, or this user's share of it. A later run may find space."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "Free space on its disk, then run again.")


class SecretNotKept(AutomatumError):
    """A client secret was regenerated, or may have been, and the new secret could not be stored.

    Take the new secret from the file `kept_at` (None if no file holds it), store it by hand, and delete the file.
    """

    _in_json = ("kept_at",)

    def __init__(self, message: str, next_step: str = "", kept_at: str | None = None) -> None:
        self.kept_at = kept_at
        super().__init__(message, next_step)


class DestinationError(AutomatumError):
    """The destination refuses the connection, cannot be reached, or failed while loading."""


class PackageRefused(DestinationError):
    """A load failed for a reason that stays, such as a value that a column cannot hold.

    Its rows are not loaded, and the next run reads them again from the API.

    Args:
        step: The step that failed: `extract`, `normalize` or `load`.
        table: The table whose rows were refused; None if the error names none.
        reason: What the destination or dlt said.
    """

    _in_json = ("table",)

    def __init__(self, step: str, table: str | None, reason: str) -> None:
        self.step = step
        self.table = table
        self.reason = reason
        of_table = f" of table {table}" if table else ""
        super().__init__(
            f"The {step} step failed for the rows{of_table}: {reason}",
            "Correct the cause, then run again: the next run reads these rows again. --debug shows the whole error.",
        )
