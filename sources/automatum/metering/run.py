"""A whole push in one call, for schedulers and notebooks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.session import ApiSession
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock
from ..core.errors import ConfigurationError
from ..core.file_lock import WAIT
from ..warehouse.target import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, Target
from .eligibility import read_eligibility
from .ledger.location import find_ledger
from .model import Grain
from .push import PushSummary, push
from .usage.usage import read_usage

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline
from ..api.session import open_connection


def run_push(
    usage: Any,
    *,
    organization: str | None = None,
    confirm: bool = False,
    grain: Grain = "hour",
    destination: str = DUCKDB,
    dataset: str = DEFAULT_DATASET,
    database: str | Path = DEFAULT_DATABASE,
    ledger_url: str | None = None,
    mapping: Mapping[str, str] | None = None,
    late_ok: bool = False,
    unchecked: bool = False,
    max_minutes: float | None = None,
    max_wait: float | None = None,
    lock_wait: float = WAIT,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> PushSummary:
    """Report usage to the marketplaces, each line once; dry unless it is confirmed.

    Args:
        usage: A `.csv` or `.parquet` file, the name of a table or view of the destination, `sql:SELECT ...`, an Arrow
            table, a pandas frame, or an iterable of dicts.
        organization: Name of a configured organization; None where there is but one.
        confirm: Send. Without it nothing is sent and nothing written.
        grain: Sum by the `hour` or by the `day`.
        destination: Name of a dlt destination, for tables, views and SQL, and for what the usage is checked against.
        dataset: Dataset (schema) of the tables.
        database: DuckDB file, for the destination `duckdb`.
        ledger_url: Where it is kept what was sent; None for what the settings say.
        mapping: Our name of a column to the name in the usage.
        late_ok: Send what is past the strictest known limit, too.
        unchecked: Do not check against the synced customers and entitlements.
        max_minutes: End cleanly after so many minutes.
        max_wait: Seconds to wait for quota before ending cleanly; None for as long as it takes.
        lock_wait: Seconds to wait for a program that has the DuckDB file open.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's.
        stop: Set to end the run before the next body.

    Returns:
        What was done, or would be: `verdict`, `exit_code`, `lines`, `charged`, `as_json()`.

    Raises:
        AutomatumError: What ended it before it began.
    """
    if grain not in ("hour", "day"):
        raise ConfigurationError("--grain", f"{grain!r} is neither hour nor day.")
    settings = settings or resolve_settings(with_credentials=confirm, organization=organization)
    ledger = find_ledger(settings, ledger_url)
    if confirm:
        connection: ApiSession | None = open_connection(settings, clock, stop, None, max_minutes, max_wait)
    else:
        connection = None
    clock = connection.clock if connection else clock or SystemClock(stop)
    warehouse = Target(destination, dataset, Path(database))
    pipeline: SupportsPipeline | None = None
    if not warehouse.missing:
        budget = connection.budget if connection else Budget(clock, stop=stop)
        pipeline = warehouse.existing(clock, budget, lock_wait)
    return push(
        connection,
        read_usage(usage, pipeline=pipeline, mapping=mapping),
        ledger,
        clock,
        grain=grain,
        late_ok=late_ok,
        entitled=None if unchecked or pipeline is None else read_eligibility(pipeline, settings.owner),
    )
