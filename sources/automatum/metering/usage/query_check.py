"""Lets a query of the user only read: one statement, a query, and no statement that writes inside of it.

The check is by sqlglot's parser, in the dialect of the destination. Where the destination can refuse writes itself, it
is told to, too (see `sql`): a parser cannot know what a function of the database does.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ...core.errors import ConfigurationError

_WRITES = (exp.DML, exp.DDL, exp.Drop, exp.Copy, exp.Into, exp.Command, exp.Set, exp.Attach, exp.Alter)
_FILE_FUNCTIONS = (exp.ReadCSV, exp.ReadParquet)
_DATA = frozenset({".csv", ".parquet"})
_HARMLESS = frozenset({"unnest", "range", "generateseries"})
"""Functions that make rows of their arguments alone."""


@dataclass(frozen=True)
class CheckedQuery:
    """A query that only reads, as far as its text shows.

    Attributes:
        text: The query, without the semicolon at its end.
        files: Data files of this machine that it names as tables, absolute.
    """

    text: str
    files: tuple[str, ...]


def check_query(text: str, dialect: str | None, tables: Collection[str] | None = None) -> CheckedQuery:
    """Check that a text is one query that only reads.

    Args:
        text: The query.
        dialect: Dialect of the destination, as sqlglot names it; None for sqlglot's own.
        tables: Tables that it may read; None where the destination itself keeps it from files and the network.

    Raises:
        ConfigurationError: It is not.
    """
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # It warns of what is refused below.
    try:
        statements = [statement for statement in sqlglot.parse(text, dialect=dialect) if statement is not None]
    except (SqlglotError, RecursionError) as error:
        said = str(error).splitlines()[0][:200] if isinstance(error, SqlglotError) else "it is nested too deeply"
        raise _error(f"the query cannot be read: {said}") from None
    if len(statements) != 1:
        raise _error(f"only one query can be read, and there are {len(statements)} statements")
    query = statements[0]
    writes = next((part for part in query.walk() if isinstance(part, _WRITES)), None)
    if writes is not None or not isinstance(query, (exp.Query, exp.Values)):
        raise _error(f"only a query can be read, and this holds {(writes or query).key.upper()}")
    if tables is not None:
        _check_tables(query, {name.lower() for name in tables})
    return CheckedQuery(text.strip().rstrip(";"), tuple(_files(query)))


def _files(query: Any) -> Iterator[str]:
    for table in query.find_all(exp.Table):
        named: list[str] = []
        if isinstance(table.this, _FILE_FUNCTIONS):
            named = [literal.name for literal in table.this.find_all(exp.Literal) if literal.is_string]
        elif isinstance(table.this, exp.Identifier) and table.this.quoted and not table.db:
            named = [table.name]
        for name in named:
            if Path(name).suffix.lower() in _DATA and Path(name).is_file():
                yield str(Path(name).absolute())


def _check_tables(query: Any, tables: Collection[str]) -> None:
    own = {cte.alias_or_name.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        function = table.this if isinstance(table.this, exp.Func) else None
        name = (function.name or function.key).lower() if function else table.name.lower()
        known = name.replace("_", "") in _HARMLESS if function else name in tables or name in own
        if not known:
            raise _error(f"it reads {name!r}, which is not a table of the dataset")


def _error(why: str) -> ConfigurationError:
    return ConfigurationError("usage", f"{why}.", "Write one SELECT after `sql:`, or make a view and name it.")
