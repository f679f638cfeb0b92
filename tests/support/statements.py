"""Keeps the SQL that SQLAlchemy compiles for all ledgers of a process: a fifth of the CPU time of the ledger's tests.

A user opens one ledger in a process. The tests open thousands, and each would compile the same fifty statements anew.
"""

from sqlalchemy import Engine, event, inspect

from automatum.metering.ledger.tables import METADATA


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


def remember_tables():
    """Create the tables of a new ledger by the statements that created those of the first one.

    SQLAlchemy would look for each table and each index, and compile its statement.
    """
    create, created = METADATA.create_all, {}

    def create_all(connection):
        if inspect(connection).get_table_names():
            create(connection)  # It has some of them.
            return
        for statement in created.get(connection.dialect.name, ()):
            connection.exec_driver_sql(statement)
        if connection.dialect.name not in created:
            created[connection.dialect.name] = _creating(create, connection)

    METADATA.create_all = create_all


def _creating(create, connection):
    """Create tables, and return the statements that did it."""
    statements = []

    @event.listens_for(connection, "before_cursor_execute")
    def keep(_connection, _cursor, statement, *_):
        if statement.lstrip().startswith("CREATE"):
            statements.append(statement)

    create(connection)
    event.remove(connection, "before_cursor_execute", keep)
    # Postgres takes them all at once.
    return [";".join(statements)] if connection.dialect.name == "postgresql" else statements
