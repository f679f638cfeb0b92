"""Scopes that a token has and this configuration does not use: the vendor asks to request no others."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.settings import AutomatumSettings
from ..endpoints import METERING_SCOPE, Endpoint
from ..metering.ledger.location import default_ledger_url, missing_file


def excess_scopes(
    granted: frozenset[str] | None, endpoints: Iterable[Endpoint], settings: AutomatumSettings
) -> tuple[str, ...]:
    """The scopes that nothing here uses (`api/authentication`: request only the scopes that you need), sorted.

    Args:
        granted: Scopes of the token; None if it does not say.
        endpoints: What this configuration reads.
        settings: Resolved settings. `write:metering` is in use if a ledger is configured, or exists where a push
            would begin one.
    """
    used = {one.scope for one in endpoints}
    if settings.ledger_url or missing_file(default_ledger_url(settings)) is None:
        used.add(METERING_SCOPE)
    return tuple(sorted((granted or frozenset()) - used))
