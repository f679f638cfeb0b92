"""Refuses a push without a ledger: an empty one would bill everything again (I5)."""

from __future__ import annotations

import re
from pathlib import Path

from ...config.organizations import organization_names
from ...config.settings import AutomatumSettings
from ...core.clock import Clock
from ...core.errors import ConfigurationError
from .engines import KEY
from .ledger import Ledger
from .location import data_folders, ledger_key, ledger_owner, refuse_network
from .wal import locks_folder, noted_attempt

OPTION = "--new-ledger"
_ORGANIZATION = re.compile(r"-([a-z][a-z0-9_]{0,39})")


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
        used = any(ledger.counts().values())
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
            _use(others),
        )
    if others:
        raise ConfigurationError(
            OPTION, f"a new ledger at {location} would bill again what another has billed.{found}", _use(others)
        )


def lost_ledger(settings: AutomatumSettings, ledger: Ledger, *, named: bool) -> ConfigurationError | None:
    """Why a ledger that does not exist should; None if nothing says that there was one.

    Args:
        settings: Resolved settings.
        ledger: A ledger that does not exist.
        named: Whether the user has named it.
    """
    path = ledger.database.path
    noted = noted_attempt(path) if path else None
    if noted and path:
        return ConfigurationError(
            KEY,
            f"there was a ledger at {path}: the note in {locks_folder(path)} names the call {noted}.",
            "Restore it: `automatum push ledger restore`.",
        )
    others = other_ledgers(settings, ledger.location)
    if named or settings.ledger_url or others:
        found = f" Found instead: {', '.join(map(str, others))}." if others else ""
        return ConfigurationError(KEY, f"there is no ledger at {ledger.location}.{found}", _use(others))
    return None


def other_ledgers(settings: AutomatumSettings, location: str) -> list[Path]:
    """SQLite ledgers of the same API in the data folders, without those of other configured organizations.

    Args:
        settings: Resolved settings.
        location: The ledger in use, which is left out.
    """
    names = set(organization_names()) - {settings.organization}
    found = []
    for folder in data_folders():
        try:
            files = sorted(folder.glob("metering-*.sqlite"))
        except OSError:
            continue  # the folder of another user
        found += [
            file for file in files if str(file) != location and _is_of(file, ledger_key(settings.base_url), names)
        ]
    return found


def _is_of(file: Path, key: str, other_organizations: set[str]) -> bool:
    name = file.stem.removeprefix("metering-").lower().removesuffix("-443")
    rest = name.removeprefix(key)
    if rest == name:
        return False
    organization = _ORGANIZATION.fullmatch(rest)
    return not rest or bool(organization and organization[1] not in other_organizations)


def _use(others: list[Path]) -> str:
    if not others:
        return (
            "If usage was pushed before: find its ledger, and check ledger_url, --organization, base_url, the user and "
            f"HOME. If nothing was ever pushed: add {OPTION}."
        )
    return f"Use that ledger: as its user, with its organization's name, or with --ledger-url sqlite:///{others[0]}."
