"""Refuses a push without a ledger: an empty one would bill everything again (I5)."""

from __future__ import annotations

from ...config.settings import AutomatumSettings
from ...core.clock import Clock
from ...core.errors import ConfigurationError
from .ledger import Ledger
from .location import KEY, ledger_owner, refuse_network
from .missing import OPTION, advice, other_ledgers
from .wal import locks_folder, noted_attempt


def require_ledger(settings: AutomatumSettings, url: str, clock: Clock, *, new: bool = False) -> None:
    """Check that a ledger exists before usage is sent; or that one may be begun, if the user says that there was none.

    Args:
        settings: Resolved settings.
        url: Database of the ledger, from `find_ledger`.
        clock: Time.
        new: The push shall begin a ledger. Only the first push of all may do so. A ledger without a line counts as not
            begun.

    Raises:
        ConfigurationError: There is no ledger; or one shall be begun where there is one, or beside another ledger of
            this API.
        DestinationError: The ledger's database cannot be reached.
    """
    refuse_network(url)
    with Ledger.open(url, clock, create=False, owner=ledger_owner(settings)) as ledger:
        exists, location, path = ledger.exists, ledger.location, ledger.database.path
        used = any(ledger.reader.counts().values())
    if used and new:
        raise ConfigurationError(
            OPTION,
            f"there is a ledger at {location} already.",
            f"Leave out {OPTION}: it is for the first push only. A command that always has it would begin a new ledger "
            "where the old one is lost, and bill everything again.",
        )
    if exists:
        return
    if new and path and (noted := noted_attempt(path)):
        raise ConfigurationError(
            OPTION,
            f"there was a ledger at {path}: the note in {locks_folder(path)} names the call {noted}.",
            "Restore it: `automatum push ledger restore`. If certainly nothing was billed, remove that folder.",
        )
    others = other_ledgers(settings, location)
    found = f" Found instead: {', '.join(map(str, others))}." if others else ""
    if not new:
        raise ConfigurationError(
            KEY,
            f"there is no ledger at {location}, so this push cannot know what was billed before.{found}",
            advice(others),
        )
    if others:
        raise ConfigurationError(
            OPTION, f"a new ledger at {location} would bill again what another has billed.{found}", advice(others)
        )
