"""`automatum push plan` and `automatum push cancel`: lines that are on hold, and what a person decides about them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..core.process_info import user_name
from ..core.text import plural
from .commands import CommandApp, examples
from .console import say, say_text
from .ledger import open_ledger
from .options import Debug, Json, OrganizationName, guarded
from .push_options import LedgerUrl, Reason

plan_app = CommandApp(
    help="Show the planned lines that are on hold; keep or cancel them. Sends nothing.",
    epilog=examples(
        "automatum push plan",
        "automatum push plan keep LINE_ID",
        "automatum push plan cancel LINE_ID --reason 'wrong file'",
    ),
    invoke_without_command=True,
)
CANCEL_EXAMPLES = examples(
    "automatum push cancel LINE_ID --reason 'wrong file'",
    "automatum push cancel --plan 20261124T123000Z-38-9f86d081884c7d65",
)

LineIds = Annotated[list[str], typer.Argument(metavar="LINE_ID...", help="Ids of lines, or 'all' that are on hold.")]
Cancelled = Annotated[
    list[str] | None, typer.Argument(metavar="[LINE_ID]...", help="Ids of planned lines, or 'all' that are on hold.")
]
Plan = Annotated[str | None, typer.Option("--plan", help="Digest of a push: all of its lines that were not sent.")]


@plan_app.callback()
def plan(
    context: typer.Context,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the planned lines that are on hold, with the reasons. Exit code 65 if there is one."""
    if context.invoked_subcommand:
        return

    def work() -> int:
        from ..metering.ledger.plan_reader import lines_on_hold
        from .render_push import show_holds

        with open_ledger(ledger_url, organization) as ledger:
            found = lines_on_hold(ledger)
            figures: dict[str, Any] = {
                "ledger": ledger.location,
                "on_hold": [hold.as_json() for _, holds in found for hold in holds],
            }
        say(figures, as_json, lambda: show_holds([hold for _, holds in found for hold in holds]))
        return EXIT_INCOMPLETE if found else EXIT_COMPLETE

    guarded(work, as_json, debug)


@plan_app.command("keep", epilog=examples("automatum push plan keep LINE_ID", "automatum push plan keep all"))
def plan_keep(
    lines: LineIds,
    reason: Reason = "",
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Release lines that are on hold, or plan canceled lines again. The next push sends them."""

    def work() -> int:
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.planned import find_planned, keep

        with open_ledger(ledger_url, organization, needed=True) as ledger:
            kept = keep(ledger, find_planned(ledger, lines, canceled=True), Author(user_name(), reason.strip()))
        text = f"{plural(len(kept), 'line')} kept: the next push sends {'it' if len(kept) == 1 else 'them'}."
        say({"kept": kept}, as_json, lambda: say_text(text))
        return EXIT_COMPLETE

    guarded(work, as_json, debug)


@plan_app.command("cancel", epilog=CANCEL_EXAMPLES)
def plan_cancel(
    lines: Cancelled = None,
    digest: Plan = None,
    reason: Reason = "",
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Withdraw planned lines: they are not sent, unless usage with other units plans them again."""

    def work() -> int:
        from ..metering.ledger.decision_log import Author
        from ..metering.ledger.planned import cancel, find_planned
        from ..metering.ledger.selectors import ALL
        from ..metering.model import format_decimal

        if not (lines or digest):
            raise ConfigurationError("LINE_ID", "not given.", f"Give ids of lines, {ALL!r}, or --plan DIGEST.")
        with open_ledger(ledger_url, organization, needed=True) as ledger:
            found = find_planned(ledger, lines or [], plan=digest)
            canceled = cancel(ledger, found, Author(user_name(), reason.strip()))
            known = ledger.reader.fetch(canceled).values()
            money = [f"{entry.line_id}: {format_decimal(entry.charged)} is not charged" for entry in known]
        text = f"{plural(len(canceled), 'line')} canceled. `automatum push plan keep LINE_ID` plans a line again."
        say({"canceled": sorted(canceled)}, as_json, lambda: say_text("\n".join([text, *money])))
        return EXIT_COMPLETE

    guarded(work, as_json, debug)
