"""Warehouses that need an account: what dlt would send them for our tables, without a connection."""

import json
from dataclasses import dataclass

import dlt
from dlt.common.destination.utils import resolve_merge_strategy

from tests.support.destinations.places import DATASET

PASSWORD = "unused"


@dataclass(frozen=True)
class Warehouse:
    """One of them.

    Attributes:
        name: As the table in the docs has it.
        module: What its driver is imported as.
        dialect: sqlglot's name of its SQL.
        make: Makes dlt's destination, with credentials that open nothing.
    """

    name: str
    module: str
    dialect: str
    make: object

    def client(self, schema):
        """dlt's client of it, for a schema; nothing is sent."""
        destination = self.make()
        return destination.client(schema, destination.spec()._bind_dataset_name(DATASET))


def strategies(client):
    """Table to merge strategy."""
    tables = client.schema.tables
    return {
        name: resolve_merge_strategy(tables, table, client.capabilities)
        for name, table in tables.items()
        if not name.startswith("_dlt")
    }


def types(client):
    """How a column of each of our types is made: `decimal(38, 9)`, timestamp, JSON."""
    entitlements = client.schema.tables["entitlements"]
    columns = client.schema.get_table_columns("entitlements")
    return {
        kind: client.type_mapper.to_destination_type(columns[name], entitlements)
        for kind, name in (("money", "value"), ("moment", "created_at"), ("JSON", "extra"))
    }


def created(client):
    """Table to the statements that create it."""
    made = {}
    for name in client.schema.data_table_names():
        columns = client.schema.get_new_table_columns(
            name, {}, client.capabilities.generates_case_sensitive_identifiers()
        )
        made[name] = client._get_table_update_sql(name, columns, False)
    return made


def merged(client):
    """Table to the statements that bring it up to date from its staging table."""
    from dlt.destinations.sql_jobs import SqlMergeFollowupJob

    made = {}
    for name in client.schema.data_table_names():
        chain = [client.prepare_load_table(name)]
        job = client._create_merge_followup_jobs(chain)[0]
        kind = type(job) if isinstance(job, SqlMergeFollowupJob) else SqlMergeFollowupJob
        made[name] = kind.generate_sql(chain, client.sql_client)
    return made


def _snowflake():
    return dlt.destinations.snowflake(f"snowflake://user:{PASSWORD}@account/warehouse?warehouse=w&role=r")


def _bigquery():
    account = {"project_id": "project", "client_email": "a@b.iam.gserviceaccount.com", "private_key": PASSWORD}
    return dlt.destinations.bigquery(json.dumps({"type": "service_account", **account}))


def _databricks():
    return dlt.destinations.databricks(
        {"server_hostname": "host", "http_path": "path", "access_token": PASSWORD, "catalog": "main"}
    )


def _clickhouse():
    return dlt.destinations.clickhouse(f"clickhouse://user:{PASSWORD}@localhost:9000/db?secure=0")


WAREHOUSES = [
    Warehouse("Snowflake", "snowflake.connector", "snowflake", _snowflake),
    Warehouse("BigQuery", "google.cloud.bigquery", "bigquery", _bigquery),
    Warehouse("Databricks", "databricks.sql", "databricks", _databricks),
    Warehouse(
        "Redshift",
        "psycopg2",
        "redshift",
        lambda: dlt.destinations.redshift(f"redshift://user:{PASSWORD}@localhost:5439/db"),
    ),
    Warehouse("ClickHouse", "clickhouse_driver", "clickhouse", _clickhouse),
    Warehouse(
        "MotherDuck", "duckdb", "duckdb", lambda: dlt.destinations.motherduck(f"md:db?motherduck_token={PASSWORD}")
    ),
]
