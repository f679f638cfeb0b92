"""Reports the result of a run on stdout, stderr, to a webhook and to a file, in full or in one line for cron."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import EXIT_COMPLETE, EXIT_MORE_TO_DO, EXIT_SOFTWARE, AutomatumError, ConfigurationError
from ..core.private_files import check_own, replace_own
from ..core.redaction import Secret, redact
from ..core.result_line import result_line, verdict_for
from . import console

if TYPE_CHECKING:
    from .webhook import Webhook

PING = "ping"
"""Occasion of a monitor of scheduled jobs (healthchecks convention): URL/start, then URL, or URL/fail."""
OCCASIONS = ("trouble", "change", "always", PING)
"""When to notify: after exit codes other than 0; after these and after changes; after every run; as a monitor wants."""


class Result(Protocol):
    """The summary of a sync or of a push."""

    @property
    def changed(self) -> bool:
        """Whether it changed anything."""

    @property
    def exit_code(self) -> int:
        """Exit code of the process."""

    @property
    def named_errors(self) -> Sequence[tuple[str, AutomatumError]]:
        """The errors, worst first, each with its organization or an empty text."""

    def line(self, brief: bool = False) -> str:
        """One line; if brief, without texts of servers and databases."""


class Reporter:
    """Reports the end of one run, once.

    Args:
        command: `sync`, `push`.
        given: Values of the options of the command by their names: `as_json`, `quiet`, `notify`, `notify_on`,
            `metrics`. Without `notify_on` nothing is posted, whatever the settings say.
    """

    def __init__(self, command: str, given: Mapping[str, Any]) -> None:
        self._command, self.as_json, self.quiet = command, given.get("as_json", False), given.get("quiet", False)
        self._notify = Secret(given["notify"]) if given.get("notify") else None
        self._notify_on = given.get("notify_on")
        self._metrics: Path | None = given.get("metrics")
        self._webhook: Webhook | None = None
        self._notice: tuple[str, str] | None = None

    def open(self) -> None:
        """Open the webhook, and say there that the run begins if it is a monitor.

        Raises:
            ConfigurationError: The URL, the occasion or the file is not valid.
        """
        if self._metrics:
            check_own(self._metrics)
        # What somebody types to look at something concerns nobody else.
        looks = self._command == "status" and not self.quiet and not self._notify
        if self._notify_on is None or looks:
            return
        from ..config.settings import find_notify_url
        from .webhook import KEY, Webhook

        if self._notify_on not in OCCASIONS:
            raise ConfigurationError("--notify-on", f"{self._notify_on!r} is none of {', '.join(OCCASIONS)}.")
        url = self._notify or find_notify_url()
        if url:
            self._webhook = Webhook(url, "--notify" if self._notify else KEY)
            if self._notify_on == PING:
                self._post(f"automatum {self._command}: started", "/start")
        elif self._notify_on == PING:
            raise ConfigurationError("--notify-on", "ping needs a URL.", "Set notify_url, or add --notify URL.")

    def finished(self, result: Result, figures: Mapping[str, Any], show: Callable[[], None]) -> int:
        """Report a run that has a summary; returns the exit code.

        Args:
            result: The summary.
            figures: The summary as one JSON object.
            show: Prints the summary for a person.
        """
        code = result.exit_code
        trouble = code != EXIT_COMPLETE
        # Before anything is printed, which may fail.
        self._note(result.changed, code, result.line(brief=True), figures)
        if self.as_json or not self.quiet:
            console.say(dict(figures), self.as_json, show)
        if self.quiet:
            if trouble or (result.changed and not self.as_json):
                console.say_line(result.line(), trouble)
        else:
            for name, error in result.named_errors:
                console.show_error(error, name)
        return code

    def failed(self, error: AutomatumError) -> int:
        """Report an error that ended the run before it had a summary; returns the exit code."""
        verdict, fault = verdict_for(error), error.to_json()
        self._say_error({"verdict": verdict, "resume_at": fault.get("resume_at"), "errors": [fault]})

        def line(brief: bool) -> str:
            return result_line(self._command, verdict, error.exit_code, errors=[("", error)], brief=brief)

        if self.quiet:
            console.say_line(line(brief=False), trouble=True)
        else:
            console.show_error(error)
        self._note(False, error.exit_code, line(brief=True), {})
        return error.exit_code

    def broke(self, error: Exception) -> int:
        """Report an unexpected error; returns the exit code."""
        fault = {"type": type(error).__name__, "message": redact(str(error)), "exit_code": EXIT_SOFTWARE}
        self._say_error({"verdict": "incomplete", "resume_at": None, "errors": [fault]})
        console.show_fault(error)
        text = result_line(self._command, "incomplete", EXIT_SOFTWARE, changes=[f"fault: {type(error).__name__}"])
        self._note(False, EXIT_SOFTWARE, text, {})
        return EXIT_SOFTWARE

    def _say_error(self, figures: Mapping[str, Any]) -> None:
        if self.as_json:
            with contextlib.suppress(ConfigurationError):  # stdout cannot be written to; stderr gets the error, too.
                console.say(figures, True, lambda: None)

    def notify(self) -> None:
        """Send the notification, if there is one. If it does not arrive, print one line on stderr."""
        if self._notice:
            self._post(*self._notice)

    def _post(self, text: str, end: str) -> None:
        problem = self._webhook.post(text, end) if self._webhook else None
        if problem:
            console.say_line(f"automatum {self._command}: the notification did not arrive: {problem}", trouble=True)

    def _note(self, changed: bool, code: int, text: str, figures: Mapping[str, Any]) -> None:
        """Write the metrics, and keep what is to be posted."""
        if self._metrics:
            from .metrics import format_metrics

            try:
                # The collector of Prometheus runs as another user.
                replace_own(self._metrics, format_metrics(self._command, code, figures).encode(), 0o644)
            except (OSError, ConfigurationError) as error:
                console.say_line(f"automatum {self._command}: --metrics: {error}", trouble=True)
        trouble, failed = code != EXIT_COMPLETE, code not in (EXIT_COMPLETE, EXIT_MORE_TO_DO)
        if trouble or self._notify_on in ("always", PING) or (changed and self._notify_on == "change"):
            self._notice = text, "/fail" if failed and self._notify_on == PING else ""
