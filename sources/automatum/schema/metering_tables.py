"""The tables of an exported ledger: lines of usage, the calls that sent them, and the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .stored import Reference, StoredColumn, StoredTable, StoredType
from .tables import LOAD

_MONEY = 12
"""Decimal places of units and prices."""
_AMOUNT = 18
"""The rules allow 6 decimals of units times 12 of a price, and 20 digits before the decimal point."""
_CURRENCY = "The API takes amounts without a currency: it is that of the line's `currency`."


def _text(name: str, description: str, reference: Reference | None = None) -> StoredColumn:
    return StoredColumn(name, "text", description, reference=reference)


def _moment(name: str, description: str) -> StoredColumn:
    return StoredColumn(name, "timestamp", description)


def _number(name: str, description: str, type_: StoredType = "decimal", scale: int = _MONEY) -> StoredColumn:
    return StoredColumn(name, type_, description, scale=scale)


def _amount(name: str, description: str) -> StoredColumn:
    return _number(name, description, scale=_AMOUNT)


def _with_key(columns: tuple[StoredColumn, ...], key: tuple[str, ...]) -> Iterator[StoredColumn]:
    """The columns, of which those of the key are not null, and the load that wrote the row."""
    yield from (replace(column, nullable=column.name not in key) for column in columns)
    yield LOAD


_LINE = Reference("metering_lines", "line_id")
_LINES_KEY = ("line_id",)
_LINES = (
    _text(
        "line_id",
        "Identifies the line: a UUID made from vendor, listing, customer, dimension, grain and start, and from "
        "`entitlement_id` and `carried_from` where the line has them.",
    ),
    _text("vendor", "The marketplace in lower case: `aws`, `azure`. Other values pass through."),
    _text("listing_id", "Automatum's id of the listing."),
    _text("customer_id", "Automatum's id of the customer.", Reference("customers", "id")),
    _text("dimension", "Key of the dimension in the listing, which the API calls `apiKey`."),
    _text(
        "entitlement_id",
        "Automatum's id of the entitlement that the usage names. Null if it names none.",
        Reference("entitlements", "id"),
    ),
    _text("grain", "How long the line is: `hour` or `day`."),
    _moment("starts_at", "Start of the hour or day of use, in UTC."),
    StoredColumn("day", "date", "UTC date of use. The API gets it as `reportingDate`."),
    _text(
        "currency", "ISO code of the entitlement that the line is billed under. `unknown` if no synced one names it."
    ),
    _text(
        "state",
        "`sending`: in a call. `accepted`: the API has queued it. `confirmed`: the marketplace has billed it. "
        "`unbilled`: it was refused, or was too late to send. `conflict`: what was billed differs from the usage, or "
        "two answers contradict each other. `unknown`: nobody knows whether the API took it. `settled`: a person said "
        "what it came to, or other lines bill it.",
    ),
    _text(
        "why",
        "Why the line is in its state: `rejected`, `expired`, `differs`, `refused by the marketplace`, `billed`, "
        "`never`, `carried`. Null if there is nothing to say.",
    ),
    _text("error", "The same in words, with the API's message. Null if nothing went wrong."),
    _number("price", "Price of one unit that the latest usage has, in `currency`."),
    _number("asked_units", "Quantity that the latest usage has, in units of the dimension."),
    _number("accepted_units", "Quantity that the API took under the id of this line. Null if it took nothing."),
    _number("accepted_price", "Price of one unit that the API took. Null if it took nothing."),
    _number("carried_units", "Quantity that other lines bill in place of this one. 0 if none do."),
    _number("open_units", "`asked_units` less `accepted_units` and `carried_units`. Negative: more was billed."),
    _amount("asked_amount", "`asked_units` times `price`, exact, in `currency`."),
    _amount("accepted_amount", "`accepted_units` times `accepted_price`, exact. Null if the API took nothing."),
    _amount("carried_amount", "Amount of the lines that bill `carried_units`."),
    _amount("open_amount", "`asked_amount` less `accepted_amount` and `carried_amount`."),
    _text("carried_from", "The line whose usage this line bills. Null if it bills usage of its own hour.", _LINE),
    _number("carry_number", "1 for the first line that is carried from another one, 2 for the second.", "bigint"),
    _text("source", "Name of the usage that asked for the line last: a file, a table, or what `--source` says."),
    _text("title", "Display name of the dimension, for the invoice. Null if the usage has none."),
    _text("description", "Text for the invoice. Null if the usage has none."),
    _text("per", "Name of one unit, such as `request`, for the invoice. Null if the usage has none."),
    _number("attempts", "Number of calls that have sent the line.", "bigint"),
    _text(
        "attempt_id",
        "The last call that sent the line; with `line_id` the key of `metering_attempts`. Null if it was never sent.",
    ),
    _text(
        "settled_by",
        "What gave the line its present state: `api` is an answer, `event` a webhook event, `hand` a person. Null "
        "while it is open.",
    ),
    _moment("first_seen_at", "When a push first recorded the line."),
    _moment("sent_at", "When the last call of the line began. Null if it was never sent."),
    _moment("settled_at", "When the line got its present state. Null while it is open."),
)
LINES = StoredTable(
    "metering_lines",
    "metering",
    "The lines of the push's ledger: usage of one dimension by one customer in one hour or on one day, and what became "
    "of it. Times are by the clock of the machine that pushes.",
    _LINES_KEY,
    tuple(_with_key(_LINES, _LINES_KEY)),
)

_ATTEMPTS_KEY = ("attempt_id", "line_id")
_ATTEMPTS = (
    _text("attempt_id", "Identifies the call. The ids sort by the time at which the calls began."),
    _text("line_id", "The line that was sent.", _LINE),
    _text("body_id", "Id of the request body."),
    _text("run_id", "Identifies the run of the push that made the call."),
    _moment("started_at", "When the line was claimed for the call, before anything was sent."),
    _moment("ended_at", "When the outcome was known, or given up. Null while the call is under way."),
    _text(
        "state",
        "What became of the line in this call: `sending`, `accepted`, `unbilled`, `conflict`, `unknown`, or "
        "`not_taken` (nothing was billed).",
    ),
    _number("status_code", "HTTP status of the answer. Null if there was none.", "bigint"),
    _text("reference", "Id that the API gave to the call. Null if it gave none."),
    _text("response", "What the API answered, without secrets, at most 2,000 characters. Null without an answer."),
    _text("error", "What went wrong, in words. Null if nothing did."),
    _number("units", "Quantity of the line in this call, in units of the dimension."),
    _number("price", f"Price of one unit in this call. {_CURRENCY}"),
    _amount("amount", "`units` times `price`, exact, in the `currency` of the line."),
    _moment("confirmed_at", "When the ledger took the event that confirms the call. Null without one."),
    _moment("failed_at", "When the ledger took the event that says that the call failed. Null without one."),
)
ATTEMPTS = StoredTable(
    "metering_attempts",
    "metering",
    "The calls of the push: one row for each line in each call to the API.",
    _ATTEMPTS_KEY,
    tuple(_with_key(_ATTEMPTS, _ATTEMPTS_KEY)),
)

_JOURNAL_KEY = ("item_id",)
_JOURNAL = (
    _text("item_id", "Identifies the item. The ids sort by time."),
    _text(
        "kind",
        "`run`: a push. `refusal`: rows that were refused. `source`: usage of a line that a second source holds. "
        "`event`: an event of the vendor. `decision`: a decision of a person.",
    ),
    _text(
        "subject", "What it is about: the id of a line or of refused rows, the name of a source, the key of an event."
    ),
    _text("source", "Name of the usage. Null if it is about none."),
    _text("reason", "What happened, in words."),
    _text("data", "Further facts as a JSON object: the refused rows, or a line before and after a decision."),
    _text("recorded_by", "User, or `api`."),
    _moment("recorded_at", "When it was recorded."),
    _moment("closed_at", "When it was settled. Null: it is open, and keeps exit code 65."),
    _text("closed_by", "`push`, `event`, or a user. Null while it is open."),
    _text("closed_reason", "Why it is closed. Null while it is open."),
)
JOURNAL = StoredTable(
    "metering_journal",
    "metering",
    "What happened besides calls: pushes, refused usage, events of the vendor, and decisions of people.",
    _JOURNAL_KEY,
    tuple(_with_key(_JOURNAL, _JOURNAL_KEY)),
)

METERING_TABLES = (LINES, ATTEMPTS, JOURNAL)
