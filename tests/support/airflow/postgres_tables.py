"""Tables of Postgres as a DuckDB file, so that `tests.support.expected` can compare them with the API."""

import contextlib

import duckdb
import psycopg2

_TYPES = {
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "numeric": "DECIMAL(38, 9)",
    "timestamp with time zone": "TIMESTAMPTZ",
}
_COLUMNS = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position),
    array_agg(data_type::text ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_schema = 'automatum' AND table_name !~ '^_' GROUP BY table_name
"""


def copy_to_duckdb(url, database):
    """Copy the tables of the dataset `automatum`, but not those whose name begins with `_`.

    Args:
        url: Postgres database.
        database: New DuckDB file.
    """
    database.unlink(missing_ok=True)
    with contextlib.closing(psycopg2.connect(url)) as source, duckdb.connect(str(database)) as copy:
        copy.execute("CREATE SCHEMA automatum; USE automatum")
        cursor = source.cursor()
        cursor.execute(_COLUMNS)
        for table, names, kinds in cursor.fetchall():
            types = [_TYPES.get(kind, "VARCHAR") for kind in kinds]
            columns = ", ".join(f'"{name}" {type_}' for name, type_ in zip(names, types, strict=True))
            copy.execute(f'CREATE TABLE "{table}" ({columns})')
            texts = ", ".join(f'"{name}"::text' for name in names)
            cursor.execute(f'SELECT {texts} FROM automatum."{table}"')
            values = ", ".join(f"CAST(? AS {type_})" for type_ in types)
            if rows := cursor.fetchall():
                copy.executemany(f'INSERT INTO "{table}" VALUES ({values})', rows)
