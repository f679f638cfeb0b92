"""Keeps the SQL that SQLAlchemy compiles for all ledgers of a process: a fifth of the CPU time of the ledger's tests.

A user opens one ledger in a process. The tests open thousands, and each would compile the same fifty statements anew.
"""

from sqlalchemy import Engine, event


def _without_engine(key):
    dialect, *rest = key
    return dialect.name, dialect.driver, *rest


class _Statements(dict):
    """Compiled statements; the first part of a key is the dialect, of which each engine has its own."""

    def get(self, key, default=None):
        return super().get(_without_engine(key), default)

    def __setitem__(self, key, compiled):
        super().__setitem__(_without_engine(key), compiled)


def remember_statements():
    """Let all engines share their compiled statements."""
    statements = _Statements()

    @event.listens_for(Engine, "engine_connect")
    def share(connection):
        connection.execution_options(compiled_cache=statements)
