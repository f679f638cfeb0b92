"""The options of `automatum push`, and how their texts are read."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import AutomatumError, ConfigurationError
from .options import open_existing

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from ..metering.eligibility import Eligibility
    from ..warehouse.target import Target

Usage = Annotated[
    str | None, typer.Option(help="A .csv or .parquet file, the name of a table or view, or 'sql:SELECT ...'.")
]
GrainName = Annotated[str, typer.Option("--grain", help="Sum by the hour or by the day: hour, day.")]
Mapping = Annotated[
    list[str] | None,
    typer.Option("--map", help="Name of a column in the usage, where it differs: --map units=quantity. Repeatable."),
]
LedgerUrl = Annotated[
    str | None,
    typer.Option(
        help="Database of the ledger, which records what was sent: sqlite:////path or postgresql://... "
        "Default: the setting ledger_url, or a file in your data folder. `ps` shows its password to other users: "
        "prefer the setting."
    ),
]
LateOk = Annotated[
    bool,
    typer.Option("--late-ok", help="Also send what is past the strictest deadline, up to the documented one."),
]
Unchecked = Annotated[
    bool, typer.Option("--unchecked", help="Do not check against the synced customers and entitlements.")
]
Confirm = Annotated[bool, typer.Option("--confirm", help="Send. Without it nothing is sent and nothing is written.")]
NewLedger = Annotated[
    bool, typer.Option("--new-ledger", help="Begin a ledger: for the very first push only. Refused if one is there.")
]
SendPartial = Annotated[
    bool,
    typer.Option("--send-partial", help="Also send lines of which a row was refused. A sum cannot be raised later."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="Send a line though it is on hold: its id, or 'all' for all of this usage. Repeatable."),
]
MaxAmount = Annotated[
    str | None, typer.Option(help="Send nothing if the lines cost more than this, in each currency. Example: 5000.")
]
MaxLines = Annotated[int | None, typer.Option(help="Send nothing if there are more lines.")]
Source = Annotated[
    str | None,
    typer.Option(help="Name of the usage, if its file has another name each time. Default: the file or table."),
]
PlanDigest = Annotated[
    str | None,
    typer.Option("--plan", help="Digest of an approved dry run: send its lines, and nothing if they have changed."),
]
Reason = Annotated[str, typer.Option(help="Why. The ledger keeps it with the line, the user and the time.")]


def parse_amount(text: str | None) -> Decimal | None:
    """The value of `--max-amount`.

    Raises:
        ConfigurationError: It is no number.
    """
    if text is None:
        return None
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        step = "Write it with a decimal point and without separators, such as 5000.50."
        raise ConfigurationError("--max-amount", f"{text!r} is not a number.", step) from None


def parse_mapping(pairs: list[str], option: str = "--map", example: str = "units=quantity") -> dict[str, str]:
    """The values of `--map`, or of another option: our column name to theirs.

    Args:
        pairs: Values such as `units=quantity`.
        option: That an error names.
        example: Of a value.

    Raises:
        ConfigurationError: A value is not `ours=theirs`.
    """
    found = {}
    for pair in pairs:
        ours, mark, theirs = pair.partition("=")
        if not mark or not ours.strip() or not theirs.strip():
            raise ConfigurationError(option, f"{pair!r} is not ours=theirs.", f"Write it like {example}.")
        found[ours.strip()] = theirs.strip()
    return found


def read_synced(target: Target, settings: AutomatumSettings, lock_wait: float) -> Eligibility:
    """The synced customers and entitlements; `UNCHECKED` if the database or the tables are missing.

    Raises:
        AutomatumError: The destination cannot be read.
    """
    from ..metering.eligibility import UNCHECKED, read_eligibility
    from ..warehouse.owners import use_stored_owner

    if target.missing:
        return UNCHECKED
    pipeline = open_existing(target, lock_wait)
    use_stored_owner(pipeline, settings)
    return read_eligibility(pipeline, settings.owner)


def read_currencies(target: Target, settings: AutomatumSettings) -> tuple[Eligibility, list[str]]:
    """As `read_synced`, for the currencies alone: what cannot be read is a note, and nothing is waited for."""
    from ..metering.eligibility import UNCHECKED

    try:
        return read_synced(target, settings, 0.0), []
    except AutomatumError as error:
        return UNCHECKED, [f"the currencies are unknown, because the database cannot be read: {error.message}"]
