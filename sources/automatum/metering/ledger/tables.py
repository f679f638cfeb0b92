"""The ledger's tables, the same in SQLite and Postgres."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Date, Dialect, Index, Integer, MetaData, String, Table, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeEngine

from ...core.text import printable

VERSION = 5
"""Version of the tables. A ledger of an earlier version gets the tables and columns that it lacks when it is opened. A
new column must be nullable. On Postgres a text column that has become longer is widened."""
FIRST_TABLES = frozenset({"metering_schema", "metering_lines", "metering_attempts", "metering_events"})
"""Tables of version 1."""
LONGEST = 2000
"""Longest response or error that is stored, in characters."""


class Exact(TypeDecorator[Decimal]):
    """A decimal as text, with exactly its digits, because SQLite's numbers are binary."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Decimal to text without exponent."""
        return None if value is None else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Text to Decimal."""
        return None if value is None else Decimal(value)


class Moment(TypeDecorator[datetime]):
    """A UTC timestamp: `timestamptz` in Postgres, ISO text of constant width in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type where it has one."""
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Aware datetime to what the database holds."""
        if value is None:
            return None
        utc = value.astimezone(timezone.utc)
        return utc if dialect.name == "postgresql" else utc.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """What the database holds to a datetime in UTC."""
        if value is None:
            return None
        return (value if isinstance(value, datetime) else datetime.fromisoformat(value)).astimezone(timezone.utc)


