"""What a push does and how far it may go, in one object. The command line and the Airflow DAG read it, too."""

# The calls in the defaults make fields.
# ruff: noqa: RUF009

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.defaults import LOCK_WAIT
from ..core.errors import ConfigurationError
from .model import Grain

if TYPE_CHECKING:
    from ..warehouse.target import Target


def _option(default: Any, text: str, kind: Any = str | None, name: str = "") -> Any:
    """A field that is an option of `automatum push`, with its help; see `cli.declared`."""
    return field(default=default, metadata={"help": text, "type": kind, "name": name})


def _marketplace() -> Target:
    from ..warehouse.target import Target  # dlt, which the help of the command needs not.

    return Target()


@dataclass(frozen=True, kw_only=True, slots=True)
class PushOptions:
    """Options of a push, with the defaults of `automatum push`. Those without a text here have their help.

    Attributes:
        mapping: Our column name to the column name in the usage, where they differ; or texts such as `units=quantity`.
        organization: Name of a configured organization; None if there is only one.
        max_amount: Money, in each currency, above which nothing is sent; None for the setting `metering_max_amount`.
        target: Destination of tables, views and SQL queries, and of the synced tables that the usage is checked
            against. `metering_usage` uses the destination of its pipeline instead.
        max_minutes: Stop cleanly after so many minutes; None for no limit.
        max_wait: Seconds to wait for quota before the push stops cleanly; None for as long as it takes.
        lock_wait: Seconds to wait for a program that has the DuckDB file open.

    Raises:
        ConfigurationError: `grain` is neither `hour` nor `day`, or a mapping is wrong.
    """

    grain: Grain = _option("hour", "Sum by the hour or by the day: hour, day.", str)
    mapping: Mapping[str, str] | None = _option(
        None,
        "Name of a column in the usage, where it differs: --map units=quantity. Repeatable.",
        list[str] | None,
        "--map",
    )
    source: str | None = _option(
        None, "Name of the usage, if its file has another name each time. Default: the file or table."
    )
    plan: str | None = _option(
        None, "Digest of an approved dry run: send its lines, and nothing if they have changed.", name="--plan"
    )
    late_ok: bool = _option(
        False, "Also send what is past the strictest deadline, up to the documented one.", bool, "--late-ok"
    )
    unchecked: bool = _option(False, "Do not check against the synced customers and entitlements.", bool, "--unchecked")
    new_ledger: bool = _option(
        False, "Begin a ledger: for the very first push only. Refused if one is there.", bool, "--new-ledger"
    )
    confirm: bool = _option(False, "Send. Without it nothing is sent and nothing is written.", bool, "--confirm")
    organization: str | None = None
    max_amount: Decimal | None = None
    target: Target = field(default_factory=_marketplace)
    max_minutes: float | None = None
    max_wait: float | None = None
    lock_wait: float = LOCK_WAIT

    def __post_init__(self) -> None:
        if self.grain not in ("hour", "day"):
            raise ConfigurationError("--grain", f"{self.grain!r} is neither hour nor day.", "Give one of them.")
        object.__setattr__(self, "mapping", _read_mapping(self.mapping))  # The options are frozen.


def _read_mapping(given: Mapping[str, str] | Iterable[str] | None) -> Mapping[str, str] | None:
    if given is None or isinstance(given, Mapping):
        return given
    return read_pairs(given, "--map", "units=quantity") or None


def read_pairs(pairs: Iterable[str], option: str, example: str) -> dict[str, str]:
    """The values of a repeatable option: our name to theirs.

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
