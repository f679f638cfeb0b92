"""The files in `models`: plain SELECTs in DuckDB's dialect that answer questions about the loaded tables.

`compile_models` makes queries of them for a dialect, and for what a dataset has: a table or column that it lacks, such
as those of the push or of the history, is read as empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from ..core.errors import ConfigurationError
from ..core.suggest import suggestion
from ..endpoints import ENDPOINTS, ORGANIZATION
from ..schema.columns import EXTRA
from ..schema.log_tables import log_tables
from ..schema.metering_tables import METERING_TABLES
from ..schema.stored import StoredTable
from ..schema.tables import tables_of
from ..warehouse.dlt_internals import LOADS_TABLE

SETTINGS_MODEL = "model_settings"
SETTING = "sources.automatum.models"
_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "models", _PACKAGE.parents[1] / "models")
"""Of an installed package, and of the repository."""
_TYPES = {
    "text": "TEXT",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "bigint": "BIGINT",
    "bool": "BOOLEAN",
    "decimal": "DECIMAL(38, {scale})",
}
USER_TABLES: Mapping[str, Mapping[str, str]] = {
    "expected_fees": {
        "organization_id": "TEXT",
        "vendor": "TEXT",
        "listing_id": "TEXT",
        "customer_id": "TEXT",
        "currency": "TEXT",
        "valid_from": "DATE",
        "valid_to": "DATE",
        "percent": "DECIMAL(9, 6)",
    },
    "exchange_rates": {
        "valid_from": "DATE",
        "currency": "TEXT",
        "reporting_currency": "TEXT",
        "rate": "DECIMAL(18, 9)",
    },
}
"""Tables that belong to the user: made empty if they are missing, and never dropped. Column to type."""


@dataclass(frozen=True)
class Model:
    """A file in `models`.

    Attributes:
        name: Name of the view.
        text: Its query, without comments.
        description: Its header in words: the question, what a row is, and what the numbers do not say.
    """

    name: str
    text: str
    description: str

    @property
    def kind(self) -> str:
        """`settings`, `staging`, `intermediate` or `mart`."""
        kinds = {"stg": "staging", "int": "intermediate", "model": "settings"}
        return kinds.get(self.name.partition("_")[0], "mart")

    @property
    def question(self) -> str:
        """The first sentence of the header."""
        return self.description.partition("?")[0] + "?"


@dataclass(frozen=True)
class CompiledModel:
    """A model for one dataset.

    Attributes:
        model: The model.
        query: Its query in the dialect of the destination, with qualified names.
        lacking: The tables that it reads, itself or by other models, and that the dataset lacks.
    """

    model: Model
    query: str
    lacking: tuple[str, ...]


@cache
def read_models() -> Mapping[str, Model]:
    """The models by name, each after those that it reads.

    Raises:
        ConfigurationError: Their folder is missing.
    """
    folder = next((one for one in _FOLDERS if (one / f"{SETTINGS_MODEL}.sql").is_file()), None)
    if folder is None:
        raise ConfigurationError(
            "models",
            "`dlt init` copies the source without its models.",
            "Install the package, or copy models/ into it.",
        )
    models = dict(map(_read, sorted(folder.glob("*.sql"))))
    reads = {name: _references(_parsed(one)) & models.keys() for name, one in models.items()}
    ordered: dict[str, Model] = {}
    while len(ordered) < len(models):
        ready = [name for name in models if name not in ordered and reads[name] <= ordered.keys()]
        assert ready, "models read each other"
        ordered.update((name, models[name]) for name in ready)
    return ordered


def _read(file: Path) -> tuple[str, Model]:
    lines = file.read_text(encoding="utf-8").splitlines()
    length = next(at for at, line in enumerate(lines) if not line.startswith("--"))
    description = " ".join(line.removeprefix("--").strip() for line in lines[:length])
    text = "\n".join(line for line in lines[length:] if not line.lstrip().startswith("--"))
    return file.stem, Model(file.stem, text, description)


def _parsed(model: Model) -> exp.Expression:
    tree = sqlglot.parse_one(model.text, dialect="duckdb")
    assert isinstance(tree, exp.Expression)
    return tree


def _tables(tree: exp.Expression) -> list[exp.Table]:
    """The tables that a query reads, without its own `WITH` parts."""
    own = {one.alias for one in tree.find_all(exp.CTE)}
    return [one for one in tree.find_all(exp.Table) if one.name not in own]


def _references(tree: exp.Expression) -> set[str]:
    return {one.name for one in _tables(tree)}


@cache
def source_tables() -> Mapping[str, Mapping[str, str]]:
    """The tables that models may read, besides each other: name to columns and their types."""
    found = {LOADS_TABLE: {"load_id": "TEXT", "status": "BIGINT"}}
    stored: list[StoredTable] = [*log_tables(), *METERING_TABLES]
    for endpoint in ENDPOINTS:
        stored += tables_of(endpoint, history=True)
    for table in stored:
        kinds = {one.name: _TYPES[one.type].format(scale=one.scale) for one in table.columns if one.name != EXTRA}
        found[table.name] = {ORGANIZATION: "TEXT", **kinds}
    return found


def compile_models(
    stored: Mapping[str, Iterable[str]],
    dialect: str,
    dataset: str,
    views: str,
    settings: Mapping[str, Any] | None = None,
) -> list[CompiledModel]:
    """The models for a dataset, each after those that it reads.

    Args:
        stored: The tables of the dataset, each with its columns. What is missing is read as empty.
        dialect: Dialect of sqlglot: `duckdb` or `postgres`.
        dataset: Schema of the tables.
        views: Schema of the views and of the user's own tables.
        settings: Constants of `model_settings` that differ from the default.

    Raises:
        ConfigurationError: A setting is unknown or wrong.
    """
    sources, models = source_tables(), read_models()
    compiled: dict[str, CompiledModel] = {}
    for name, model in models.items():
        tree, lacking = _parsed(model), set[str]()
        if name == SETTINGS_MODEL:
            _set_constants(tree, settings or {})
        for table in _tables(tree):
            if table.name in models or table.name in USER_TABLES:
                lacking.update(compiled[table.name].lacking if table.name in models else ())
                table.set("db", exp.to_identifier(views))
                continue
            columns = set(stored.get(table.name, ()))
            if not columns:
                lacking.add(table.name)
            if columns >= sources[table.name].keys():
                table.set("db", exp.to_identifier(dataset))
            else:
                table.replace(_stand_in(table, columns, dataset))
        query = _in_dialect(tree, dialect).sql(dialect=dialect, identify=True)
        compiled[name] = CompiledModel(model, query, tuple(sorted(lacking)))
    return list(compiled.values())


def _stand_in(table: exp.Table, columns: set[str], dataset: str) -> exp.Expression:
    """A table with all its columns: null where the dataset lacks them, and without rows if it lacks the table."""
    named = [
        f'"{name}"' if name in columns else f'CAST(NULL AS {kind}) AS "{name}"'
        for name, kind in source_tables()[table.name].items()
    ]
    rows = f'FROM "{dataset}"."{table.name}"' if columns else "WHERE 1 = 0"
    query = sqlglot.parse_one(f"SELECT {', '.join(named)} {rows}", dialect="duckdb")
    assert isinstance(query, exp.Select)
    return query.subquery(table.alias_or_name)


def _in_dialect(tree: exp.Expression, dialect: str) -> exp.Expression:
    """Postgres has no integer of 128 bits; its `div` takes decimals."""
    if dialect == "postgres":
        for kind in list(tree.find_all(exp.DataType)):
            if kind.this == exp.DataType.Type.INT128:
                kind.replace(exp.DataType.build("DECIMAL(38, 0)"))
    return tree


def _set_constants(tree: exp.Expression, settings: Mapping[str, Any]) -> None:
    constants = {one.alias: one for one in tree.find_all(exp.Alias)}
    for name, value in settings.items():
        if name not in constants:
            raise ConfigurationError(
                f"{SETTING}.{name}", "there is no such setting.", suggestion(name, tuple(constants))
            )
        constants[name].set("this", _constant(name, constants[name].this, value))


def _constant(name: str, default: exp.Expression, value: Any) -> exp.Expression:
    """The value of a setting as a literal, in the type of the default."""
    key, text = f"{SETTING}.{name}", str(value).strip()
    try:
        if name == "today":
            return exp.cast(exp.Literal.string(date.fromisoformat(text).isoformat()), "DATE")
        if isinstance(default, exp.Cast):
            number = Decimal(text)
            if not (number.is_finite() and number >= 0):
                raise ValueError
            return exp.cast(exp.Literal.string(format(number, "f")), default.to)
        if not default.is_string:
            if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,5}", text):
                raise ValueError
            return exp.Literal.number(int(text))
    except (ValueError, InvalidOperation):
        kind = "a day (YYYY-MM-DD)" if name == "today" else "a number from 0 on"
        raise ConfigurationError(key, f"{text!r} is not {kind}.") from None
    if isinstance(value, (list, tuple)):
        text = ",".join(map(str, value))
    return exp.Literal.string(re.sub(r"\s*,\s*", ",", text))
