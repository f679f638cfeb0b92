"""A site on DuckDB or Postgres whose destination a user changes by hand."""

from contextlib import closing
from copy import copy

import duckdb

from tests.support.destinations.places import PLACES
from tests.support.syncing import Site

PLACE_NAMES = ("DuckDB", "Postgres")


class ChangedSite(Site):
    """A site whose destination a user changes by hand.

    Args:
        folder: Where its files go.
        name: Name of the destination.
    """

    def __init__(self, folder, name):
        super().__init__(folder)
        self.place = copy(next(one for one in PLACES if one.name == name))
        self.place.open(folder)

    def sync(self, *names, **options):
        return super().sync(*names, destination=self.place.destination(), **options)

    def change(self, statement):
        if self.place.name == "DuckDB":
            with duckdb.connect(str(self.folder / "marketplace.duckdb")) as connection:
                connection.execute(statement)
            return
        with closing(self.place._server.connect(self.place._database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def values(self, table, *columns):
        return sorted(tuple(str(row[name]) for name in columns) for row in self.place.rows(table))
