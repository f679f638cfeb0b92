"""What waits for a person in the ledgers of the push, so that one status shows all of it (I5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config.organizations import organization_names
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.clock import Clock, utc
from ..core.errors import AutomatumError
from ..metering.ledger.location import find_ledger, ledger_owner
from ..metering.ledger.missing import lost_ledger, missing_file


def ledgers_unresolved(clock: Clock) -> list[dict[str, Any]]:
    """The ledgers of the configured organizations; empty if nothing was pushed from here.

    Each row has `organization` (null if only one is configured), `ledger`, `unresolved` (number of lines, refusals and
    silent keys by kind), and `error`: why the ledger cannot be used, or null.

    Args:
        clock: Time.
    """
    rows = []
    for name in organization_names() or (None,):
        row: dict[str, Any] = {"organization": name, "ledger": None, "unresolved": {}, "error": None}
        try:
            row |= _unresolved(name, clock)
        except AutomatumError as error:
            row["error"] = f"{error.message} {error.next_step}".strip()
        if row["ledger"] or row["error"]:
            rows.append(row)
    return rows


def _unresolved(organization: str | None, clock: Clock) -> dict[str, Any]:
    settings = resolve_settings(with_credentials=False, organization=organization)
    url = find_ledger(settings, None)
    if path := missing_file(url):
        return _without_ledger(settings, str(path), path)
    from ..metering.checks import silence_of
    from ..metering.ledger.ledger import Ledger  # SQLAlchemy, only where there is a ledger.
    from ..metering.ledger_status import read_status

    with Ledger.open(url, clock, create=False, owner=ledger_owner(settings)) as ledger:
        if not ledger.exists:
            return _without_ledger(settings, ledger.location, ledger.database.path)
        status = read_status(ledger, utc(clock.time()), silence=silence_of(settings))
        return {"ledger": ledger.location, "unresolved": status.unresolved}


def _without_ledger(settings: AutomatumSettings, location: str, path: Path | None) -> dict[str, Any]:
    # A setting that names a ledger before the first push is no trouble here: `push status` says so.
    problem = lost_ledger(settings, location, path, named=False) if not settings.ledger_url else None
    return {"error": problem.message if problem else None}
