"""Counts the work of a sync: loads, connections to DuckDB, clients of the destination, statements.

A slow machine does not change the counts: what a sync does again after some seconds, it does not do again here.
"""

from collections import Counter
from contextlib import ExitStack, contextmanager
from unittest import mock

import duckdb
from dlt.common.destination.reference import Destination
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.pipeline import Pipeline

from automatum.sync import engine
from automatum.warehouse import duckdb_file
from automatum.warehouse.load import Loader

COUNTED = {
    "openings": (duckdb_file, "_open"),
    "loads": (Loader, "load"),
    "pipelines": (Pipeline, "__init__"),
    "connections": (duckdb, "connect"),
    "clients": (Destination, "client"),
    "statements": (DuckDbSqlClient, "execute_query"),
}
"""What is counted: the functions whose calls are. `openings` are those that lock the file for the run."""


@contextmanager
def counted():
    """Count the calls in a block; the functions do what they do."""
    counts = Counter(dict.fromkeys(COUNTED, 0))

    def counting(name, real):
        def function(*arguments, **options):
            counts[name] += 1
            return real(*arguments, **options)

        return function

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(duckdb_file, "IDLE_SECONDS", 3600.0))
        stack.enter_context(mock.patch.object(engine, "_EARLY_SECONDS", 3600.0))
        for name, (owner, function) in COUNTED.items():
            stack.enter_context(mock.patch.object(owner, function, counting(name, getattr(owner, function))))
        yield counts
