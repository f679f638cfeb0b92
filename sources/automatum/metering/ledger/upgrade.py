"""Upgrades ledgers of earlier versions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

EARLIER_TABLES = frozenset({"metering_schema", "metering_lines", "metering_attempts", "metering_events"})


def upgrade(connection: Connection, path: Path | None, now: datetime) -> None:
    raise NotImplementedError
