"""Values as destinations return them: some as what was written, others as texts."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import orjson


def as_utc(value: Any) -> datetime:
    """A timestamp of the destination, with a time zone. Some destinations omit it; the connector writes UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def json_object(value: Any) -> dict[str, Any]:
    """The value of a JSON column, which some destinations return parsed and others as text; empty for anything else."""
    try:
        parsed = orjson.loads(value) if isinstance(value, (str, bytes)) else value
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
