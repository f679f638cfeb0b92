"""How a destination brings rows up to date, and what has to be seen to because of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from .lake_files import table_formats, writes_lake_files

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

How = Literal["replaces", "upserts", "adds"]
_LIBRARIES = {"delta": ("deltalake", "delta"), "iceberg": ("pyiceberg", "iceberg")}
"""Table format to the library that writes it, and the extra that brings it."""


@dataclass(frozen=True)
class MergeStrategy:
    """What a destination does with rows whose key it holds already.

    Attributes:
        how: `replaces`: it deletes and inserts, by merge key too, and takes one row a key from a load package
            (`delete-insert`). `upserts`: it updates or inserts row by row, and two rows of one key in a load package
            are doubled or refused. `adds`: it keeps every version.
        can_delete: It can remove rows.
    """

    how: How = "replaces"
    can_delete: bool = True

    @property
    def one_row_per_key(self) -> bool:
        """Whether a load package must not hold a key twice."""
        return self.how == "upserts"


def merge_strategy_of(pipeline: SupportsPipeline, settings: AutomatumSettings) -> MergeStrategy:
    """How a pipeline's destination merges; sends no request, opens no connection.

    Args:
        pipeline: Whose destination.
        settings: `table_format` and `deletes` are looked at.

    Raises:
        ConfigurationError: The destination cannot do what the settings ask for.
    """
    destination, wanted = pipeline.destination, settings.table_format
    name = destination.destination_name
    capabilities = destination.capabilities()
    if wanted and wanted not in (capabilities.supported_table_formats or ()):
        raise ConfigurationError(
            "sources.automatum.table_format", f"{name} has no {wanted} tables.", "Leave it out, or load to filesystem."
        )
    if wanted and find_spec(_LIBRARIES[wanted][0]) is None:
        library, extra = _LIBRARIES[wanted]
        raise ConfigurationError(
            f"extra {extra}", f"{library} is not installed.", f"pip install 'dlt-source-automatum[{extra}]'"
        )
    strategies = list(capabilities.supported_merge_strategies or ())
    if capabilities.merge_strategies_selector:
        table = {"name": "", "table_format": wanted}
        strategies = list(capabilities.merge_strategies_selector(strategies, table_schema=table))  # type: ignore[arg-type]
    # dlt takes the first that the destination has; so no resource has to name one.
    how: How = "adds" if not strategies else "upserts" if strategies[0] == "upsert" else "replaces"
    # pyiceberg's upsert, which dlt uses, deletes nothing.
    made = MergeStrategy(how, can_delete=how == "replaces" or (how == "upserts" and wanted == "delta"))
    if settings.deletes == "hard" and not made.can_delete:
        raise ConfigurationError(
            "sources.automatum.deletes",
            f"{name} cannot remove rows{f' of {wanted} tables' if wanted else ''}.",
            "Write `soft`: rows that are gone have `_deleted_at` then; or use another destination or table format.",
        )
    return made


def check_table_format(pipeline: SupportsPipeline, settings: AutomatumSettings, tables: Iterable[str]) -> None:
    """See that tables of files are what the settings want them to be; dlt keeps to what they once were.

    Args:
        pipeline: Whose destination.
        settings: `table_format` is looked at.
        tables: Which tables.

    Raises:
        ConfigurationError: One is of another format.
    """
    if not writes_lake_files(pipeline):
        return
    known = table_formats(pipeline)
    for table in tables:
        if table in known and known[table] != settings.table_format:
            raise ConfigurationError(
                "sources.automatum.table_format",
                f"{table} has the format {known[table] or 'Parquet'} already, in the files or in dlt's working folder.",
                "Set it as it was; or name another dataset and another --pipelines-dir.",
            )