class Printable(TypeDecorator[str]):
    r"""Text without control characters, which are stored as escapes such as `\x1b`: Postgres takes no NUL."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Text to text that every database takes."""
        return None if value is None else printable(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Text as it is."""
        return None if value is None else str(value)


METADATA = MetaData()

SCHEMA = Table(
    "metering_schema",
    METADATA,
    Column("version", Integer, primary_key=True),
    Column("created_at", Moment, nullable=False),
)

IDENTITY = Table(
    "metering_identity",
    METADATA,
    Column("ledger_id", String(36), primary_key=True),
    Column("api", Text),
    Column("organization", Text),
    Column("machine", Text),
    # Of a SQLite file: a copy has another inode.
    Column("inode", Text),
    Column("path", Text),
    Column("moved_to", Text),
    Column("copied_from", Text),
    Column("begun_at", Moment, nullable=False),
)

LINES = Table(
    "metering_lines",
    METADATA,
    Column("line_id", Printable(36), primary_key=True),
    Column("vendor", Printable, nullable=False),
    Column("listing_id", Printable, nullable=False),
    Column("customer_id", Printable, nullable=False),
    Column("dimension", Printable, nullable=False),
    Column("grain", String(4), nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("day", Date, nullable=False),
    # Key and date without the grain: the same for a day and its hours.
    Column("date_key", String(36), nullable=False),
    # The payload that was sent, or will be.
    Column("units", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("charged", Exact, nullable=False),
    Column("title", Text),
    Column("description", Text),
    Column("per", Text),
    Column("payload_hash", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("body_id", Printable),
    Column("attempt_id", String(36)),  # the last one
    Column("attempts", Integer, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("planned_at", Moment),
    Column("sending_at", Moment),
    Column("settled_at", Moment),
    Column("settled_by", String(5)),  # api, event, hand
    Column("response", Printable),
    Column("error", Printable),
    Column("accepted_units", Exact),
    Column("accepted_price", Exact),
    Column("accepted_hash", String(64)),
    # The payload that a later push asked for, after another was accepted.
    Column("asked_units", Exact),
    Column("asked_price", Exact),
    Column("asked_hash", String(64)),
    Column("entitlement_id", Printable),
    # Of a line that bills the late usage of another line: the id of that line, and 1, 2, ...
    Column("carried_from", String(36)),
    Column("carry_number", Integer),
    # Of a line whose late usage other lines bill: how much of it.
    Column("carried_units", Exact),
    # With the id: without it SQLite would scan all lines of a state for the few of a body.
    Index("metering_lines_state", "state", "line_id"),
    # With the state, too: with the date key alone, SQLite would read all lines of a state instead.
    Index("metering_lines_date_key_state", "date_key", "state"),
    Index("metering_lines_state_start", "state", "starts_at"),
)

ATTEMPTS = Table(
    "metering_attempts",
    METADATA,
    Column("attempt_id", String(36), primary_key=True),
    Column("line_id", Printable(36), primary_key=True),
    Column("body_id", Printable, nullable=False),
    Column("run_id", String(36), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("state", String(9), nullable=False),  # sending, accepted, rejected, unknown, not_taken, conflict
    Column("status_code", Integer),
    Column("reference", Printable),  # the id that the API gave
    Column("response", Printable),
    Column("error", Printable),
    Column("units", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("charged", Exact, nullable=False),
    Index("metering_attempts_state", "state", "run_id"),
    Index("metering_attempts_line", "line_id"),
    Index("metering_attempts_reference", "reference"),
)

EVENTS = Table(
    "metering_events",
    METADATA,
    # The event's id or hash; one row for each line that it settles.
    Column("event_key", Printable(128), primary_key=True),
    Column("attempt_id", String(36), primary_key=True),
    Column("line_id", Printable(36), primary_key=True),
    # The API's id of the call, or the event's key.
    Column("call_key", Printable, nullable=False),
    Column("event", Printable, nullable=False),
    Column("taken_at", Moment, nullable=False),
    Index("metering_events_call", "call_key"),
    Index("metering_events_attempt", "attempt_id"),
)

DECISIONS = Table(
    "metering_decisions",
    METADATA,
    # One id for all subjects of one command; the ids sort by time.
    Column("decision_id", String(36), primary_key=True),
    # Id of the line, of the refusal, or of the silent key.
    Column("subject_id", Printable(36), primary_key=True),
    Column("subject", String(16), nullable=False),  # line, refusal, silence
    Column("decision", String(16), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", Printable),
    Column("decided_by", Printable),
    Column("decided_at", Moment, nullable=False),
    # Number of attempts of the line at that time: more of them mean that it was sent since.
    Column("attempts", Integer),
    # The line, and its last attempt, as they were before, as JSON.
    Column("snapshot", Text),
    Column("undone_at", Moment),
    Column("undone_by", Printable),
    Index("metering_decisions_subject", "subject_id"),
)

REFUSALS = Table(
    "metering_refusals",
    METADATA,
    # The id of the line that the refused rows belong to; where their key cannot be read, a hash of what can be.
    Column("refusal_id", String(36), primary_key=True),
    Column("line_id", Printable(36)),
    Column("vendor", Printable),
    Column("listing_id", Printable),
    Column("customer_id", Printable),
    Column("dimension", Printable),
    Column("grain", String(4)),
    Column("starts_at", Moment),
    # As the source had them, so they may be no numbers.
    Column("units", Printable),
    Column("price", Printable),
    Column("reason", Printable, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("closed_by", String(5)),  # push, hand
    Index("metering_refusals_closed", "closed_at"),
)

HOLDS = Table(
    "metering_holds",
    METADATA,
    # Why a planned line is not sent; one row for each reason. Without a release it is open.
    Column("line_id", Printable(36), primary_key=True),
    Column("kind", String(16), primary_key=True),
    # A release counts for this payload only.
    Column("payload_hash", String(64), nullable=False),
    Column("reason", Printable, nullable=False),
    Column("since_at", Moment, nullable=False),
    Column("released_at", Moment),
    Column("released_by", Printable),
)

SOURCES = Table(
    "metering_sources",
    METADATA,
    # What each source of usage said of a line.
    Column("line_id", Printable(36), primary_key=True),
    Column("source", Printable, primary_key=True),
    Column("units", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

PLANS = Table(
    "metering_plans",
    METADATA,
    # The lines of each push, by the digest that its dry run prints.
    Column("plan", Printable(64), primary_key=True),
    Column("line_id", Printable(36), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("planned_at", Moment, nullable=False),
    Index("metering_plans_line", "line_id"),
)
