"""Runs a command, and reports its result on stdout, stderr, to a webhook and to a file, in full or in one line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import typer

from ..core.errors import (
    EXIT_COMPLETE,
    EXIT_MORE_TO_DO,
    EXIT_SOFTWARE,
    AutomatumError,
    ConfigurationError,
    Interrupted,
)
from ..core.file_system import check_working_folder
from ..core.private_files import check_own, private_files, replace_own
from ..core.process import resume_garbage_collection
from ..core.redaction import redact, redact_logging
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


Figures = Mapping[str, Any]


class Reporter:
    """Runs one command, and reports how it ended, once.

    Args:
        command: `sync`, `push`.
        given: Values of the options of the command by their names: `as_json`, `log_json`, `debug`, `quiet`,
            `notify_on`, `metrics`. Without `notify_on` nothing is posted, whatever the settings say.
    """

    def __init__(self, command: str, given: Figures) -> None:
        self._command, self._as_json, self.quiet = command, given.get("as_json", False), given.get("quiet", False)
        self._debug, self._log_json = given["debug"], given.get("log_json", False)
        self._notify_on = given.get("notify_on")
        self._metrics: Path | None = given.get("metrics")
        self._webhook: Webhook | None = None
        self._notice: tuple[str, str] | None = None

    def run(self, work: Callable[[], int]) -> NoReturn:
        """Run the command, which returns its exit code. An error is a message and a code; --debug adds a traceback."""
        redact_logging()
        waits = not (self._as_json or self._debug or self._log_json)
        console.log_to_stderr(self._debug, self.quiet, self._log_json, waits_on_stdout=waits)
        try:
            from ..config.settings import check_configuration

            resume_garbage_collection()  # dlt is imported now, by the settings.
            check_working_folder()
            self._open()
            check_configuration()
            with private_files():
                code = work()
        except AutomatumError as error:
            self._log(type(error).__name__)
            code = self._failed(error)
        except KeyboardInterrupt:
            code = self._failed(Interrupted("Interrupted.", "Run the command again."))
        except Exception as error:
            self._log("unexpected")
            code = self._broke(error)
        if self._notice:
            self._post(*self._notice)
        raise typer.Exit(code)

    def _log(self, text: str) -> None:
        if self._debug:
            logging.getLogger("automatum").exception(text)

    def _open(self) -> None:
        """Open the webhook, and say there that the run begins if it is a monitor."""
        if self._metrics:
            check_own(self._metrics)
        # What somebody types to look at something concerns nobody else.
        looks = self._command == "status" and not self.quiet
        if self._notify_on is None or looks:
            return
        from ..config.settings import find_notify_url
        from .webhook import Webhook

        if self._notify_on not in OCCASIONS:
            raise ConfigurationError("--notify-on", f"{self._notify_on!r} is none of {', '.join(OCCASIONS)}.")
        if url := find_notify_url():
            self._webhook = Webhook(url)
            if self._notify_on == PING:
                self._post(f"automatum {self._command}: started", "/start")
        elif self._notify_on == PING:
            raise ConfigurationError("--notify-on", "ping needs a URL.", "Set notify_url.")

    def show(
        self,
        figures: Figures,
        show: Callable[[Figures], None],
        code: int = EXIT_COMPLETE,
        errors: Sequence[AutomatumError] = (),
    ) -> int:
        """Print figures by `show`, or as JSON, and errors on stderr; notify nobody. Returns the code."""
        console.say(figures, self._as_json, lambda: show(figures))
        for error in errors:
            console.show_error(error)
        return code

    def finished(self, result: Result, figures: Figures, show: Callable[[Figures], None]) -> int:
        """Report a run that has a summary, whose figures `show` prints for a person; returns the exit code."""
        code = result.exit_code
        trouble = code != EXIT_COMPLETE
        # Before anything is printed, which may fail.
        self._note(result.changed, code, result.line(brief=True), figures)
        if self._as_json or not self.quiet:
            self.show(figures, show)
        if self.quiet:
            if trouble or (result.changed and not self._as_json):
                console.say_line(result.line(), trouble)
        else:
            for name, error in result.named_errors:
                console.show_error(error, name)
        return code

    def _failed(self, error: AutomatumError) -> int:
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

    def _broke(self, error: Exception) -> int:
        fault = {"type": type(error).__name__, "message": redact(str(error)), "exit_code": EXIT_SOFTWARE}
        self._say_error({"verdict": "incomplete", "resume_at": None, "errors": [fault]})
        console.show_fault(error)
        text = result_line(self._command, "incomplete", EXIT_SOFTWARE, changes=[f"fault: {type(error).__name__}"])
        self._note(False, EXIT_SOFTWARE, text, {})
        return EXIT_SOFTWARE

    def _say_error(self, figures: Figures) -> None:
        if self._as_json:
            with contextlib.suppress(ConfigurationError):  # stdout cannot be written to; stderr gets the error, too.
                console.say(figures, True, lambda: None)

    def _post(self, text: str, end: str) -> None:
        problem = self._webhook.post(text, end) if self._webhook else None
        if problem:
            console.say_line(f"automatum {self._command}: the notification did not arrive: {problem}", trouble=True)

    def _note(self, changed: bool, code: int, text: str, figures: Figures) -> None:
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
