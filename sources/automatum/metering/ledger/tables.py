"""The ledger's tables, the same in SQLite and Postgres: what it is, lines, calls, and a journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Column, Dialect, Index, Integer, MetaData, String, Table, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeEngine

from ...core.redaction import redact
from ...core.text import printable

VERSION = 6
"""Version of the tables. Those before it were never released, and are refused."""
LONGEST = 2000
"""Longest response, error or reason that is stored, in characters."""

_Item = TypeVar("_Item")


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


METADATA = MetaData()

META = Table(
    "metering_schema",  # The name of version 1, so that every earlier release reads the version and refuses the ledger.
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("created_at", Moment, nullable=False),
    Column("ledger_id", String(36), nullable=False),
    Column("api", Text),
    Column("organization", Text),
    Column("machine", Text),
    # Where it is: the inode of a SQLite file, or the ids of a Postgres database. A copy has others.
    Column("place", Text),
    Column("path", Text),
    Column("copied_from", Text),
)

LINES = Table(
    "metering_lines",
    METADATA,
    Column("line_id", String(36), primary_key=True),
    Column("vendor", Printable, nullable=False),
    Column("listing_id", Printable, nullable=False),
    Column("customer_id", Printable, nullable=False),
    Column("dimension", Printable, nullable=False),
    Column("entitlement_id", Printable),
    Column("grain", String(4), nullable=False),
    Column("starts_at", Moment, nullable=False),
    # Key and date without grain and entitlement: lines that overlap have the same.
    Column("date_key", String(36), nullable=False),
    # Of a line that bills the usage of another line: the id of that line, and 1, 2, ...
    Column("carried_from", String(36)),
    Column("carry_number", Integer, nullable=False),
    Column("asked_units", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("currency", Printable, nullable=False),
    Column("title", Text),
    Column("description", Text),
    Column("per", Text),
    Column("state", String(16), nullable=False),
    Column("why", Printable, nullable=False),
    Column("error", Printable, nullable=False),
    Column("accepted_units", Exact),
    Column("accepted_price", Exact),
    Column("source", Printable, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempt_id", String(36)),  # the last one
    Column("settled_by", String(5), nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("settled_at", Moment),
    # With the id: without it SQLite would scan all lines of a state for the few of a body.
    Index("metering_lines_by_state", "state", "line_id"),
    Index("metering_lines_by_date_key", "date_key"),
    Index("metering_lines_by_start", "starts_at"),
    Index("metering_lines_by_parent", "carried_from"),
)

ATTEMPTS = Table(
    "metering_attempts",
    METADATA,
    Column("attempt_id", String(36), primary_key=True),
    Column("line_id", String(36), primary_key=True),
    Column("body_id", Printable, nullable=False),
    Column("run_id", String(36), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("state", String(9), nullable=False),  # sending, accepted, unbilled, unknown, conflict, not_taken
    Column("status_code", Integer),
    Column("reference", Printable),  # the id that the API gave to the call
    Column("response", Printable),
    Column("error", Printable),
    Column("units", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    # Why the line was unbilled before the call, and the text for people; null of a new line.
    Column("before", Printable),
    Column("before_error", Printable),
    # Times of the vendor's events about the call.
    Column("confirmed_at", Moment),
    Column("failed_at", Moment),
    Index("metering_attempts_by_state", "state", "run_id"),
    Index("metering_attempts_by_line", "line_id"),
    Index("metering_attempts_by_reference", "reference"),
)

JOURNAL = Table(
    "metering_journal",
    METADATA,
    Column("item_id", String(36), primary_key=True),  # The ids sort by time.
    Column("kind", String(8), nullable=False),
    Column("subject", Printable, nullable=False),
    Column("source", Printable, nullable=False),
    Column("reason", Printable, nullable=False),
    Column("data", Text, nullable=False),  # JSON
    Column("line_ids", Text),  # of a run: what it has to send, compressed
    Column("recorded_by", Printable, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("closed_by", Printable, nullable=False),
    Column("closed_reason", Printable, nullable=False),
    Index("metering_journal_by_kind", "kind", "closed_at"),
    Index("metering_journal_by_subject", "subject"),
)

CONTENT = (LINES, ATTEMPTS, JOURNAL)
"""The tables that a copy of the ledger must hold row for row."""


def batches(items: Sequence[_Item], size: int = 500) -> Iterator[Sequence[_Item]]:
    """Slices of at most `size` items: older builds of SQLite take at most 999 parameters in a statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def shorten(text: str | None) -> str | None:
    """A text for the ledger: redacted, and not longer than `LONGEST`."""
    return redact(text)[:LONGEST] if text else None
