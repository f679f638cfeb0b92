"""`automatum push settle`: what a person decides about open lines and items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigurationError
from .console import say, show_error
from .declared import END, PLACE, WAITS, declared, push_options
from .options import guarded, stop_on_signals

if TYPE_CHECKING:
    from ..metering.settle import Decision

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of lines; or of other items, with --never.")]
Billed = Annotated[bool, typer.Option("--billed", help="The marketplace has billed the line as it was sent.")]
NotBilled = Annotated[bool, typer.Option("--not-billed", help="The marketplace has billed nothing of the line.")]
Send = Annotated[
    bool, typer.Option("--send", help="With --not-billed: send the line again, under its own hour or day.")
]
Never = Annotated[bool, typer.Option("--never", help="Need not be billed, or not any more; with --reason.")]
Carry = Annotated[bool, typer.Option("--carry", help="Bill the open units by a line of the current hour or day.")]
Reason = Annotated[str, typer.Option(help="Why. The journal keeps it with the user and the time.")]


@declared("max_amount", "late_ok", "unchecked", "ledger_url", "confirm", *PLACE, *WAITS, *END)
def push_settle(
    ids: Ids,
    billed: Billed = False,
    not_billed: NotBilled = False,
    send: Send = False,
    never: Never = False,
    carry: Carry = False,
    reason: Reason = "",
    **given: Any,
) -> None:
    """Say what became of lines, or bill what is open of them. Dry unless --confirm is given.

    What is sent passes the checks and limits of a push. A later decision corrects an earlier one.
    """

    def work() -> int:
        from ..metering.run import run_settle
        from .render_push import show_settled

        chosen: dict[Decision, bool] = {"billed": billed, "not_billed": not_billed, "never": never, "carry": carry}
        decisions = [name for name, wanted in chosen.items() if wanted]
        if len(decisions) != 1:
            problem = "no decision is given." if not decisions else "several decisions are given."
            raise ConfigurationError("settle", problem, "Give one of --billed, --not-billed, --never and --carry.")
        stop = stop_on_signals()
        result = run_settle(ids, decisions[0], push_options(given), send=send, reason=reason, stop=stop)
        figures = result.to_json()
        say(figures, given["as_json"], lambda: show_settled(figures))
        for error in result.errors:
            show_error(error)
        return result.exit_code

    guarded(work, given["as_json"], given["debug"])
