"""Adds APIs to the battery."""

from tests.support.shapes.cell import Shape


def registry(group, default_table):
    """A list of shapes, and the decorator that adds to it.

    Args:
        group: Part of the battery.
        default_table: Table whose settings the decorator takes.
    """
    shapes = []

    def shape(name, names="", connection=None, **endpoint):
        """Add an API.

        Args:
            name: What differs from the documentation.
            names: What a sync names that is not complete; by default the first of the settings.
            connection: Settings of the connector that it needs.
            endpoint: Settings of the table that it needs.
        """

        def add(api):
            settings = dict(connection or {})
            if endpoint:
                settings["endpoints"] = {default_table: endpoint}
            keys = [name if name == "paginator" else f"{default_table}.{name}" for name in endpoint]
            named = names or next(iter([*keys, *(connection or ())]), "")
            shapes.append(Shape(name, api, settings, named, group))
            return api

        return add

    return shapes, shape
