"""The parts of dlt's DuckDB destination that the connector sets up or changes, checked with dlt 1.31.

See `dlt_internals`: the same test checks them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt

from ..core.process import MOST_DUCKDB_MEMORY, parse_memory
from .duckdb_file import create_file

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline


def duckdb_destination(database: Path, memory_limit: str, user_agent: str | None = None, **options: Any) -> Any:
    """Dlt's destination for a DuckDB file, which creates the file as `create_file` does.

    Args:
        database: Absolute path. dlt resolves a relative one against the folder of the pipeline's first run.
        memory_limit: As DuckDB's setting, such as `64MB`.
        user_agent: Name of the program that connects; None for DuckDB's default.
        **options: Further options of the destination.
    """
    from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

    # Not as its argument: dlt would first try to read the path as a URL, for which it imports all of SQLAlchemy.
    credentials = DuckDbCredentials()
    credentials.database = str(database)
    credentials.global_config = {"memory_limit": memory_limit}
    if user_agent:
        credentials.global_config["custom_user_agent"] = user_agent
    made = dlt.destinations.duckdb(credentials, **options)
    resolve, compute, known = made.configuration, made.capabilities, dict[Any, Any]()

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        # dlt asks for the whole configuration when it makes a client, which connects to the file at once.
        config = resolve(initial_config, accept_partial)
        if not accept_partial and not config.credentials.read_only:
            create_file(database)
        return config

    def capabilities(config: Any = None, naming: Any = None) -> Any:
        # dlt asks for them for each client, and resolves the configuration for them, on which they do not depend.
        if type(naming) not in known:
            known[type(naming)] = compute(made.spec(), naming)
        return known[type(naming)].copy()  # dlt replaces values in what it gets.

    patched: Any = made
    patched.configuration, patched.capabilities = configuration, capabilities
    return made


def remember_database(pipeline: SupportsPipeline) -> None:
    """Note the path of a DuckDB file in the local state of a pipeline, so that `dlt.attach` finds the file.

    dlt stores no path. A pipeline that is attached by its name would create a file in the working directory.
    """
    if is_duckdb(pipeline):
        credentials = pipeline.destination.config_params.get("credentials")
        database = getattr(credentials, "database", credentials)
        if isinstance(database, (str, Path)):
            opened: Any = pipeline
            opened.set_local_state_val("duckdb_database", str(Path(database).absolute()))


def is_duckdb(pipeline: SupportsPipeline) -> bool:
    """Whether a pipeline loads to a DuckDB file."""
    return isinstance(pipeline.destination, dlt.destinations.duckdb)


def grow_duckdb_memory(pipeline: SupportsPipeline, most_bytes: int = MOST_DUCKDB_MEMORY) -> str | None:
    """Raise DuckDB's memory limit fourfold; returns the new limit, or None if the bound is reached or none is set."""
    credentials = getattr(pipeline.destination, "config_params", {}).get("credentials")
    limits = getattr(credentials, "global_config", None) or {}
    limit = parse_memory(str(limits.get("memory_limit", "")))
    if limit is None or limit >= most_bytes:
        return None
    limits["memory_limit"] = f"{min(limit * 4, most_bytes) // 1_000_000}MB"
    return str(limits["memory_limit"])
