"""The tables of an exported ledger: lines of usage, the calls that sent them, and the events that settled them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .stored import Reference, StoredColumn, StoredTable, StoredType
from .tables import LOAD

_MONEY = 12
"""Decimal places of units and prices."""
_CHARGED = 18
"""The rules allow 6 decimals of units times 12 of a price, and 20 digits before the decimal point."""
_CURRENCY = (
    "The API takes amounts without a currency: it is that of the contract, such as `currency` in `entitlements`."
)


def _text(name: str, description: str, reference: Reference | None = None) -> StoredColumn:
    return StoredColumn(name, "text", description, reference=reference)


def _moment(name: str, description: str) -> StoredColumn:
    return StoredColumn(name, "timestamp", description)


def _number(name: str, description: str, type_: StoredType = "decimal", scale: int = _MONEY) -> StoredColumn:
    return StoredColumn(name, type_, description, scale=scale)


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
    _text("grain", "How long the line is: `hour` or `day`."),
    _moment("starts_at", "Start of the hour or day of use, in UTC."),
    StoredColumn("day", "date", "UTC date of use. The API gets it as `reportingDate`."),
    _number("units", "Quantity that was sent last, or will be sent, in units of the dimension. Never negative."),
    _number("price", f"Price of one unit that belongs to `units`. {_CURRENCY}"),
    _number("charged", "Amount of the line: `units` times `price`, exact, in the currency of `price`.", scale=_CHARGED),
    _text("title", "Display name of the dimension, for the invoice. Null if the usage has none."),
    _text("description", "Text for the invoice. Null if the usage has none."),
    _text("per", "Name of one unit, such as `request`, for the invoice. Null if the usage has none."),
    _text("payload_hash", "SHA-256 of `units` and `price`."),
    _text(
        "state",
        "`planned`: not sent yet. `sending`: in a call. `accepted`: the API has queued it. `confirmed`: the "
        "marketplace has billed it. `rejected`: it was refused. `expired`: it was too late to send. `conflict`: what "
        "was billed differs from the usage, or two answers contradict each other. `unknown`: nobody knows whether the "
        "API took it. `writeoff`: a person said that it need not be billed. `canceled`: a person withdrew it before it "
        "was sent. `carried`: other lines bill its usage.",
    ),
    _text("body_id", "Id of the last request body with the line. Null if it was never sent."),
    _text(
        "attempt_id",
        "The last call that sent the line; with `line_id` the key of `metering_attempts`. Null if it was never sent.",
    ),
    _number("attempts", "Number of calls that have sent the line.", "bigint"),
    _moment("first_seen_at", "When a push first read usage of the line."),
    _moment("planned_at", "When the line was last planned. Null if it never was."),
    _moment("sending_at", "When the last call of the line began. Null if it was never sent."),
    _moment("settled_at", "When the line got its present state. Null while it is planned or being sent."),
    _text(
        "settled_by",
        "What gave the line its present state: `api` is an answer, `event` a webhook event, `hand` a person. Null if "
        "it is not settled, or if a push found it too late or in conflict.",
    ),
    _text(
        "response",
        "What the API answered to the last call, without secrets, at most 2,000 characters. Of an acceptance: its id, "
        "status, message and time. Null without an answer.",
    ),
    _text("error", "Why the line is in its state, in words. Null if nothing went wrong."),
    _number("accepted_units", "Quantity that the API accepted. Null if it accepted nothing."),
    _number("accepted_price", "Price of one unit that the API accepted. Null if it accepted nothing."),
    _text("accepted_hash", "SHA-256 of the accepted units and price. Null if the API accepted nothing."),
    _number("asked_units", "Quantity that later usage has, where another one was accepted. Null if none differs."),
    _number("asked_price", "Price of one unit that later usage has. Null if `asked_units` is."),
    _text("asked_hash", "SHA-256 of the units and the price that later usage has. Null if `asked_units` is."),
    _text(
        "entitlement_id",
        "Automatum's id of the entitlement that the usage names. Null if it names none.",
        Reference("entitlements", "id"),
    ),
    _text(
        "carried_from",
        "The line whose late usage this line bills. Null if it bills usage of its own hour or day.",
        _LINE,
    ),
    _number("carry_number", "1 for the first line that is carried from another line, 2 for the second.", "bigint"),
    _number("carried_units", "Part of `asked_units` that other lines bill in place of this line. Null if none do."),
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
        "What became of the line in this call: `sending`, `accepted`, `rejected`, `conflict`, `unknown`, or "
        "`not_taken` (nothing was billed).",
    ),
    _number("status_code", "HTTP status of the answer. Null if there was none.", "bigint"),
    _text("reference", "Id that the API gave to the call. Null if it gave none."),
    _text(
        "response",
        "What the API answered, without secrets, at most 2,000 characters. Of an acceptance: its id, status, message "
        "and time. Null without an answer.",
    ),
    _text("error", "What went wrong, in words. Null if nothing did."),
    _number("units", "Quantity of the line in this call, in units of the dimension."),
    _number("price", f"Price of one unit in this call. {_CURRENCY}"),
    _number("charged", "`units` times `price`, exact, in the currency of `price`.", scale=_CHARGED),
)
ATTEMPTS = StoredTable(
    "metering_attempts",
    "metering",
    "The calls of the push: one row for each line in each call to the API.",
    _ATTEMPTS_KEY,
    tuple(_with_key(_ATTEMPTS, _ATTEMPTS_KEY)),
)

_EVENTS_KEY = ("event_key", "attempt_id", "line_id")
_EVENTS = (
    _text("event_key", "Identifies the event: its kind, with its id or with a hash of its content."),
    _text("attempt_id", "The call that the event is about; with `line_id` the key of `metering_attempts`."),
    _text("line_id", "The line that the event settled.", _LINE),
    _text("call_key", "`call:` and the API's id of the call; `event:` and `event_key` if the event names no call."),
    _text("event", "What the event says of the call: `submitted`, `confirmed` or `failed`."),
    _moment("taken_at", "When the ledger took the event."),
)
EVENTS = StoredTable(
    "metering_events",
    "metering",
    "The `metering.*` webhook events that have settled lines: one row for each event and line.",
    _EVENTS_KEY,
    tuple(_with_key(_EVENTS, _EVENTS_KEY)),
)

METERING_TABLES = (LINES, ATTEMPTS, EVENTS)
