"""Ways of running the source that dlt documents, each with what must come of it: the lines in docs/dlt.md.

A case runs after a first load, and after rows have changed, come and gone in the API. So a case that compares with rows
that it has dropped, or that loads only what has changed, is found out by its contents.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dlt

REFUSED = "cannot be set for the resource {}: "
ONE_ROW = "would not keep one row a key"


@dataclass
class Way:
    """A way of running the source.

    Attributes:
        title: What the user writes, as in docs/dlt.md.
        outcome: What happens, as in docs/dlt.md.
        change: Changes the source; returns what is run.
        options: Further arguments of `pipeline.run`.
        pipeline: Further arguments of `dlt.pipeline`.
        refused: The hint that the error names; empty if the way works.
        tables: Tables that are loaded.
        verdicts: Verdicts of the sweeps of the run, by table; `complete` for all others.
        part: The rows that are there are some of those that the API lists, and earlier ones.
    """

    title: str
    outcome: str
    change: Callable[[Any], Any] = lambda source: source
    options: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    tables: tuple[str, ...] = ("customers", "entitlements", "private_offers", "analytics_revenue")
    verdicts: dict[str, str] = field(default_factory=dict)
    part: bool = False


def each(**hints):
    """Set hints for each resource."""

    def change(source):
        for resource in source.resources.values():
            resource.apply_hints(**hints)
        return source

    return change


def of_customers(**hints):
    """Set hints for the customers, and read these last."""

    def change(source):
        source.customers.apply_hints(**hints)
        return [source.entitlements, source.customers]

    return change


def parallel(source):
    for resource in source.resources.values():
        resource.parallelize()
    return source


def same(rows):
    """For `add_map`: gets each Arrow table."""
    return rows


def limited(**limit):
    def change(source):
        return source.with_resources("entitlements").add_limit(**limit)

    return change


COMPLETE = "works: the verdict is `complete`"
SCD2 = {"disposition": "merge", "strategy": "scd2"}
INSERT_ONLY = {"disposition": "merge", "strategy": "insert-only"}

WAYS = [
    Way("`pipeline.run(automatum_source())`", COMPLETE),
    *(
        Way(
            f'`pipeline.run(source, refresh="{mode}")`',
            f"works: dlt {what}, and every row is loaded again",
            options={"refresh": mode},
        )
        for mode, what in (
            ("drop_sources", "drops all tables, the log too"),
            ("drop_resources", "drops the tables of the resources, and the log if they wrote it last"),
            ("drop_data", "empties the tables of the resources"),
        )
    ),
    Way('`dlt.pipeline(..., refresh="drop_sources")`', "the same, at each run", pipeline={"refresh": "drop_sources"}),
    Way(
        '`pipeline.run(source, write_disposition="replace")`',
        "works: every row is loaded, child tables included, and rows that are gone are removed",
        options={"write_disposition": "replace"},
    ),
    Way(
        '`apply_hints(write_disposition="replace")`',
        "the same, for one resource or several",
        each(write_disposition="replace"),
    ),
    Way(
        '`write_disposition="append"`, `"skip"`, the strategies `upsert`, `scd2` and `insert-only`',
        f"refused: `write_disposition`, because it {ONE_ROW}; set `history = true` for every version",
        options={"write_disposition": "append"},
        refused="write_disposition",
    ),
    Way("the strategy `scd2`", "", options={"write_disposition": SCD2}, refused="write_disposition"),
    Way("the strategy `insert-only`", "", options={"write_disposition": INSERT_ONLY}, refused="write_disposition"),
    Way('`write_disposition="skip"`', "", options={"write_disposition": "skip"}, refused="write_disposition"),
    Way(
        '`source.with_resources("entitlements")`',
        "works: child tables come with their parent",
        lambda source: source.with_resources("entitlements"),
        tables=("entitlements",),
    ),
    Way(
        "`pipeline.run([source.entitlements, source.customers])`",
        COMPLETE,
        lambda source: [source.entitlements, source.customers],
        tables=("entitlements", "customers"),
    ),
    Way(
        "`source.add_limit(1)`",
        "works: counts pages of the API (`count_rows`: rows that are loaded); the verdict is `incomplete`",
        limited(max_items=1),
        tables=("entitlements",),
        verdicts={"entitlements": "incomplete"},
        part=True,
    ),
    Way(
        "`add_limit(count_rows=True)`",
        "",
        limited(max_items=1, count_rows=True),
        tables=("entitlements",),
        verdicts={"entitlements": "incomplete"},
        part=True,
    ),
    Way(
        "`add_limit`, or one of several organizations, with `replace` or `refresh`",
        "refused: `write_disposition` or `refresh`; the table would have a part of its rows",
        limited(max_items=1),
        {"write_disposition": "replace"},
        refused="write_disposition",
    ),
    Way(
        "`add_limit` of the last resource with `replace`",
        "",
        lambda source: [source.entitlements, source.customers.add_limit(1)],
        {"write_disposition": "replace"},
        refused="write_disposition",
    ),
    Way("`add_limit` with `refresh`", "", limited(max_items=1), {"refresh": "drop_data"}, refused="refresh"),
    Way(
        "`apply_hints(incremental=...)`",
        "refused: `incremental`; a sync loads only what is new or changed",
        of_customers(incremental=dlt.sources.incremental("updated_at", initial_value="2026-01-01")),
        refused="incremental",
    ),
    Way(
        '`source.customers.with_name("clients")`',
        "refused: `with_name`; load to another dataset",
        lambda source: [source.entitlements, source.customers.with_name("clients")],
        refused="with_name",
    ),
    Way(
        '`apply_hints(table_name="clients")`',
        "refused: `table_name`; load to another dataset",
        of_customers(table_name="clients"),
        refused="table_name",
    ),
    Way(
        '`apply_hints(primary_key="email")`, `merge_key`',
        "refused: `primary_key`, `merge_key`; set `key` of the [endpoint](configuration.md#endpoints-and-reports)",
        of_customers(primary_key="email"),
        refused="primary_key",
    ),
    Way('`apply_hints(merge_key="email")`', "", of_customers(merge_key="email"), refused="merge_key"),
    Way(
        '`pipeline.run(source, table_format="delta")`',
        "refused: `table_format`; tables have the format of the destination",
        options={"table_format": "delta"},
        refused="table_format",
    ),
    Way(
        "`apply_hints(columns=...)`, `references=...`, `schema_contract=...`",
        "works; the contract holds for the child tables, too",
        of_customers(
            columns=[{"name": "email", "x-annotation-pii": True}],
            references=[{"columns": ["id"], "referenced_table": "entitlements", "referenced_columns": ["customer_id"]}],
            schema_contract={"columns": "freeze"},
        ),
        tables=("entitlements", "customers"),
    ),
    Way(
        '`pipeline.run(source, schema_contract="freeze")`',
        "works, also for the first load",
        options={"schema_contract": "freeze"},
    ),
    Way(
        "`source.customers.add_map(f)`, `add_filter(f)`",
        "works: `f` gets each Arrow table, those of child tables and of the log included",
        lambda source: (source.customers.add_map(same), source)[1],
    ),
    Way(
        "`source.customers.parallelize()`",
        "refused: `parallelize`",
        parallel,
        refused="parallelize",
    ),
]
"""All ways. Those without an outcome belong to the row before them."""


def documented_rows():
    """The lines in docs/dlt.md, of these ways."""
    return [f"- {way.title}: {way.outcome}" for way in WAYS if way.outcome]
