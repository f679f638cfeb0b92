"""What waits for a person in the ledgers of the push, so that one status shows all of it (I5)."""

from __future__ import annotations

from typing import Any

from ..config.organizations import organization_names
from ..config.settings import resolve_settings
from ..core.clock import Clock
from ..core.errors import AutomatumError
from ..metering.status import status_of


def ledgers_unresolved(clock: Clock) -> list[dict[str, Any]]:
    """The ledgers of the configured organizations; empty if nothing was pushed from here.

    Each row has `organization` (null if only one is configured), `ledger`, `unresolved` (number of lines and
    other items by kind), and `error`: why the ledger cannot be used, or null.

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
    # A setting that names a ledger before the first push is no trouble here: `push status` says so.
    status = status_of(settings, clock, named=False)
    return {"ledger": status.ledger, "unresolved": status.unresolved} if status.exists else {}
