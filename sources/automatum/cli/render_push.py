"""Shows pushes and the ledger in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.text import plural
from ..metering.model import UNKNOWN_CURRENCY, format_decimal, format_money
from .console import say_text
from .tables import TextTable

if TYPE_CHECKING:
    from ..metering.forecast import Forecast
    from ..metering.ledger.entries import Entry, LedgerMatch
    from ..metering.ledger.holds import Hold
    from ..metering.model import Line
    from ..metering.retry import RetryPlan
    from ..metering.summary import PushSummary

MOST_SHOWN = 20
"""Longest list that is shown in full; --json has all rows."""


def show_push(summary: PushSummary) -> None:
    """What was sent, or would be sent, with the money."""
    from ..metering.figures import outcome_warnings

    found, sent = summary.classification, summary.send_result
    if sent is None:
        say_text("Dry run: nothing is sent and nothing is written.")
    counts = _counts(summary)
    if len(counts):
        counts.show()
    else:
        say_text("There is no line to send.")
    if found.invalid:
        say_text(f"Invalid: {plural(found.invalid, 'row')}. They are not sent:")
    show_list(
        [f"row {refusal.row}: {refusal.reason}" for refusal in sorted(found.refused, key=lambda refusal: refusal.row)]
    )
    if found.open_rows:
        say_text(f"Of the current hour or day: {plural(found.open_rows, 'row')}. A later push sends them.")
    show_list([_difference(match) for match in (*found.changed, *found.conflict)])
    if sent:
        show_list(
            [
                f"{line.id} {line.customer_id} {line.dimension}: {message}"
                for line, message in (*sent.conflict, *sent.unknown)
            ]
        )
    if summary.plan.on_hold:
        show_holds(summary.plan.on_hold)
    to_send = summary.forecast.lines if summary.forecast else []
    if summary.forecast and to_send:
        say_text(f"To be sent, in {plural(len(summary.forecast.bodies), 'request')}:")
        show_list([_line(line, summary) for line in to_send])
    for warning in outcome_warnings(summary):
        say_text(f"Note: {warning}.")
    _show_cost(summary)
    if summary.lines["unknown"]:
        say_text("Next: automatum push resolve --events FILE settles unknown lines.")
    elif to_send:
        say_text(f"Next: the same command with --confirm sends them; with --plan {summary.plan.digest} only these.")
    elif sent and summary.lines["new"]:
        say_text("Next: run the same command again; it sends the rest.")


def _show_cost(summary: PushSummary) -> None:
    charged = money(summary.charged_by_currency)
    if forecast := summary.forecast:
        requests = plural(len(forecast.bodies), "request")
        say_text(f"Would charge {charged} in {requests}{_duration(forecast)}. Ledger: {summary.ledger}")
    else:
        tokens = f" and {summary.token_requests:,} for a token" if summary.token_requests else ""
        say_text(f"Charged {charged} in {plural(summary.requests, 'request')}{tokens}. Ledger: {summary.ledger}")


def money(amounts: Mapping[str, Decimal]) -> str:
    """Amounts by currency, such as `12.5 USD, 3 of unknown currency`."""
    return ", ".join(format_money(amount, currency) for currency, amount in amounts.items()) or "0"


def _duration(forecast: Forecast) -> str:
    """How long the rate limits make a push take, if that is worth saying."""
    minutes = round(forecast.seconds / 60)
    if not minutes:
        return ""
    time = plural(minutes, "minute") if minutes < 120 else plural(round(minutes / 60), "hour")
    return f", which takes about {time} at the rate limit"


def _counts(summary: PushSummary) -> TextTable:
    """Number and amount of the lines, by what became of them."""
    found, sent = summary.classification, summary.send_result
    table = TextTable("lines", "number", "amount")

    def count(name: str, lines: Sequence[Line]) -> None:
        if lines:
            # Amounts of several currencies have no sum.
            amounts = [
                format_decimal(amount) + ("" if currency == UNKNOWN_CURRENCY else f" {currency}")
                for currency, amount in summary.eligibility.charged_by_currency(lines).items()
            ]
            table.add(name, f"{len(lines):,}", "\n".join(amounts))

    if sent is None:
        count("to be sent", found.new)
        count("to be sent, planned before", [*found.again, *summary.plan.left_over])
        count("  of these late", found.late)
    else:
        count("accepted", sent.accepted)
        count("refused by the API", [line for line, _ in sent.rejected])
        count("in conflict with what the API has", [line for line, _ in sent.conflict])
        count("unknown: may have been taken", [line for line, _ in sent.unknown])
        left = summary.lines["new"]
        if left:
            table.add("not sent yet", f"{left:,}", "")
    count("on hold: not sent until you decide", summary.plan.lines_on_hold)
    count("accepted before", found.same)
    count("changed since accepted", _lines(found.changed))
    count("in conflict since before", _lines(found.conflict))
    count("unknown since before", _lines(found.unknown))
    count("refused before, unchanged", _lines(found.rejected))
    count("too late", [*found.expired, *summary.plan.too_late])
    count("zero, which the marketplace does not take", found.zero)
    count("written off", _lines(found.written_off))
    count("canceled", _lines(found.canceled))
    count("being sent by another push", _lines(found.sending))
    return table


def show_holds(holds: Sequence[Hold]) -> None:
    """Lines that are on hold, with the reasons, and the commands that release them."""
    number = len({hold.line.id for hold in holds})
    say_text(f"{plural(number, 'line')} on hold:" if holds else "No line is on hold.")
    show_list(
        [
            f"{hold.line.id} {hold.line.customer_id} {hold.line.dimension} {hold.line.starts_at:%Y-%m-%d %H:%M}, "
            f"{format_decimal(hold.line.units)} at {format_decimal(hold.line.price)}: {hold.reason}"
            for hold in holds
        ]
    )
    if holds:
        say_text("Correct the usage; or send a line with --allow LINE_ID or `automatum push plan keep LINE_ID`;")
        say_text("or withdraw it with `automatum push plan cancel LINE_ID`. `all` means all lines on hold.")


def show_retry(plan: RetryPlan) -> None:
    """What a retry would send, and what it leaves."""
    say_text(f"{plural(len(plan.to_send), 'line')} would be sent again.")
    show_list([_entry(entry) for entry in plan.to_send])
    _show_left(plan)


def show_retried(summary: PushSummary, plan: RetryPlan) -> None:
    """What a retry has sent, and what it left."""
    show_push(summary)
    _show_left(plan)


def _show_left(plan: RetryPlan) -> None:
    if plan.left:
        say_text(f"Left: {plural(len(plan.left), 'line')}.")
        show_list([f"{entry.line_id} {entry.state}: {reason}" for entry, reason in plan.left])


def _entry(entry: Entry) -> str:
    return (
        f"{entry.line_id} {entry.state}: {entry.customer_id} {entry.dimension} {entry.starts_at:%Y-%m-%d %H:%M}, "
        f"{format_decimal(entry.units)} at {format_decimal(entry.price)}" + (f": {entry.error}" if entry.error else "")
    )


def show_resolved(figures: Mapping[str, Any]) -> None:
    """Lines that events, or a person, have settled."""
    for name, words in (
        ("accepted", "taken by the API"),
        ("confirmed", "billed by the marketplace"),
        ("rejected", "refused"),
        ("planned", "not sent; the next push sends them"),
        ("written_off", "written off"),
        ("conflict", "both confirmed and failed, by their events"),
    ):
        if figures[name]:
            say_text(f"{plural(len(figures[name]), 'line')} {words}.")
    show_list([f"event {event['event']}: {event['reason']}" for event in figures["left"]])
    show_list([f"{line['line_id']}: {line['reason']}" for line in figures["refused"]])
    say_text(f"{plural(figures['lines']['unknown'], 'line')} still unknown.")


def show_export(loaded: Mapping[str, int]) -> None:
    """Rows loaded, by table."""
    table = TextTable("table", "rows")
    for name, rows in loaded.items():
        table.add(name, f"{rows:,}")
    table.show()


def _line(line: Line, summary: PushSummary) -> str:
    currency = summary.eligibility.currency(line)
    start = line.starts_at.strftime("%Y-%m-%d %H:%M" if line.grain == "hour" else "%Y-%m-%d")
    return (
        f"{start} {line.vendor} {line.customer_id} {line.listing_id} {line.dimension}: "
        f"{format_decimal(line.units)} at {format_decimal(line.price)} = {format_decimal(line.charged)}"
        + (f" {currency}" if currency else "")
    )


def _lines(matches: Iterable[LedgerMatch]) -> list[Line]:
    return [match.line for match in matches]


def _difference(match: LedgerMatch) -> str:
    from ..metering.classify import difference

    row = difference(match)
    return (
        f"{row['line_id']} {row['customer_id']} {row['dimension']} {row['starts_at']}: "
        f"accepted {row['accepted_units']} at {row['accepted_price']}, now {row['asked_units']} at {row['asked_price']}"
    )


def show_list(rows: Sequence[str]) -> None:
    """The first rows, indented, and how many more there are."""
    for row in rows[:MOST_SHOWN]:
        say_text(f"  {row}")
    if len(rows) > MOST_SHOWN:
        say_text(f"  and {len(rows) - MOST_SHOWN:,} more; --json lists all")
