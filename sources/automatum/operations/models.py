"""Views of the models in DuckDB and Postgres: create, drop, list. See `model_files` for what they are made from.

A view that `create` made has a mark in its comment. Only those are replaced and dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dlt
from dlt.destinations.exceptions import DatabaseException

from ..core.errors import ConfigurationError, DestinationError
from ..core.redaction import first_line
from ..schema.columns import normalize_identifier
from ..warehouse.catalog import MODELS_MARK
from ..warehouse.sql_client import sql_client
from .model_files import USER_TABLES, CompiledModel, compile_models, read_models

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_DIALECTS = {dlt.destinations.duckdb: "duckdb", dlt.destinations.postgres: "postgres"}
_OBJECTS = {
    "duckdb": "SELECT table_name, 'table', comment FROM duckdb_tables() WHERE database_name = current_database() "
    "AND schema_name = %s UNION ALL SELECT view_name, 'view', comment FROM duckdb_views() "
    "WHERE database_name = current_database() AND schema_name = %s",
    "postgres": "SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, "
    "obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname IN (%s, %s)",
}
"""Dialect to the query for the names, kinds and comments of what is in a dataset."""


class Models:
    """The models in a dataset of DuckDB or Postgres.

    Args:
        pipeline: The pipeline whose destination has the tables.
        into: Dataset of the views. None: that of the tables.
        settings: Constants of `model_settings` that differ from the default.

    Raises:
        ConfigurationError: The destination is another one, or a setting is wrong.
    """

    def __init__(
        self, pipeline: SupportsPipeline, into: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        found = [dialect for kind, dialect in _DIALECTS.items() if isinstance(pipeline.destination, kind)]
        if not found:
            name = pipeline.destination.destination_name
            raise ConfigurationError(
                "--destination",
                f"{name} gets no views: `automatum models` makes them in duckdb and postgres.",
                "Sync to one of these; or query the tables, as in docs/analyse.md.",
            )
        self._pipeline, self._dialect, self._settings = pipeline, found[0], settings
        self._into = normalize_identifier(into) if into else None

    def create(self) -> dict[str, Any]:
        """Make all views, or replace them if one of them is missing or differs.

        Raises:
            ConfigurationError: A table, or a view that `create` did not make, has the name of a model.
            DestinationError: The destination refuses the views, or cannot be reached.
        """
        with sql_client(self._pipeline) as client:
            views, there = self._place(client), self._objects(client)
            compiled = self._compiled(client, views)
            _refuse_foreign(compiled, there, views)
            mark = f"{MODELS_MARK}{client.dataset_name}, "
            digest = hashlib.sha256("\n".join(one.query for one in compiled).encode()).hexdigest()[:12]
            comments = {one.model.name: f"{one.model.description}\n{mark}{digest}]" for one in compiled}
            same = {name: comment for name, (_, comment) in there.items() if _is_ours(comment)} == comments
            missing = [name for name in USER_TABLES if name not in there]
            if not same or missing:
                statements = [f'CREATE SCHEMA IF NOT EXISTS "{views}"', *_user_tables(views, missing)]
                if not same:
                    statements += _drops(there, views)
                    for one in compiled:
                        name = f'"{views}"."{one.model.name}"'
                        comment = comments[one.model.name].replace("'", "''")
                        statements += [f"CREATE VIEW {name} AS {one.query}", f"COMMENT ON VIEW {name} IS '{comment}'"]
                self._execute(client, statements)
        return {
            "dataset": views,
            "changed": not same,
            "views": [one.model.name for one in compiled],
            "empty_tables": sorted({table for one in compiled for table in one.lacking}),
        }

    def drop(self) -> dict[str, Any]:
        """Drop the views that `create` made. The user's own tables and views stay.

        Raises:
            DestinationError: A view of the user reads one of them, or the destination cannot be reached.
        """
        with sql_client(self._pipeline) as client:
            views, there = self._place(client), self._objects(client)
            if statements := _drops(there, views):
                self._execute(client, statements)
        dropped = [name for name, (_, comment) in there.items() if _is_ours(comment)]
        return {"dataset": views, "dropped": sorted(dropped)}

    def show(self) -> dict[str, Any]:
        """Each model with its question, and whether its view is there: `yes`, `no`, or `not made by automatum`."""
        with sql_client(self._pipeline) as client:
            views, there = self._place(client), self._objects(client)
            compiled = self._compiled(client, views)
        rows = []
        for one in compiled:
            kind, comment = there.get(one.model.name, (None, None))
            state = "no" if kind is None else "yes" if _is_ours(comment) else "not made by automatum"
            facts = {"name": one.model.name, "kind": one.model.kind, "question": one.model.question, "view": state}
            rows.append({**facts, "empty_tables": list(one.lacking), "description": one.model.description})
        return {"dataset": views, "models": rows}

    def _place(self, client: Any) -> str:
        return self._into or str(client.dataset_name)

    def _objects(self, client: Any) -> dict[str, tuple[str, str | None]]:
        """Name of each table and view of the dataset of the views, to its kind and comment."""
        views = self._place(client)
        return {name: (kind, text) for name, kind, text in client.execute_sql(_OBJECTS[self._dialect], views, views)}

    def _compiled(self, client: Any, views: str) -> list[CompiledModel]:
        stored: dict[str, set[str]] = {}
        query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"
        for table, column in client.execute_sql(query, client.dataset_name):
            stored.setdefault(table, set()).add(column)
        return compile_models(stored, self._dialect, client.dataset_name, views, self._settings)

    def _execute(self, client: Any, statements: Sequence[str]) -> None:
        """Run statements in one transaction."""
        try:
            with client.begin_transaction():
                for statement in statements:
                    client.execute_sql(statement)
        except DatabaseException as error:
            if "depend" in str(error):
                raise DestinationError(
                    f"The views cannot be replaced: {first_line(error)}",
                    "A view of your own reads them. Drop it, run this again, and make it again.",
                ) from None
            raise


def _is_ours(comment: str | None) -> bool:
    return MODELS_MARK in (comment or "")


def _refuse_foreign(compiled: Sequence[CompiledModel], there: Mapping[str, tuple[str, str | None]], views: str) -> None:
    for one in compiled:
        kind, comment = there.get(one.model.name, ("", None))
        if kind and not (kind == "view" and _is_ours(comment)):
            raise ConfigurationError(
                "--into",
                f"{views} has a {kind} {one.model.name} that `automatum models` did not make.",
                "Rename it, or make the views in a dataset of their own: --into NAME.",
            )


def _drops(there: Mapping[str, tuple[str, str | None]], views: str) -> list[str]:
    """Statements that drop our views, those first that read others."""
    ours = [name for name, (kind, comment) in there.items() if kind == "view" and _is_ours(comment)]
    place = {name: at for at, name in enumerate(read_models())}
    return [f'DROP VIEW "{views}"."{name}"' for name in sorted(ours, key=lambda name: -place.get(name, len(place)))]


def _user_tables(views: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        columns = ", ".join(f'"{column}" {kind}' for column, kind in USER_TABLES[name].items())
        yield f'CREATE TABLE IF NOT EXISTS "{views}"."{name}" ({columns})'
