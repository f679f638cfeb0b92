"""The tables of an exported ledger: lines of usage, the calls that sent them, and the journal.

Units and prices have 12 decimal places. Amounts have 18: the rules allow 6 decimals of units times 12 of a price, and
20 digits before the decimal point.
"""

from __future__ import annotations

from .stored import StoredTable, read_columns
from .tables import LOAD

LINES = StoredTable(
    "metering_lines",
    "metering",
    "The lines of the push's ledger: usage of one dimension by one customer in one hour or on one day, "
    "and what became of it. Times are by the clock of the machine that pushes.",
    ("line_id",),
    (
        *read_columns("""
line_id text! Identifies the line: a UUID made from vendor, listing, customer, dimension, grain and start, and from
    `entitlement_id` and `carried_from` where the line has them.
vendor text The marketplace in lower case: `aws`, `azure`. Other values pass through.
listing_id text Automatum's id of the listing.
customer_id text>customers.id Automatum's id of the customer.
dimension text Key of the dimension in the listing, which the API calls `apiKey`.
entitlement_id text>entitlements.id Automatum's id of the entitlement that the usage names. Null if it names none.
grain text How long the line is: `hour` or `day`.
starts_at timestamp Start of the hour or day of use, in UTC.
day date UTC date of use. The API gets it as `reportingDate`.
currency text ISO code of the entitlement that the line is billed under. `unknown` if no synced one names it.
state text `sending`: in a call. `accepted`: the API has queued it. `confirmed`: the marketplace has billed it.
    `unbilled`: it was refused, or was too late to send. `conflict`: what was billed differs from the usage, or two
    answers contradict each other. `unknown`: nobody knows whether the API took it. `settled`: a person said what it
    came to, or other lines bill it.
why text Why the line is in its state: `rejected`, `expired`, `differs`, `refused by the marketplace`, `billed`,
    `never`, `carried`. Null if there is nothing to say.
error text The same in words, with the API's message. Null if nothing went wrong.
price decimal(12) Price of one unit that the latest usage has, in `currency`.
asked_units decimal(12) Quantity that the latest usage has, in units of the dimension.
accepted_units decimal(12) Quantity that the API took under the id of this line. Null if it took nothing.
accepted_price decimal(12) Price of one unit that the API took. Null if it took nothing.
carried_units decimal(12) Quantity that other lines bill in place of this one. 0 if none do.
open_units decimal(12) `asked_units` less `accepted_units` and `carried_units`. Negative: more was billed.
asked_amount decimal(18) `asked_units` times `price`, exact, in `currency`.
accepted_amount decimal(18) `accepted_units` times `accepted_price`, exact. Null if the API took nothing.
carried_amount decimal(18) Amount of the lines that bill `carried_units`.
open_amount decimal(18) `asked_amount` less `accepted_amount` and `carried_amount`.
carried_from text>metering_lines.line_id The line whose usage this line bills. Null if it bills usage of its own hour.
carry_number bigint 1 for the first line that is carried from another one, 2 for the second.
source text Name of the usage that asked for the line last: a file, a table, or what `--source` says.
title text Display name of the dimension, for the invoice. Null if the usage has none.
description text Text for the invoice. Null if the usage has none.
per text Name of one unit, such as `request`, for the invoice. Null if the usage has none.
attempts bigint Number of calls that have sent the line.
attempt_id text The last call that sent the line; with `line_id` the key of `metering_attempts`. Null if it was never
    sent.
settled_by text What gave the line its present state: `api` is an answer, `event` a webhook event, `hand` a person. Null
    while it is open.
first_seen_at timestamp When a push first recorded the line.
sent_at timestamp When the last call of the line began. Null if it was never sent.
settled_at timestamp When the line got its present state. Null while it is open.
"""),
        LOAD,
    ),
)

ATTEMPTS = StoredTable(
    "metering_attempts",
    "metering",
    "The calls of the push: one row for each line in each call to the API.",
    ("attempt_id", "line_id"),
    (
        *read_columns("""
attempt_id text! Identifies the call. The ids sort by the time at which the calls began.
line_id text>metering_lines.line_id! The line that was sent.
body_id text Id of the request body.
run_id text Identifies the run of the push that made the call.
started_at timestamp When the line was claimed for the call, before anything was sent.
ended_at timestamp When the outcome was known, or given up. Null while the call is under way.
state text What became of the line in this call: `sending`, `accepted`, `unbilled`, `conflict`, `unknown`, or
    `not_taken` (nothing was billed).
status_code bigint HTTP status of the answer. Null if there was none.
reference text Id that the API gave to the call. Null if it gave none.
response text What the API answered, without secrets, at most 2,000 characters. Null without an answer.
error text What went wrong, in words. Null if nothing did.
units decimal(12) Quantity of the line in this call, in units of the dimension.
price decimal(12) Price of one unit in this call. The API takes amounts without a currency: it is that of the line's
    `currency`.
amount decimal(18) `units` times `price`, exact, in the `currency` of the line.
confirmed_at timestamp When the ledger took the event that confirms the call. Null without one.
failed_at timestamp When the ledger took the event that says that the call failed. Null without one.
"""),
        LOAD,
    ),
)

JOURNAL = StoredTable(
    "metering_journal",
    "metering",
    "What happened besides calls: pushes, refused usage, events of the vendor, and decisions of people.",
    ("item_id",),
    (
        *read_columns("""
item_id text! Identifies the item. The ids sort by time.
kind text `run`: a push. `refusal`: rows that were refused. `source`: usage of a line that a second source holds.
    `event`: an event of the vendor. `decision`: a decision of a person.
subject text What it is about: the id of a line or of refused rows, the name of a source, the key of an event.
source text Name of the usage. Null if it is about none.
reason text What happened, in words.
data text Further facts as a JSON object: the refused rows, or a line before and after a decision.
recorded_by text User, or `api`.
recorded_at timestamp When it was recorded.
closed_at timestamp When it was settled. Null: it is open, and keeps exit code 65.
closed_by text `push`, `event`, or a user. Null while it is open.
closed_reason text Why it is closed. Null while it is open.
"""),
        LOAD,
    ),
)

METERING_TABLES = (LINES, ATTEMPTS, JOURNAL)
